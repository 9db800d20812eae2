//! Shrinks a sequence in child processes: all tries in one, as long as the port lets it live, or else each
//! in its own. The result is confirmed in a fresh one.

use crate::conformance::clause::{BreachRoot, Clause};
use crate::conformance::operation::{SequenceStep, print};
use crate::conformance::position::SEQUENCE_BITS;
use crate::conformance::shrink::shrink;
use crate::conformance::shrink_state::{ShrinkLimits, ShrinkProgress};
use crate::conformance::suite::{BrokenSequence, DeathNotes, Suite};
use crate::conformance::syntax::parse;
use crate::error::Error;
use crate::port::Port;
use crate::process::shared_memory::ChildStatus;
use crate::trace::hash_bytes;

/// The most tries of the shrinker for a sequence that kills its process: each in a child process.
const TRIES_DEATH: usize = 500;
/// The most sequences that hang while one is shrunk.
const HANGS: usize = 8;
/// The most tries of the shrinker for any other sequence: all in one child process.
const TRIES: usize = 10_000;
/// Random sequences of each length that the shrinker tries, in child processes of their own or in one.
const DRAWS_DEATH: u64 = 16;
const DRAWS: u64 = 64;
/// A port that damages its process may end it while a sequence is shrunk. How often shrinking goes on in
/// a fresh process, without the sequence that was fatal.
const ROUNDS: usize = 12;

/// What stands for a sequence in the position of a child process.
fn number(steps: &[SequenceStep]) -> u64 {
    hash_bytes(print(steps).as_bytes()) >> (u64::BITS - SEQUENCE_BITS)
}

/// Shrinks a sequence in this process, without running the fatal ones.
fn shrink_here<P: Port>(
    suite: &Suite<'_, P>,
    broken: &BrokenSequence,
    (fatal, known): (&[u64], &[BreachRoot]),
    child_status: Option<&ChildStatus>,
    progress: &mut ShrinkProgress<'_>,
) -> Vec<SequenceStep> {
    let mut oracle = |steps: &[SequenceStep]| {
        let number = number(steps);
        if fatal.contains(&number) {
            return None;
        }
        suite.run_here(number, steps, true, child_status).breach
    };
    let limits =
        ShrinkLimits { known, range: suite.range, tries: TRIES, draws: DRAWS, hits: TRIES };
    let (steps, breach) = (&broken.steps, broken.breach.clone());
    shrink(steps, breach, limits, &mut oracle, progress).0
}

/// The result of shrinking in one child process.
struct ShrunkInChild {
    /// The sequences that showed the breach, the smallest last.
    all: Vec<Vec<SequenceStep>>,
    /// The number of the sequence that ended the process before its work was done.
    fatal: Option<u64>,
}

/// Shrinks a sequence in a child process.
fn shrink_in_child<P: Port>(
    suite: &Suite<'_, P>,
    broken: &BrokenSequence,
    (fatal, known): (&[u64], &[BreachRoot]),
) -> Result<ShrunkInChild, Error> {
    if suite.in_process {
        let smallest = shrink_here(suite, broken, (fatal, known), None, &mut |_| {});
        return Ok(ShrunkInChild { all: vec![smallest], fatal: None });
    }
    let child = suite.in_child::<String>(DeathNotes::Short, |pipe, child_status| {
        let status = Some(child_status);
        let smallest = shrink_here(suite, broken, (fatal, known), status, &mut |steps| {
            pipe.send(&print(steps));
        });
        pipe.send(&print(&smallest));
    })?;
    let mut all = vec![broken.steps.clone()];
    for text in &child.messages {
        all.push(parse(text)?);
    }
    Ok(ShrunkInChild { all, fatal: child.death.map(|(number, _)| number) })
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
        if let Some(breach) = suite.confirm(&steps, DeathNotes::Full)?.0
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
    known: &[BreachRoot],
) -> Result<BrokenSequence, Error> {
    let clause = broken.breach.clause;
    let mut fatal = Vec::new();
    while !broken.breach.is_death && fatal.len() < ROUNDS {
        let root = broken.breach.root();
        let shrunk = shrink_in_child(suite, &broken, (&fatal, known))?;
        let Some(smaller) = smallest_confirmed(suite, shrunk.all, root)? else { break };
        broken = smaller;
        match shrunk.fatal {
            Some(number) => fatal.push(number),
            None => return Ok(broken),
        }
    }
    // Each try needs a child process: it dies, or it leaves something behind that the next one sees.
    let mut child_error = None;
    let mut oracle = |steps: &[SequenceStep]| match suite.confirm(steps, DeathNotes::Short) {
        Ok((breach, _)) => breach,
        Err(error) => {
            child_error = Some(error);
            None
        }
    };
    let hits = if clause == Clause::Hangs { HANGS } else { TRIES_DEATH };
    let limits =
        ShrinkLimits { known, range: suite.range, tries: TRIES_DEATH, draws: DRAWS_DEATH, hits };
    let (steps, breach) = shrink(&broken.steps, broken.breach, limits, &mut oracle, &mut |_| {});
    if let Some(error) = child_error {
        return Err(error);
    }
    // Once more, for the full note.
    let again =
        if clause == Clause::Hangs { None } else { suite.confirm(&steps, DeathNotes::Full)?.0 };
    let breach = again.filter(|again| again.root() == breach.root()).unwrap_or(breach);
    Ok(BrokenSequence { steps, breach })
}
