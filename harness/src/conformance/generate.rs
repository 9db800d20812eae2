//! Generates sequences from a seed: sizes and alignments near their limits, and frees in four orders.

use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, Size, SizeRequest};
use crate::trace::Stream;

/// Which sequences are generated.
#[derive(Clone, Debug)]
pub(crate) struct SequenceRange {
    pub(crate) seed: u64,
    /// Operations of all sequences together.
    pub(crate) operations: usize,
    pub(crate) max_size: usize,
    pub(crate) max_align: usize,
    /// The number of threads or clones that make calls.
    pub(crate) callers: u8,
    /// Whether the port takes single frees.
    pub(crate) frees: bool,
    /// The bytes of the region below the port, if it is to be filled.
    pub(crate) fixed: Option<usize>,
    /// Whether there are rounds of the same requests and frees.
    pub(crate) churns: bool,
}

/// Steps of a sequence.
const LENGTH: usize = 512;
/// The most live blocks.
const LIVE_MAX: usize = 48;

/// Which live block is freed next.
#[derive(Clone, Copy)]
enum FreeOrder {
    Last,
    First,
    Any,
    /// Every second one, so that holes are left between live blocks.
    Holes,
}

impl SequenceRange {
    /// The number of sequences.
    pub(crate) fn sequences(&self) -> u64 {
        self.operations.div_ceil(LENGTH).max(1) as u64
    }

    fn request(&self, stream: &mut Stream) -> SizeRequest {
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
            // Too large for any machine.
            0 => 1 << (40 + stream.below(23)).min(usize::BITS as usize - 2),
            1..=4 => 1 << stream.below(bits),
            5..=12 => 1 << stream.below(bits.min(10)),
            _ => 1 << stream.below(bits.min(5)),
        }
    }

    /// The `nth` sequence: the same for the same range.
    pub(crate) fn sequence(&self, nth: u64) -> Vec<SequenceStep> {
        let stream = &mut Stream::new(self.seed, nth);
        let free_order =
            [FreeOrder::Last, FreeOrder::First, FreeOrder::Any, FreeOrder::Holes][nth as usize % 4];
        let length = LENGTH.min(self.operations.max(1));
        let mut steps = Vec::with_capacity(length);
        let mut live: Vec<u32> = Vec::new();
        let (mut name, mut target) = (0, LIVE_MAX);
        let caller = |stream: &mut Stream| match self.callers {
            0 | 1 => 0,
            _ if stream.once_in(2) => 0,
            callers => stream.below(usize::from(callers)) as u8,
        };
        // The port is filled at the begin, when all of it is free, and again in between.
        if self.fixed.is_some() {
            let order = ExhaustOrder::ALL[stream.below(3)];
            steps.push(SequenceStep {
                operation: Operation::Exhaust { request: self.moderate_request(stream), order },
                caller: 0,
            });
        }
        while steps.len() + live.len() < length {
            let mut push = |operation, stream: &mut Stream| {
                steps.push(SequenceStep { operation, caller: caller(stream) })
            };
            let special = stream.below(128);
            if special == 0 && self.fixed.is_some() {
                let order = ExhaustOrder::ALL[stream.below(3)];
                push(Operation::Exhaust { request: self.moderate_request(stream), order }, stream);
                if !self.frees {
                    live.clear();
                }
            } else if special < 4 && self.churns {
                push(Operation::Churn { request: self.moderate_request(stream) }, stream);
                if !self.frees {
                    live.clear();
                }
            } else if special == 4 && !self.frees {
                push(Operation::Reclaim, stream);
                live.clear();
            } else if live.is_empty() || (live.len() < target && !stream.once_in(4)) {
                name += 1;
                let (request, zeroed) = (self.request(stream), stream.once_in(4));
                push(Operation::Alloc { name, request, zeroed }, stream);
                live.push(name);
            } else if live.len() >= target || stream.once_in(2) {
                let nth = match free_order {
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
                // Often the newest block: it is the one most likely to grow in place.
                let last = live.len() - 1;
                let nth = if stream.once_in(2) { last } else { stream.below(live.len()) };
                let (grows, whole) = (!stream.once_in(3), stream.once_in(4));
                push(
                    Operation::Resize {
                        name: live[nth],
                        request: self.request(stream),
                        grows,
                        whole,
                    },
                    stream,
                );
            }
        }
        if self.frees {
            let order = match free_order {
                FreeOrder::Last => ExhaustOrder::Lifo,
                FreeOrder::First | FreeOrder::Any => ExhaustOrder::Fifo,
                FreeOrder::Holes => ExhaustOrder::Comb,
            };
            for name in order.arrange(live) {
                steps.push(SequenceStep {
                    operation: Operation::Free { name, whole: false },
                    caller: caller(stream),
                });
            }
        }
        steps
    }

    /// A request that the port can grant many times, but not too many to fill it.
    fn moderate_request(&self, stream: &mut Stream) -> SizeRequest {
        let least = self.fixed.unwrap_or(0) / 1024;
        let size = least + 1 + stream.below(self.max_size.clamp(1, 256));
        SizeRequest::plain(size, 1 << stream.below(6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::operation::print;
    use crate::conformance::syntax::parse;

    #[test]
    fn the_seed_determines_the_sequences() {
        let range = |seed| SequenceRange {
            seed,
            operations: 2000,
            max_size: 4096,
            max_align: 4096,
            callers: 2,
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
