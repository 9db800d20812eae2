//! Runs all sequences, and shrinks those that break a promise in a way that is not known yet.

use crate::conformance::clause::{Breach, BreachRoot, Clause, Tally};
use crate::conformance::operation::SequenceStep;
use crate::conformance::shrink::with_simpler_last;
use crate::conformance::shrink_runs::shrink_broken;
use crate::conformance::suite::{BrokenSequence, Suite};
use crate::error::Error;
use crate::port::Port;

/// Runs all sequences. Returns each broken promise once, with its smallest sequence, and what the
/// sequences did.
pub(crate) fn search<P: Port>(suite: &Suite<'_, P>) -> Result<(Vec<BrokenSequence>, Tally), Error> {
    let (mut all, mut sum): (Vec<BrokenSequence>, _) = (Vec::new(), Tally::default());
    let mut seen: Vec<BreachRoot> = Vec::new();
    let (mut from, to) = (0, suite.range.sequences());
    while from < to {
        let (broken, tally) = suite.run_range(from, to)?;
        sum.add(&tally);
        let Some((nth, breach)) = broken else { break };
        from = nth + 1;
        // The function that is to blame may be known only if all blocks are checked after each step.
        if breach.clause != Clause::Untouched && seen.contains(&breach.root()) {
            continue;
        }
        let mut steps = suite.range.sequence(nth);
        steps.truncate(breach.step + 1);
        let mut broken = match suite.confirm(&steps)?.0 {
            Some(breach) => {
                steps.truncate(breach.step + 1);
                let root = breach.root();
                if seen.contains(&root) || is_known_of_simpler(suite, &steps, &breach, &all)? {
                    continue;
                }
                seen.push(root);
                shrink_broken(suite, BrokenSequence { steps, breach })?
            }
            None => {
                seen.push(breach.root());
                let note = format!(
                    "{}; only after the sequences before it: the port has state outside of \
                     itself",
                    breach.note
                );
                BrokenSequence { steps, breach: Breach { note, ..breach } }
            }
        };
        broken.steps.truncate(broken.breach.step.saturating_add(1));
        if !all.iter().any(|known| known.breach.root() == broken.breach.root()) {
            all.push(broken);
        }
    }
    Ok((all, sum))
}

/// Whether a simpler function in the place of the last step shows a breach that is known.
fn is_known_of_simpler<P: Port>(
    suite: &Suite<'_, P>,
    steps: &[SequenceStep],
    breach: &Breach,
    known: &[BrokenSequence],
) -> Result<bool, Error> {
    for (function, steps) in with_simpler_last(steps) {
        let root = BreachRoot { function: Some(function), ..breach.root() };
        if known.iter().any(|known| known.breach.root() == root)
            && suite.confirm(&steps)?.0.is_some_and(|breach| breach.root() == root)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
