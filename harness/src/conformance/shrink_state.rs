//! A sequence while it is shrunk: a candidate is kept if it shows the breach as well.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

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
    /// Breaches that were shrunk before: if one of them is behind this one, shrinking ends.
    pub(crate) known: &'r [BreachRoot],
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
    /// The hashes of sequences that don't show the breach: each pass tries many that another one tried.
    failed: BTreeSet<u64>,
}

impl<'a, 'b> SequenceShrinker<'a, 'b> {
    pub(crate) fn new(
        steps: &[SequenceStep],
        breach: Breach,
        limits: ShrinkLimits<'a>,
        oracle: &'a mut SequenceOracle<'b>,
        progress: &'a mut ShrinkProgress<'b>,
    ) -> Self {
        let (best, failed) = (tidy(steps), BTreeSet::new());
        SequenceShrinker { best, breach, limits, oracle, progress, failed }
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
        self.accepts_as(root, candidate)
    }

    /// Keeps a sequence if it breaks the same promise in this function, and returns whether it does.
    pub(crate) fn accepts_in(&mut self, function: Function, candidate: &[SequenceStep]) -> bool {
        let root = BreachRoot { function: Some(function), ..self.root() };
        let is_accepted = self.root().function.is_some() && self.accepts_as(root, candidate);
        if is_accepted && self.limits.known.contains(&root) {
            self.limits.tries = 0;
        }
        is_accepted
    }

    fn accepts_as(&mut self, root: BreachRoot, candidate: &[SequenceStep]) -> bool {
        let mut candidate = tidy(candidate);
        if self.is_out() || candidate == self.best {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        (&candidate, root.function.map(Function::name)).hash(&mut hasher);
        let hash = hasher.finish();
        if self.failed.contains(&hash) {
            return false;
        }
        self.limits.tries -= 1;
        let breach = (self.oracle)(&candidate).filter(|breach| breach.root() == root);
        let Some(breach) = breach else {
            self.failed.insert(hash);
            return false;
        };
        self.limits.hits -= 1;
        candidate.truncate(breach.step.saturating_add(1));
        (self.progress)(&candidate);
        (self.best, self.breach) = (candidate, breach);
        true
    }
}
