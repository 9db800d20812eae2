//! Sequences drawn from a seed: sizes and alignments at the edges, frees in every order.

use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, Size, SizeRequest};
use crate::trace::Stream;

/// What sequences are drawn from.
#[derive(Clone, Debug)]
pub(crate) struct SequenceRange {
    pub(crate) seed: u64,
    pub(crate) operations: usize,
    pub(crate) max_size: usize,
    pub(crate) max_align: usize,
    /// Threads or clones.
    pub(crate) hands: u8,
    pub(crate) frees: bool,
    /// How large the region is that can be filled up.
    pub(crate) fixed: Option<usize>,
    pub(crate) churns: bool,
}

/// Steps of a whole sequence.
const LENGTH: usize = 512;
/// Blocks that are alive at most.
const LIVE_MAX: usize = 48;

/// Which live block goes next.
#[derive(Clone, Copy)]
enum FreeOrder {
    Last,
    First,
    Any,
    /// Every second one, so that holes are left between those that stay.
    Holes,
}

impl SequenceRange {
    /// How many sequences come to so many operations.
    pub(crate) fn sequences(&self) -> u64 {
        self.operations.div_ceil(LENGTH).max(1) as u64
    }

    fn ask(&self, stream: &mut Stream) -> SizeRequest {
        let align = self.align(stream);
        let near = |stream: &mut Stream, most: usize| {
            let bits = usize::BITS as usize - most.max(1).leading_zeros() as usize;
            let power = 1_usize << stream.below(bits.max(1));
            (power + stream.below(3)).saturating_sub(1).min(most)
        };
        let size = match stream.below(32) {
            0 | 1 => 0,
            2 => return SizeRequest { size: Size::Max(stream.below(64)), align },
            3..=12 => near(stream, self.max_size),
            13..=15 => stream.below(self.max_size.saturating_add(1)),
            _ => stream.below(self.max_size.min(128) + 1),
        };
        SizeRequest::plain(size, align)
    }

    fn align(&self, stream: &mut Stream) -> usize {
        let bits = usize::BITS as usize - self.max_align.leading_zeros() as usize;
        match stream.below(32) {
            // More than anybody has.
            0 => 1 << (40 + stream.below(23)).min(usize::BITS as usize - 2),
            1..=4 => 1 << stream.below(bits),
            5..=12 => 1 << stream.below(bits.min(10)),
            _ => 1 << stream.below(bits.min(5)),
        }
    }

    /// The `nth` sequence: the same for the same range.
    pub(crate) fn sequence(&self, nth: u64) -> Vec<SequenceStep> {
        let stream = &mut Stream::new(self.seed, nth);
        let turn =
            [FreeOrder::Last, FreeOrder::First, FreeOrder::Any, FreeOrder::Holes][nth as usize % 4];
        let length = LENGTH.min(self.operations.max(1));
        let mut steps = Vec::with_capacity(length);
        let mut live: Vec<u32> = Vec::new();
        let (mut name, mut target) = (0, LIVE_MAX);
        let by = |stream: &mut Stream| match self.hands {
            0 | 1 => 0,
            _ if stream.once_in(2) => 0,
            hands => stream.below(usize::from(hands)) as u8,
        };
        // What fills the port up comes first, where all of it is free, and in between.
        if self.fixed.is_some() {
            let order = ExhaustOrder::ALL[stream.below(3)];
            steps.push(SequenceStep {
                act: Operation::Exhaust { ask: self.modest(stream), order },
                by: 0,
            });
        }
        while steps.len() + live.len() < length {
            let mut push =
                |act, stream: &mut Stream| steps.push(SequenceStep { act, by: by(stream) });
            let special = stream.below(128);
            if special == 0 && self.fixed.is_some() {
                let order = ExhaustOrder::ALL[stream.below(3)];
                push(Operation::Exhaust { ask: self.modest(stream), order }, stream);
                if !self.frees {
                    live.clear();
                }
            } else if special < 4 && self.churns {
                push(Operation::Churn { ask: self.modest(stream) }, stream);
                if !self.frees {
                    live.clear();
                }
            } else if special == 4 && !self.frees {
                push(Operation::Reclaim, stream);
                live.clear();
            } else if live.is_empty() || (live.len() < target && !stream.once_in(4)) {
                name += 1;
                let (ask, zeroed) = (self.ask(stream), stream.once_in(4));
                push(Operation::Alloc { name, ask, zeroed }, stream);
                live.push(name);
            } else if live.len() >= target || stream.once_in(2) {
                let nth = match turn {
                    FreeOrder::Last => live.len() - 1,
                    FreeOrder::First => 0,
                    FreeOrder::Any => stream.below(live.len()),
                    FreeOrder::Holes => (2 * stream.below(live.len() / 2 + 1)).min(live.len() - 1),
                };
                let name = live.remove(nth);
                if self.frees {
                    push(Operation::Free { name, whole: stream.once_in(4) }, stream);
                }
                if live.is_empty() || stream.once_in(8) {
                    target = 1 + stream.below(LIVE_MAX);
                }
            } else {
                // Rather the newest: those grow in place, where anything does.
                let last = live.len() - 1;
                let nth = if stream.once_in(2) { last } else { stream.below(live.len()) };
                let (grows, whole) = (!stream.once_in(3), stream.once_in(4));
                push(
                    Operation::Resize { name: live[nth], ask: self.ask(stream), grows, whole },
                    stream,
                );
            }
        }
        if self.frees {
            let order = match turn {
                FreeOrder::Last => ExhaustOrder::Lifo,
                FreeOrder::First | FreeOrder::Any => ExhaustOrder::Fifo,
                FreeOrder::Holes => ExhaustOrder::Comb,
            };
            for name in order.arrange(live) {
                steps.push(SequenceStep {
                    act: Operation::Free { name, whole: false },
                    by: by(stream),
                });
            }
        }
        steps
    }

    /// Something that a port has many of, and not too many.
    fn modest(&self, stream: &mut Stream) -> SizeRequest {
        let least = self.fixed.unwrap_or(0) / 1024;
        let size = least + 1 + stream.below(self.max_size.clamp(1, 256));
        SizeRequest::plain(size, 1 << stream.below(6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::operation::{parse, print};

    #[test]
    fn a_seed_gives_the_same_sequences_and_another_gives_others() {
        let range = |seed| SequenceRange {
            seed,
            operations: 2000,
            max_size: 4096,
            max_align: 4096,
            hands: 2,
            frees: true,
            fixed: Some(65536),
            churns: true,
        };
        assert_eq!(range(0).sequences(), 4);
        let text = |seed, nth| print(&range(seed).sequence(nth));
        assert_eq!(text(0, 1), text(0, 1));
        assert_ne!(text(0, 1), text(1, 1));
        assert_ne!(text(0, 1), text(0, 2));
        for nth in 0..4 {
            let steps = range(7).sequence(nth);
            assert_eq!(parse(&print(&steps)).expect("a sequence"), steps);
            for word in ["alloc 0 ", "max", "zeroed", "grow", "shrink", "whole", "by 1"] {
                assert!(print(&steps).contains(word), "{word} is in sequence {nth}");
            }
        }
    }
}
