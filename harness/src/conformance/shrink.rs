//! Shrinks a sequence that breaks a promise: first operations are removed, then those that are left are
//! made plainer. The tries and their order are deterministic.

use crate::conformance::clause::Breach;
use crate::conformance::operation::{
    ExhaustOrder, Operation, SequenceStep, Size, SizeRequest, tidy,
};
use crate::run::ddmin::ddmin;

/// Runs a sequence, and returns its breach if it breaks the same promise.
pub(crate) type SequenceOracle<'a> = dyn FnMut(&[SequenceStep]) -> Option<Breach> + 'a;

/// A sequence while it is shrunk.
struct SequenceShrinker<'a> {
    best: Vec<SequenceStep>,
    breach: Breach,
    oracle: &'a mut SequenceOracle<'a>,
    /// Larger sizes are never tried, since the port may grant them.
    max_size: usize,
    tries_left: usize,
}

/// Shrinks a sequence whose last step shows the breach, in at most `tries` tries.
pub(crate) fn shrink<'a>(
    steps: &[SequenceStep],
    breach: Breach,
    max_size: usize,
    tries: usize,
    oracle: &'a mut SequenceOracle<'a>,
) -> (Vec<SequenceStep>, Breach) {
    let best = tidy(steps);
    let mut shrinker = SequenceShrinker { best, breach, oracle, max_size, tries_left: tries };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_steps();
        for nth in (0..shrinker.best.len()).rev() {
            // Each accepted try cuts the sequence off behind its breach.
            if nth < shrinker.best.len() {
                shrinker.simplify(nth);
            }
        }
        if shrinker.best == before || shrinker.tries_left == 0 {
            return (shrinker.best, shrinker.breach);
        }
    }
}

impl SequenceShrinker<'_> {
    /// Keeps a sequence if it shows the breach, and returns whether it does.
    fn accepts(&mut self, candidate: &[SequenceStep]) -> bool {
        if self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        let candidate = tidy(candidate);
        let Some(breach) = (self.oracle)(&candidate) else { return false };
        self.best = candidate;
        self.best.truncate(breach.step.saturating_add(1));
        self.breach = breach;
        true
    }

    fn drop_steps(&mut self) {
        ddmin(
            self,
            |shrinker| shrinker.best.len(),
            |shrinker, range| {
                let mut fewer = shrinker.best.clone();
                fewer.drain(range);
                shrinker.accepts(&fewer)
            },
        );
    }

    /// Tries the sequence with one step changed.
    fn with_step(&mut self, nth: usize, change: impl FnOnce(&mut SequenceStep)) -> bool {
        let Some(step) = self.best.get(nth) else { return false };
        let mut changed = *step;
        change(&mut changed);
        if changed == self.best[nth] {
            return false;
        }
        let mut candidate = self.best.clone();
        candidate[nth] = changed;
        self.accepts(&candidate)
    }

    fn request(&self, nth: usize) -> Option<SizeRequest> {
        self.best.get(nth).and_then(|step| {
            let mut operation = step.operation;
            operation.request_mut().copied()
        })
    }

    fn with_request(&mut self, nth: usize, request: SizeRequest) -> bool {
        request.layout().is_some()
            && self.with_step(nth, |step| {
                if let Some(present) = step.operation.request_mut() {
                    *present = request;
                }
            })
    }

    fn simplify(&mut self, nth: usize) {
        self.with_step(nth, |step| step.caller = 0);
        self.with_step(nth, |step| match &mut step.operation {
            Operation::Alloc { zeroed, .. } => *zeroed = false,
            Operation::Resize { whole, .. } | Operation::Free { whole, .. } => *whole = false,
            Operation::Exhaust { order, .. } => *order = ExhaustOrder::Lifo,
            _ => {}
        });
        let Some(request) = self.request(nth) else { return };
        let mut align = 1;
        while align < request.align && !self.with_request(nth, SizeRequest { align, ..request }) {
            align *= 2;
        }
        let Some(request) = self.request(nth) else { return };
        match request.size {
            // Smaller requests would fill the port by more blocks, which is no plainer and slow.
            _ if matches!(self.best[nth].operation, Operation::Exhaust { .. }) => {}
            Size::Plain(size) => self.shrink_size(nth, size),
            Size::Max(_) => {
                self.with_request(nth, SizeRequest { size: Size::Max(0), ..request });
                let smaller = |size| SizeRequest { size: Size::Plain(size), ..request };
                if self.with_request(nth, smaller(0)) {
                    return;
                }
                if self.with_request(nth, smaller(self.max_size)) {
                    self.shrink_size(nth, self.max_size);
                }
            }
        }
    }

    /// Bisects for the smallest size that shows the breach.
    fn shrink_size(&mut self, nth: usize, size: usize) {
        let set = |shrinker: &mut Self, size| {
            let request = shrinker.request(nth);
            request.is_some_and(|request| {
                shrinker.with_request(nth, SizeRequest { size: Size::Plain(size), ..request })
            })
        };
        if size == 0 || set(self, 0) {
            return;
        }
        let (mut too_small, mut enough) = (0, size);
        while enough - too_small > 1 {
            let middle = too_small + (enough - too_small) / 2;
            if set(self, middle) {
                enough = middle;
            } else {
                too_small = middle;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::clause::Clause;
    use crate::conformance::operation::print;
    use crate::conformance::syntax::parse;

    #[test]
    fn operations_go_first_and_then_sizes() {
        let text: String = (1..=60)
            .map(|n| format!("a{n} = alloc {} align 64 by 1\n", 100 + n))
            .chain((1..=60).map(|n| format!("free a{n} whole\n")))
            .collect();
        let steps = parse(&text).expect("a sequence");
        let breach = Breach { clause: Clause::Overlap, note: "n".into(), step: steps.len() - 1 };
        // A breach: a block of at least 37 bytes is freed after another one was.
        let mut oracle = |steps: &[SequenceStep]| {
            let large = |name: u32| {
                steps.iter().any(|step| match step.operation {
                    Operation::Alloc {
                        name: allocated,
                        request: SizeRequest { size: Size::Plain(size), .. },
                        ..
                    } => allocated == name && size >= 37,
                    _ => false,
                })
            };
            let mut freed = 0;
            let broken = |step: &SequenceStep| match step.operation {
                Operation::Free { name, .. } => {
                    freed += 1;
                    freed > 1 && large(name)
                }
                _ => false,
            };
            let step = steps.iter().position(broken)?;
            Some(Breach { clause: Clause::Overlap, note: "n".into(), step })
        };
        let (smallest, _) = shrink(&steps, breach, 4096, 10_000, &mut oracle);
        let expected = "a1 = alloc 0 align 1\na2 = alloc 37 align 1\nfree a1\nfree a2\n";
        assert_eq!(print(&smallest), expected);
    }
}
