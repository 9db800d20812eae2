//! Runs all sequences, and shrinks those that break a promise in a way that is not known yet.

use crate::conformance::clause::{Breach, BreachRoot, Clause, Tally};
use crate::conformance::operation::SequenceStep;
use crate::conformance::shrink_runs::shrink_broken;
use crate::conformance::suite::{BrokenSequence, DeathNotes, Suite};
use crate::error::Error;
use crate::port::Port;

/// How often a breach is looked at while it is not sure which function is to blame.
const AGAIN: usize = 4;
/// After this many sequences that hang no more are run: each takes as long as the patience.
const HANGS: usize = 3;

/// What is known of a port while its sequences are run.
#[derive(Default)]
struct SearchState {
    all: Vec<BrokenSequence>,
    /// Breaches that need no more attention.
    seen: Vec<BreachRoot>,
    /// Breaches of which [`AGAIN`] more are run again.
    unsure: Vec<BreachRoot>,
}

impl SearchState {
    /// Runs a broken sequence again, and shrinks it if its breach is not known.
    fn look_at<P: Port>(
        &mut self,
        suite: &Suite<'_, P>,
        mut steps: Vec<SequenceStep>,
        breach: Breach,
    ) -> Result<bool, Error> {
        steps.truncate(breach.step + 1);
        self.unsure(breach.root());
        let Some(breach) = suite.confirm(&steps, DeathNotes::Short)?.0 else { return Ok(false) };
        steps.truncate(breach.step + 1);
        let root = breach.root();
        if self.seen.contains(&root) {
            return Ok(true);
        }
        let known: Vec<BreachRoot> = self.all.iter().map(|known| known.breach.root()).collect();
        let mut broken = shrink_broken(suite, BrokenSequence { steps, breach }, &known)?;
        broken.steps.truncate(broken.breach.step.saturating_add(1));
        // A simpler function was to blame here; another sequence may show that this one is as well.
        match broken.breach.root() == root {
            true => self.seen.push(root),
            false => self.unsure(root),
        }
        if !self.all.iter().any(|known| known.breach.root() == broken.breach.root()) {
            self.all.push(broken);
        }
        Ok(true)
    }

    fn unsure(&mut self, root: BreachRoot) {
        self.unsure.push(root);
        if self.is_unsure_no_more(root) {
            self.seen.push(root);
        }
    }

    fn is_unsure_no_more(&self, root: BreachRoot) -> bool {
        self.unsure.iter().filter(|unsure| **unsure == root).count() >= AGAIN
    }

    /// Breaches with which a sequence is not looked at. Only a run that checks all blocks after each step
    /// shows which function changed one.
    fn known(&self) -> Vec<BreachRoot> {
        let is_sure =
            |root: &&BreachRoot| root.clause != Clause::Untouched || self.is_unsure_no_more(**root);
        self.seen.iter().filter(is_sure).copied().collect()
    }
}

/// Runs all sequences. Returns each broken promise once, with its smallest sequence, and what the
/// sequences did.
pub(crate) fn search<P: Port>(suite: &Suite<'_, P>) -> Result<(Vec<BrokenSequence>, Tally), Error> {
    let (mut state, mut tally) = (SearchState::default(), Tally::default());
    let (mut from, to) = (0, suite.range.sequences());
    let mut hangs = 0;
    while from < to && hangs < HANGS {
        let known = state.known();
        let result = suite.run_range((from, to), &known)?;
        tally.add(&result.tally);
        let Some((nth, breach)) = result.broken else { break };
        hangs += usize::from(breach.clause == Clause::Hangs);
        from = nth + 1;
        if known.contains(&breach.root()) {
            continue;
        }
        if state.look_at(suite, suite.range.sequence(nth), breach.clone())? {
            continue;
        }
        if !result.is_fresh {
            // Damage that an earlier sequence left may have shown it.
            from = nth;
            continue;
        }
        state.seen.push(breach.root());
        let mut steps = suite.range.sequence(nth);
        steps.truncate(breach.step + 1);
        let note = format!(
            "{}; only after the sequences before it: the port has state outside of itself",
            breach.note
        );
        state.all.push(BrokenSequence { steps, breach: Breach { note, ..breach } });
    }
    Ok((state.all, tally))
}
