//! A sequence while it is shrunk: a candidate is kept if it shows the breach as well.

use crate::conformance::clause::{Breach, BreachRoot, Function};
use crate::conformance::generate::SequenceRange;
use crate::conformance::operation::{SequenceStep, tidy};

/// Runs a sequence, and returns its breach.
pub(crate) type SequenceOracle<'a> = dyn FnMut(&[SequenceStep]) -> Option<Breach> + 'a;
/// Is told each sequence that is kept.
pub(crate) type ShrinkProgress<'a> = dyn FnMut(&[SequenceStep]) + 'a;

/// How far a sequence is shrunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShrinkLimits<'r> {
    /// What the sequences may request.
    pub(crate) range: &'r SequenceRange,
    /// The most sequences that are run.
    pub(crate) tries: usize,
    /// Random sequences that are tried of each length.
    pub(crate) draws: u64,
    /// The most of the tries that show the breach: one that hangs takes as long as the patience.
    pub(crate) hits: usize,
}

impl ShrinkLimits<'_> {
    /// The largest size that is tried: the port may grant it. A fixed region grants no more than it has,
    /// and a port that forgets its end may show that by one block.
    pub(crate) fn largest(&self) -> usize {
        self.range.fixed.map_or(0, |bytes| bytes.saturating_mul(2)).max(self.range.max_size)
    }
}

/// A sequence while it is shrunk. Its last step shows the breach.
pub(crate) struct SequenceShrinker<'a, 'b> {
    best: Vec<SequenceStep>,
    breach: Breach,
    pub(crate) limits: ShrinkLimits<'a>,
    oracle: &'a mut SequenceOracle<'b>,
    progress: &'a mut ShrinkProgress<'b>,
}

impl<'a, 'b> SequenceShrinker<'a, 'b> {
    pub(crate) fn new(
        steps: &[SequenceStep],
        breach: Breach,
        limits: ShrinkLimits<'a>,
        oracle: &'a mut SequenceOracle<'b>,
        progress: &'a mut ShrinkProgress<'b>,
    ) -> Self {
        SequenceShrinker { best: tidy(steps), breach, limits, oracle, progress }
    }

    /// The smallest sequence so far.
    pub(crate) fn best(&self) -> &[SequenceStep] {
        &self.best
    }

    pub(crate) fn root(&self) -> BreachRoot {
        self.breach.root()
    }

    /// The smallest sequence so far, and its breach.
    pub(crate) fn result(&self) -> (Vec<SequenceStep>, Breach) {
        (self.best.clone(), self.breach.clone())
    }

    /// Goes back to an earlier result.
    pub(crate) fn restore(&mut self, (best, breach): (Vec<SequenceStep>, Breach)) {
        (self.best, self.breach) = (best, breach);
    }

    /// Whether no more may be tried.
    pub(crate) fn is_out(&self) -> bool {
        self.limits.tries == 0 || self.limits.hits == 0
    }

    /// Keeps a sequence if it shows the breach, and returns whether it does.
    pub(crate) fn accepts(&mut self, candidate: &[SequenceStep]) -> bool {
        let root = self.root();
        self.accepts_as(candidate, &|breach| breach.root() == root)
    }

    /// Keeps a sequence if it breaks the same promise in this function, and returns whether it does.
    pub(crate) fn accepts_in(&mut self, function: Function, candidate: &[SequenceStep]) -> bool {
        let clause = self.breach.clause;
        self.accepts_as(candidate, &|breach| breach.clause == clause && breach.function == function)
    }

    fn accepts_as(
        &mut self,
        candidate: &[SequenceStep],
        is_such: &dyn Fn(&Breach) -> bool,
    ) -> bool {
        let mut candidate = tidy(candidate);
        if self.is_out() || candidate == self.best {
            return false;
        }
        self.limits.tries -= 1;
        let Some(breach) = (self.oracle)(&candidate).filter(is_such) else { return false };
        self.limits.hits -= 1;
        candidate.truncate(breach.step.saturating_add(1));
        (self.progress)(&candidate);
        (self.best, self.breach) = (candidate, breach);
        true
    }
}
