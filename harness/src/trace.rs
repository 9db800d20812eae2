//! What happens in a run: operations, coordinates, events, injected faults, and the run's
//! fingerprint. Also the hash functions and random streams that depend on nothing but their seeds.

use std::fmt;
use std::str::FromStr;

/// An operation of a heap. All but [`Free`](Op::Free) are requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Allocates a block.
    Alloc,
    /// Allocates a block of zeroes.
    AllocZeroed,
    /// Makes a block larger.
    Grow,
    /// Makes a block smaller.
    Shrink,
    /// Frees a block. It is the only operation that is no request, since it can't be refused.
    Free,
}

impl Op {
    pub(crate) const ALL: [Op; 5] = [Op::Alloc, Op::AllocZeroed, Op::Grow, Op::Shrink, Op::Free];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Op::Alloc => "alloc",
            Op::AllocZeroed => "alloc_zeroed",
            Op::Grow => "grow",
            Op::Shrink => "shrink",
            Op::Free => "free",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request's place in a run, printed as `T0#37`: logical thread 0's 37th request over all heaps.
///
/// ```
/// use mallory::plan::Coordinate;
/// let place: Coordinate = "T0#37".parse()?;
/// assert_eq!((place.thread, place.ordinal), (0, 37));
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinate {
    /// The logical thread, from 0 in the order in which threads are spawned.
    pub thread: u16,
    /// The number of the request among those of its thread, from 1.
    pub ordinal: u64,
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}#{}", self.thread, self.ordinal)
    }
}

impl FromStr for Coordinate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a coordinate like T0#18";
        let (thread, ordinal) =
            text.strip_prefix('T').and_then(|rest| rest.split_once('#')).ok_or(EXPECTED)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(thread) || !digits(ordinal) {
            return Err(EXPECTED);
        }
        let thread = thread.parse().map_err(|_| "the thread's number is out of range")?;
        let ordinal = ordinal.parse().map_err(|_| "the request's number is out of range")?;
        if ordinal == 0 {
            return Err("requests count from 1");
        }
        Ok(Coordinate { thread, ordinal })
    }
}

/// One call of a heap. The fingerprint is a hash of all events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) op: Op,
    pub(crate) heap: u16,
    pub(crate) thread: u16,
    pub(crate) align: usize,
    pub(crate) size: usize,
    pub(crate) end: End,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// Failed by the plan.
    Injected,
    /// Refused by the port or by a detector.
    Refused,
}

impl End {
    pub(crate) const ALL: [End; 3] = [End::Done, End::Injected, End::Refused];
}

impl Event {
    #[inline(always)]
    fn word(self) -> u64 {
        (self.size as u64)
            ^ (self.op as u64) << 61
            ^ (self.end as u64) << 59
            ^ (self.align.trailing_zeros() as u64) << 53
            ^ (self.heap as u64) << 43
            ^ (self.thread as u64) << 33
    }
}

/// A rolling hash over a run's events: two runs with equal fingerprints made the same calls in the
/// same order. Addresses, returned sizes and call sites are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    pub(crate) const START: Fingerprint = Fingerprint(0x6D61_6C6C_6F72_7900);

    #[inline(always)]
    pub(crate) fn add(&mut self, event: Event) {
        self.0 = (self.0.rotate_left(23) ^ event.word()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    /// The fingerprint of a run, from those of its threads.
    pub(crate) fn of_threads(threads: impl Iterator<Item = Fingerprint>) -> Self {
        let add = |all: u64, thread: Fingerprint| mix(all.rotate_left(23) ^ thread.0);
        Fingerprint(threads.fold(Self::START.0, add))
    }

    /// The 24 bits that a token contains.
    pub(crate) fn short(self) -> u32 {
        (mix(self.0) >> 40) as u32
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The bits of a block's number that count the blocks of its thread.
const NTH_BITS: u32 = 28;
/// The largest thread that a block's number can hold.
const NUMBERED_MAX: usize = 255;

/// The number before that of a thread's first block, and of its first event. The first thread counts
/// from 1, as a run of one thread does.
pub(crate) fn numbers_of(thread: usize) -> u64 {
    (thread.min(NUMBERED_MAX) as u64) << NTH_BITS
}

/// The name of the block with this number: `a12` is the 12th that the first thread allocated, `T1.a12`
/// the 12th of thread T1.
pub(crate) fn block_name(number: u64) -> String {
    let nth = number & ((1 << NTH_BITS) - 1);
    match number >> NTH_BITS {
        0 => format!("a{nth}"),
        thread => format!("T{thread}.a{nth}"),
    }
}

/// The finaliser of splitmix64: every bit of the input affects every bit of the output.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A stream of random numbers from a seed (splitmix64).
pub(crate) struct Stream(u64);

impl Stream {
    /// The `nth` stream of this seed.
    pub(crate) fn new(seed: u64, nth: u64) -> Stream {
        Stream(mix(mix(seed ^ 0x9E37_79B9_7F4A_7C15) ^ nth))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A random number below `n`, which must not be 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// True with probability `1 / n`.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A hash of bytes that is the same on every machine and in every version (FNV-1a, finished by
/// [`mix`]). Ids and keys of findings are made with it, so it must never change.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    }
    mix(hash)
}

/// A request that the plan failed: what it was and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) at: Coordinate,
    pub(crate) op: Op,
    pub(crate) size: usize,
    pub(crate) heap: u16,
    /// The number of the event in the run.
    pub(crate) event: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_printed_and_read_back() {
        let place = Coordinate { thread: 3, ordinal: 4096 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in ["", "T0", "T#1", "T0#", "T0#0", "T0#-1", "T0#+1", "t0#1", "T70000#1"] {
            assert!(bad.parse::<Coordinate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_part_of_an_event_changes_the_fingerprint() {
        let event = Event { op: Op::Alloc, heap: 0, thread: 0, align: 8, size: 64, end: End::Done };
        let of = |event| {
            let mut print = Fingerprint::START;
            print.add(event);
            print.0
        };
        let others = [
            Event { op: Op::Grow, ..event },
            Event { heap: 1, ..event },
            Event { thread: 1, ..event },
            Event { align: 16, ..event },
            Event { size: 65, ..event },
            Event { end: End::Injected, ..event },
        ];
        for other in others {
            assert_ne!(of(event), of(other), "{other:?}");
        }
    }
}
