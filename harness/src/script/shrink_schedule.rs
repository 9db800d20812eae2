//! The passes that remove a script's preemptions and threads, and choose its schedule.

use crate::plan::syntax::Shortage;
use crate::run::ddmin::ddmin;
use crate::script::shrink::{PREEMPTIONS_MAX, SCHEDULES_ALL, ScriptShrinker, fault_text};

/// Removes preemptions: all of them, then halves, quarters, and so on to single ones.
pub(crate) fn remove_preemptions<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    let all = shrinker.schedule().len() as u64;
    if all == 0 {
        return;
    }
    if shrinker.accepts(shrinker.with_schedule(&[])) {
        shrinker.removed.preemptions += all;
        return;
    }
    ddmin(
        shrinker,
        |shrinker| shrinker.schedule().len(),
        |shrinker, range| {
            let mut fewer = shrinker.schedule();
            fewer.drain(range.clone());
            let accepted = !fewer.is_empty() && shrinker.accepts(shrinker.with_schedule(&fewer));
            if accepted {
                shrinker.removed.preemptions += range.len() as u64;
            }
            accepted
        },
    );
}

/// Searches for the first schedule that shows the finding, so that the same one is left of several that
/// do.
pub(crate) fn choose_first_schedule<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    let before = shrinker.schedule();
    if !shrinker.best.is_contended() || before.is_empty() {
        return;
    }
    let preemptions = (before.len() as u32).min(PREEMPTIONS_MAX);
    let script = shrinker.with_schedule(&[]);
    let Some(found) = shrinker.find_schedule(&script, preemptions, SCHEDULES_ALL) else { return };
    let schedule = found.preemptions().unwrap_or_default();
    let is_smaller = (schedule.len(), &schedule) < (before.len(), &before);
    if is_smaller && shrinker.accepts(found) {
        let fewer = before.len().saturating_sub(schedule.len());
        shrinker.removed.preemptions += fewer as u64;
    }
}

/// Moves all operations to one thread; if that doesn't show the finding, removes empty threads.
pub(crate) fn remove_threads<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    if shrinker.best.threads.len() > 1 && merge_threads(shrinker) {
        return;
    }
    let mut thread = shrinker.best.threads.len();
    while thread > 0 && shrinker.best.threads.len() > 1 {
        thread -= 1;
        if shrinker.best.threads.get(thread).is_some_and(Vec::is_empty) {
            drop_thread(shrinker, thread);
        }
    }
}

/// Moves all operations to one thread. An ordinal of a later thread grows by the requests of the threads
/// before it.
fn merge_threads<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) -> bool {
    let mut merged = shrinker.best.clone();
    let requests_before: Vec<u64> = (0..merged.threads.len() as u16)
        .scan(0, |sum, thread| {
            let before = *sum;
            *sum += shrinker.profile.requests(thread);
            Some(before)
        })
        .collect();
    merged.threads = vec![merged.threads.concat()];
    merged.schedule = None;
    let to_first_thread = |shortage: &Shortage| match shortage.at() {
        None => *shortage,
        Some(at) => {
            let before = requests_before.get(usize::from(at.thread)).copied().unwrap_or(0);
            shortage.moved(before + at.ordinal).of(0)
        }
    };
    merged.fault = fault_text(shrinker.shortages().iter().map(to_first_thread).collect());
    let preemptions = shrinker.schedule().len() as u64;
    let accepted = shrinker.accepts(merged.clone()) || shrinker.accepts_elsewhere(&merged);
    if accepted {
        shrinker.removed.preemptions += preemptions;
    }
    accepted
}

/// Removes an empty thread. Later threads are renumbered; the system is opened by thread 0, whose
/// requests for that move to the thread that takes its place.
fn drop_thread<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>, thread: usize) {
    let mut fewer = shrinker.best.clone();
    fewer.threads.remove(thread);
    let opening = shrinker.profile.requests(0);
    let renumber = |shortage: &Shortage| match shortage.at() {
        Some(at) if usize::from(at.thread) > thread => {
            let more = if at.thread == 1 { opening } else { 0 };
            shortage.moved(at.ordinal + more).of(at.thread - 1)
        }
        _ => *shortage,
    };
    fewer.fault = fault_text(shrinker.shortages().iter().map(renumber).collect());
    if thread + 1 == shrinker.best.threads.len() && shrinker.accepts(fewer.clone()) {
        return;
    }
    let preemptions = (shrinker.schedule().len() as u32).clamp(1, PREEMPTIONS_MAX);
    if let Some(found) = shrinker.find_schedule(&fewer, preemptions, SCHEDULES_ALL) {
        shrinker.accepts(found);
    }
}
