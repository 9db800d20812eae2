//! The passes that remove a script's operations, and make the values in them smaller.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::run::ddmin::ddmin;
use crate::script::shrink::{PLACES, PLACES_NEAR, ScriptShrinker};
use crate::script::shrink_value;
use crate::script::shrink_value::SmallerValue as _;
use crate::system::script::Script;
use crate::trace::Coordinate;

/// The most literals whose order is tried.
const LITERALS: usize = 8;

/// Removes operations: halves, quarters, and so on to single ones, from the last thread and operation
/// on.
pub(crate) fn remove_operations<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    for thread in (0..shrinker.best.threads.len()).rev() {
        ddmin(
            shrinker,
            |shrinker| shrinker.best.threads[thread].len(),
            |shrinker, range| {
                let accepted = drop_operations(shrinker, thread, range.start, range.end);
                if accepted {
                    shrinker.removed.operations += range.len() as u64;
                }
                accepted
            },
        );
    }
}

/// Removes the operations `start..end` of a thread. A fault behind them moves back by their requests; one
/// in them moves to the next request.
fn drop_operations<Op: Clone>(
    shrinker: &mut ScriptShrinker<'_, Op>,
    thread: usize,
    start: usize,
    end: usize,
) -> bool {
    let mut fewer = shrinker.best.clone();
    fewer.threads[thread].drain(start..end);
    let thread = thread as u16;
    let requests = shrinker.profile.requests(thread);
    let requests_before =
        |nth: usize| shrinker.profile.starts(thread).get(nth).copied().unwrap_or(requests);
    let from = requests_before(start);
    let removed = requests_before(end).saturating_sub(from);
    let guess = |at: Coordinate| match at.ordinal {
        ordinal if at.thread != thread => ordinal,
        ordinal if ordinal > from + removed => ordinal - removed,
        ordinal => ordinal.min(from + 1),
    };
    shrinker.accepts_somewhere(fewer, &guess, PLACES)
}

/// Makes the values in operations smaller: first each value everywhere it occurs, then each occurrence.
pub(crate) fn shrink_values<Op>(shrinker: &mut ScriptShrinker<'_, Op>)
where
    Op: Clone + Serialize + DeserializeOwned,
{
    for literal in shrink_value::distinct(shrinker.best.threads.iter().flatten()) {
        let mut present = literal;
        while let Some(smaller) = shrink_everywhere(shrinker, &present) {
            shrinker.removed.sizes += 1;
            present = smaller;
        }
    }
    for thread in 0..shrinker.best.threads.len() {
        for nth in 0..shrinker.best.threads[thread].len() {
            while shrink_operation(shrinker, thread, nth) {
                shrinker.removed.sizes += 1;
            }
        }
    }
}

fn shrink_everywhere<Op>(shrinker: &mut ScriptShrinker<'_, Op>, present: &str) -> Option<String>
where
    Op: Clone + Serialize + DeserializeOwned,
{
    for smaller in shrink_value::smaller(present) {
        let replacement = |literal: &str| (literal == present).then(|| smaller.clone());
        let script = with_literals(&shrinker.best, &replacement);
        if script.is_some_and(|it| shrinker.accepts_somewhere(it, &|at| at.ordinal, PLACES_NEAR)) {
            return Some(smaller);
        }
        if shrinker.is_over() {
            return None;
        }
    }
    None
}

fn shrink_operation<Op>(shrinker: &mut ScriptShrinker<'_, Op>, thread: usize, nth: usize) -> bool
where
    Op: Clone + Serialize + DeserializeOwned,
{
    for smaller in shrinker.best.threads[thread][nth].smaller() {
        let mut script = shrinker.best.clone();
        script.threads[thread][nth] = smaller;
        if shrinker.accepts_somewhere(script, &|at| at.ordinal, PLACES_NEAR) {
            return true;
        }
        if shrinker.is_over() {
            return false;
        }
    }
    false
}

/// A script with some literals replaced; `None` if there are none to replace, or the result is no
/// script.
fn with_literals<Op>(
    script: &Script<Op>,
    replacement: &dyn Fn(&str) -> Option<String>,
) -> Option<Script<Op>>
where
    Op: Clone + Serialize + DeserializeOwned,
{
    let mut script = script.clone();
    let mut changed = false;
    for op in script.threads.iter_mut().flatten() {
        match op.with_all(replacement) {
            Some(Ok(fresh)) => (*op, changed) = (fresh, true),
            Some(Err(())) => return None,
            None => {}
        }
    }
    changed.then_some(script)
}

/// Exchanges two literals if the script's text is then earlier in the alphabet, so that the same script
/// is left of several that are equally small.
pub(crate) fn order_values<Op>(shrinker: &mut ScriptShrinker<'_, Op>)
where
    Op: Clone + Serialize + DeserializeOwned,
{
    let mut literals = shrink_value::distinct(shrinker.best.threads.iter().flatten());
    literals.truncate(LITERALS);
    let pairs = (0..literals.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
    for (one, other) in pairs {
        let (one, other) = (&literals[one], &literals[other]);
        let exchanged = with_literals(&shrinker.best, &|literal| match literal {
            _ if literal == one => Some(other.clone()),
            _ if literal == other => Some(one.clone()),
            _ => None,
        });
        let text = |script: &Script<Op>| script.print().unwrap_or_default();
        if let Some(exchanged) = exchanged
            && text(&exchanged) < text(&shrinker.best)
        {
            shrinker.accepts_somewhere(exchanged, &|at| at.ordinal, PLACES_NEAR);
        }
    }
}
