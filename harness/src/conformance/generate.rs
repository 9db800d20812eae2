//! Generates sequences from a seed: sizes and alignments near their limits, frees in four orders, and
//! resizes of which most keep the alignment. Only those reach the `realloc` of an allocator that can't
//! change it: adapters make the others of an allocation, a copy and a free.

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

/// Steps of a long sequence. Each is followed by short ones with as many steps together: arenas soon
/// refuse everything, and every sequence begins with a fresh port.
const LENGTH: usize = 512;
const SHORT_LENGTH: usize = 128;
/// Short sequences behind each long one.
const SHORT_ONES: usize = LENGTH / SHORT_LENGTH;
/// The most live blocks.
const LIVE_MAX: usize = 48;

/// A power of two up to `most`, or one less or more.
fn near_power(stream: &mut Stream, most: usize) -> usize {
    let bits = usize::BITS as usize - most.max(1).leading_zeros() as usize;
    let power = 1_usize << stream.below(bits.max(1));
    (power + stream.below(3)).saturating_sub(1).min(most)
}

/// What the requests of one sequence have in common.
struct Profile {
    /// The largest usual size. Where it is small, a small region serves many requests before it is full.
    max_size: usize,
    /// Sizes that are requested again and again.
    usual: [usize; 3],
}

impl Profile {
    fn new(range: &SequenceRange, stream: &mut Stream) -> Profile {
        let max_size = match stream.below(4) {
            0 | 1 => range.max_size,
            2 => range.max_size.min(2048),
            _ => range.max_size.min(128),
        };
        let usual = std::array::from_fn(|_| near_power(stream, max_size.min(512)));
        Profile { max_size, usual }
    }
}

/// A live block of a sequence, if the port grants it.
struct GeneratedBlock {
    name: u32,
    size: usize,
    align: usize,
}

