//! Shrinks a sequence in child processes: all tries in one, as long as the port lets it live, or else each
//! in its own. The result is confirmed in a fresh one.

use crate::conformance::clause::{BreachRoot, Clause};
use crate::conformance::operation::{SequenceStep, print};
use crate::conformance::shrink::shrink;
use crate::conformance::shrink_state::{ShrinkLimits, ShrinkProgress};
use crate::conformance::suite::{BrokenSequence, Suite};
use crate::conformance::syntax::parse;
use crate::error::Error;
use crate::port::Port;
use crate::process::shared_memory::ChildStatus;

/// The most tries of the shrinker for a sequence that kills its process: each in a child process.
const TRIES_DEATH: usize = 1_000;
/// The most sequences that hang while one is shrunk.
const HANGS: usize = 12;
/// The most tries of the shrinker for any other sequence: all in one child process.
const TRIES: usize = 10_000;
/// A port that damages its process may end it while a sequence is shrunk. How often shrinking goes on in
/// a fresh process.
const ROUNDS: usize = 8;

fn limits<P: Port>(suite: &Suite<'_, P>, tries: usize, hits: usize) -> ShrinkLimits {
    // A fixed region grants no more than it has, so what is refused costs nothing.
    let largest = suite.rules.fixed.unwrap_or(0).max(suite.range.max_size);
    ShrinkLimits { largest, tries, hits }
}

/// Shrinks a sequence in this process.
fn shrink_here<P: Port>(
    suite: &Suite<'_, P>,
    broken: &BrokenSequence,
    child_status: Option<&ChildStatus>,
    progress: &mut ShrinkProgress<'_>,
) -> Vec<SequenceStep> {
    let mut oracle = |steps: &[SequenceStep]| suite.run_here(0, steps, true, child_status).breach;
    let (steps, breach) = (&broken.steps, broken.breach.clone());
    shrink(steps, breach, limits(suite, TRIES, TRIES), &mut oracle, progress).0
}

/// Shrinks a sequence in a child process. Returns whether it got to its end, and the sequences
/// that showed the breach there, the smallest last.
fn shrink_in_child<P: Port>(
    suite: &Suite<'_, P>,
    broken: &BrokenSequence,
) -> Result<(bool, Vec<Vec<SequenceStep>>), Error> {
    if suite.in_process {
        return Ok((true, vec![shrink_here(suite, broken, None, &mut |_| {})]));
    }
    let child = suite.in_child::<String>(|pipe, child_status| {
        let smallest = shrink_here(suite, broken, Some(child_status), &mut |steps| {
            pipe.send(&print(steps));
        });
        pipe.send(&print(&smallest));
    })?;
    let all: Result<Vec<_>, Error> = child.messages.iter().map(|text| parse(text)).collect();
    Ok((child.death.is_none(), all?))
}

/// The smallest of these sequences that shows such a breach in a fresh process: others may have
/// shown it only because of what was run before them.
fn smallest_confirmed<P: Port>(
    suite: &Suite<'_, P>,
    mut all: Vec<Vec<SequenceStep>>,
    root: BreachRoot,
) -> Result<Option<BrokenSequence>, Error> {
    let mut skipped = 1;
    while let Some(steps) = all.pop() {
        if let Some(breach) = suite.confirm(&steps)?.0
            && breach.is_at_most(root)
        {
            return Ok(Some(BrokenSequence { steps, breach }));
        }
        all.truncate(all.len().saturating_sub(skipped));
        skipped *= 2;
    }
    Ok(None)
}

/// Shrinks a sequence.
pub(crate) fn shrink_broken<P: Port>(
    suite: &Suite<'_, P>,
    mut broken: BrokenSequence,
) -> Result<BrokenSequence, Error> {
    let clause = broken.breach.clause;
    let rounds = if clause < Clause::Crashes { ROUNDS } else { 0 };
    for _ in 0..rounds {
        let root = broken.breach.root();
        let (is_complete, all) = shrink_in_child(suite, &broken)?;
        let Some(smaller) = smallest_confirmed(suite, all, root)? else { break };
        let is_same = smaller.steps == broken.steps;
        broken = smaller;
        if is_complete {
            return Ok(broken);
        }
        if is_same {
            break;
        }
    }
    // Each try needs a child process: it dies, or it leaves something behind that the next one sees.
    let mut child_error = None;
    let mut oracle = |steps: &[SequenceStep]| match suite.confirm(steps) {
        Ok((breach, _)) => breach,
        Err(error) => {
            child_error = Some(error);
            None
        }
    };
    let hits = if clause == Clause::Hangs { HANGS } else { TRIES_DEATH };
    let limits = limits(suite, TRIES_DEATH, hits);
    let (steps, breach) = shrink(&broken.steps, broken.breach, limits, &mut oracle, &mut |_| {});
    child_error.map_or(Ok(BrokenSequence { steps, breach }), Err)
}
