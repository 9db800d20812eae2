//! The smallest sequence that still breaks the same clause: operations are dropped first, then
//! what is left is made plainer. The same steps in the same order each time.

use crate::conformance::contract::Breach;
use crate::conformance::operation::{
    ExhaustOrder, Operation, SequenceStep, Size, SizeRequest, tidy,
};
use crate::run::ddmin::ddmin;

/// Tries a sequence; answers the breach if it is still of the clause in question.
pub(crate) type SequenceOracle<'a> = dyn FnMut(&[SequenceStep]) -> Option<Breach> + 'a;

/// A sequence on its way to the smallest.
struct SequenceShrinker<'a> {
    best: Vec<SequenceStep>,
    breach: Breach,
    oracle: &'a mut SequenceOracle<'a>,
    /// Sizes above this one are never tried: they would be asked of the machine in earnest.
    max_size: usize,
    left: usize,
}

/// Shrinks a sequence whose last step shows the breach, by so many tries at most.
pub(crate) fn shrink<'a>(
    steps: &[SequenceStep],
    breach: Breach,
    max_size: usize,
    tries: usize,
    oracle: &'a mut SequenceOracle<'a>,
) -> (Vec<SequenceStep>, Breach) {
    let best = tidy(steps);
    let mut shrinker = SequenceShrinker { best, breach, oracle, max_size, left: tries };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_steps();
        for nth in (0..shrinker.best.len()).rev() {
            // What follows the breach goes with an acceptance.
            if nth < shrinker.best.len() {
                shrinker.simplify(nth);
            }
        }
        if shrinker.best == before || shrinker.left == 0 {
            return (shrinker.best, shrinker.breach);
        }
    }
}

impl SequenceShrinker<'_> {
    fn accepts(&mut self, candidate: &[SequenceStep]) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
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

    /// Tries the same with one step changed.
    fn with(&mut self, nth: usize, change: impl FnOnce(&mut SequenceStep)) -> bool {
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

    fn ask(&self, nth: usize) -> Option<SizeRequest> {
        self.best.get(nth).and_then(|step| {
            let mut act = step.act;
            act.ask_mut().copied()
        })
    }

    fn with_ask(&mut self, nth: usize, ask: SizeRequest) -> bool {
        ask.layout().is_some()
            && self.with(nth, |step| {
                if let Some(its) = step.act.ask_mut() {
                    *its = ask;
                }
            })
    }

    fn simplify(&mut self, nth: usize) {
        self.with(nth, |step| step.by = 0);
        self.with(nth, |step| match &mut step.act {
            Operation::Alloc { zeroed, .. } => *zeroed = false,
            Operation::Resize { whole, .. } | Operation::Free { whole, .. } => *whole = false,
            Operation::Exhaust { order, .. } => *order = ExhaustOrder::Lifo,
            _ => {}
        });
        let Some(ask) = self.ask(nth) else { return };
        let mut align = 1;
        while align < ask.align && !self.with_ask(nth, SizeRequest { align, ..ask }) {
            align *= 2;
        }
        let Some(ask) = self.ask(nth) else { return };
        match ask.size {
            // Smaller blocks would be more of them, which is no plainer, and slow.
            _ if matches!(self.best[nth].act, Operation::Exhaust { .. }) => {}
            Size::Plain(size) => self.smaller(nth, size),
            Size::Max(_) => {
                self.with_ask(nth, SizeRequest { size: Size::Max(0), ..ask });
                let smaller = |size| SizeRequest { size: Size::Plain(size), ..ask };
                if self.with_ask(nth, smaller(0)) {
                    return;
                }
                if self.with_ask(nth, smaller(self.max_size)) {
                    self.smaller(nth, self.max_size);
                }
            }
        }
    }

    /// Halves its way down to a size below which the breach is gone.
    fn smaller(&mut self, nth: usize, size: usize) {
        let set = |shrinker: &mut Self, size| {
            let ask = shrinker.ask(nth);
            ask.is_some_and(|ask| {
                shrinker.with_ask(nth, SizeRequest { size: Size::Plain(size), ..ask })
            })
        };
        if size == 0 || set(self, 0) {
            return;
        }
        let (mut without, mut with) = (0, size);
        while with - without > 1 {
            let middle = without + (with - without) / 2;
            if set(self, middle) {
                with = middle;
            } else {
                without = middle;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::contract::Clause;
    use crate::conformance::operation::{parse, print};

    #[test]
    fn operations_go_first_and_then_sizes() {
        let text: String = (1..=60)
            .map(|n| format!("a{n} = alloc {} align 64 by 1\n", 100 + n))
            .chain((1..=60).map(|n| format!("free a{n} whole\n")))
            .collect();
        let steps = parse(&text).expect("a sequence");
        let breach = Breach { clause: Clause::Overlap, note: "n".into(), step: steps.len() - 1 };
        // Broken wherever a block of 37 bytes or more is freed after another was.
        let mut oracle = |steps: &[SequenceStep]| {
            let large = |name: u32| {
                steps.iter().any(|step| match step.act {
                    Operation::Alloc {
                        name: its,
                        ask: SizeRequest { size: Size::Plain(size), .. },
                        ..
                    } => its == name && size >= 37,
                    _ => false,
                })
            };
            let mut freed = 0;
            let broken = |step: &SequenceStep| match step.act {
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