impl GeneratedBlock {
    fn set(&mut self, request: SizeRequest) {
        // What is impossible is refused, and then nothing changes.
        if let Size::Plain(size) = request.size {
            (self.size, self.align) = (size, request.align);
        }
    }
}

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
        let (rounds, rest) = (self.operations / (2 * LENGTH), self.operations % (2 * LENGTH));
        let long = usize::from(rest > 0);
        let short = rest.saturating_sub(LENGTH).div_ceil(SHORT_LENGTH);
        (rounds * (1 + SHORT_ONES) + long + short).max(1) as u64
    }

    fn request(&self, profile: &Profile, stream: &mut Stream) -> SizeRequest {
        let align = self.align(stream);
        let size = match stream.below(32) {
            0..=2 => 0,
            3 => return SizeRequest { size: Size::Max(stream.below(64)), align },
            4..=10 => near_power(stream, profile.max_size),
            11..=13 => stream.below(profile.max_size.saturating_add(1)),
            // Freed blocks of these sizes are reused, often with another alignment.
            14..=20 => profile.usual[stream.below(profile.usual.len())],
            _ => stream.below(profile.max_size.min(128) + 1),
        };
        SizeRequest::plain(size, align)
    }

    /// A resize of a block: whether it grows, and to what.
    fn resize(
        &self,
        profile: &Profile,
        block: &GeneratedBlock,
        stream: &mut Stream,
    ) -> (bool, SizeRequest) {
        let align = if stream.once_in(8) { self.align(stream) } else { block.align };
        let old = block.size;
        let size = match stream.below(32) {
            0 => return (true, SizeRequest { size: Size::Max(stream.below(64)), align }),
            1 | 2 => 0,
            3 | 4 => old,
            5..=9 => old.saturating_add(1 + stream.below(16)),
            10..=12 => old.saturating_mul(2).saturating_add(stream.below(3)).saturating_sub(1),
            13..=15 => old.saturating_sub(1 + stream.below(16)),
            16..=18 => old / 2,
            19..=21 => stream.below(17),
            22..=25 => near_power(stream, profile.max_size),
            26 => near_power(stream, self.max_size),
            27..=29 => stream.below(profile.max_size.saturating_add(1)),
            _ => stream.below(profile.max_size.min(128) + 1),
        };
        let size = size.min(self.max_size);
        let grows = if size == old { stream.once_in(2) } else { size > old };
        (grows, SizeRequest::plain(size, align))
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
        let is_long = nth.is_multiple_of(1 + SHORT_ONES as u64);
        let length = if is_long { LENGTH.min(self.operations.max(1)) } else { SHORT_LENGTH };
        let mut steps = Vec::with_capacity(length);
        let mut live: Vec<GeneratedBlock> = Vec::new();
        let profile = &Profile::new(self, stream);
        let (mut name, mut target) = (0, LIVE_MAX);
        let caller = |stream: &mut Stream| match self.callers {
            0 | 1 => 0,
            _ if stream.once_in(2) => 0,
            callers => stream.below(usize::from(callers)) as u8,
        };
        // The port is filled at the begin, when all of it is free, and again in between. Every other
        // sequence leaves it: many ports serve no other size once they were full of one.
        let fills = self.fixed.is_some() && nth.is_multiple_of(2);
        if fills {
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
            if special == 0 && fills {
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
            } else if (4..8).contains(&special) && !self.frees {
                push(Operation::Reclaim, stream);
                live.clear();
            } else if live.is_empty() || (live.len() < target && !stream.once_in(4)) {
                name += 1;
                let (request, zeroed) = (self.request(profile, stream), stream.once_in(4));
                push(Operation::Alloc { name, request, zeroed }, stream);
                let Size::Plain(size) = request.size else { continue };
                let mut block = GeneratedBlock { name, size, align: request.align };
                // At once, while nothing is behind it: arenas resize their last block in place.
                let resizes = if stream.once_in(4) { 1 + stream.below(3) } else { 0 };
                for _ in 0..resizes {
                    let (grows, request) = self.resize(profile, &block, stream);
                    let whole = stream.once_in(4);
                    push(Operation::Resize { name, request, grows, whole }, stream);
                    block.set(request);
                }
                live.push(block);
            } else if live.len() >= target || stream.once_in(2) {
                let nth = match free_order {
                    FreeOrder::Last => live.len() - 1,
                    FreeOrder::First => 0,
                    // Often the last but one, whose neighbours are in use and still the newest.
                    FreeOrder::Any if stream.once_in(4) => live.len().saturating_sub(2),
                    FreeOrder::Any => stream.below(live.len()),
                    FreeOrder::Holes => (2 * stream.below(live.len() / 2 + 1)).min(live.len() - 1),
                };
                let name = live.remove(nth).name;
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
                let (grows, request) = self.resize(profile, &live[nth], stream);
                let (name, whole) = (live[nth].name, stream.once_in(4));
                push(Operation::Resize { name, request, grows, whole }, stream);
                live[nth].set(request);
            }
        }
        if self.frees {
            let order = match free_order {
                FreeOrder::Last => ExhaustOrder::Lifo,
                FreeOrder::First | FreeOrder::Any => ExhaustOrder::Fifo,
                FreeOrder::Holes => ExhaustOrder::Comb,
            };
            for block in order.arrange(live) {
                steps.push(SequenceStep {
                    operation: Operation::Free { name: block.name, whole: false },
                    caller: caller(stream),
                });
            }
        }
        steps
    }

    /// A random sequence of this length, for the shrinker: without steps that are many calls.
    pub(crate) fn short_sequence(&self, nth: u64, length: usize) -> Vec<SequenceStep> {
        let stream = &mut Stream::new(length as u64, nth);
        let profile = &Profile::new(self, stream);
        let mut live: Vec<GeneratedBlock> = Vec::new();
        let mut steps = Vec::with_capacity(length);
        for name in (1..).take(length) {
            let whole = stream.once_in(4);
            let place = stream.below(live.len().max(1));
            let operation = match live.get_mut(place) {
                Some(block) if stream.once_in(3) => {
                    let (grows, request) = self.resize(profile, block, stream);
                    block.set(request);
                    Operation::Resize { name: block.name, request, grows, whole }
                }
                Some(_) if stream.once_in(3) && self.frees => {
                    Operation::Free { name: live.swap_remove(place).name, whole }
                }
                Some(_) if stream.once_in(16) && !self.frees => Operation::Reclaim,
                _ => {
                    let (request, zeroed) = (self.request(profile, stream), stream.once_in(4));
                    let Size::Plain(size) = request.size else { continue };
                    live.push(GeneratedBlock { name, size, align: request.align });
                    Operation::Alloc { name, request, zeroed }
                }
            };
            let caller = stream.below(usize::from(self.callers.max(1))) as u8;
            steps.push(SequenceStep { operation, caller });
        }
        steps
    }

    /// A request that the port can grant many times, but not too many to fill it.
    fn moderate_request(&self, stream: &mut Stream) -> SizeRequest {
        let least = self.fixed.unwrap_or(0) / 1024;
        let size = least + 1 + stream.below(self.max_size.clamp(1, 256));
        // Where a larger alignment fits depends on the address of the memory, which may be another one when
        // the port is filled again.
        let bits = 6.min(self.max_align.ilog2() as usize + 1);
        SizeRequest::plain(size, 1 << stream.below(bits))
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
        assert_eq!(range(0).sequences(), 10);
        assert_eq!(SequenceRange { operations: 1, ..range(0) }.sequences(), 1);
        assert_eq!(SequenceRange { operations: 513, ..range(0) }.sequences(), 2);
        let text = |seed, nth| print(&range(seed).sequence(nth));
        assert_eq!(text(0, 1), text(0, 1));
        assert_ne!(text(0, 1), text(1, 1));
        assert_ne!(text(0, 1), text(0, 2));
        assert_eq!(range(0).short_sequence(3, 4), range(0).short_sequence(3, 4));
        for nth in [0, 5, 10, 15] {
            let steps = range(7).sequence(nth);
            assert_eq!(parse(&print(&steps)).expect("a sequence"), steps);
            let mut aligns = std::collections::BTreeMap::new();
            let (mut kept, mut high, mut at_once, mut all) = (0, 0, 0, 0);
            for pair in steps.windows(2) {
                match (pair[0].operation, pair[1].operation) {
                    (
                        Operation::Alloc { name: new, .. },
                        Operation::Resize { name, grows: true, .. },
                    ) if new == name => at_once += 1,
                    _ => {}
                }
                match pair[0].operation {
                    Operation::Alloc { name, request, .. } => {
                        aligns.insert(name, request.align);
                    }
                    Operation::Resize { name, request, .. } => {
                        let is_kept = aligns.insert(name, request.align) == Some(request.align);
                        all += 1;
                        kept += u32::from(is_kept);
                        high += u32::from(is_kept && request.align >= 64);
                    }
                    _ => {}
                }
            }
            assert!(kept * 4 > all * 3, "{kept} of {all} resizes keep the alignment");
            assert!(high > 5, "{high} resizes of blocks aligned to 64 or more");
            assert!(at_once > 10, "{at_once} blocks grow at once");
            for word in ["alloc 0 ", "max", "zeroed", "grow", "shrink", "whole", "by 1"] {
                assert!(print(&steps).contains(word), "{word} is in sequence {nth}");
            }
        }
    }
}
