//! Guard pages, and the table from which a process that dies at one finds out which block it
//! belongs to.
//!
//! The signal handler reads the table, so it is atomics in static memory, and no value in it is
//! ever used as a pointer.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::memory::form::asked_align;
use crate::process::backtrace::Stack;
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::trace::block_name;

/// Frames that are kept of the call stack of a block's allocation, and of its free.
const FRAMES: usize = 32;
/// Blocks in the table at once. A block for which there is no entry still has its guard page.
const ENTRIES: usize = 8192;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const LIVE: u8 = 2;
const FREED: u8 = 3;

/// What is known of a guarded block.
struct Entry {
    state: AtomicU8,
    /// The pages around the block, guard page included: first address, and the one after the last.
    from: AtomicUsize,
    to: AtomicUsize,
    /// The block's own address.
    start: AtomicUsize,
    size: AtomicUsize,
    align: AtomicUsize,
    number: AtomicU64,
    allocated: [AtomicUsize; FRAMES],
    freed: [AtomicUsize; FRAMES],
}

impl Entry {
    const fn new() -> Entry {
        Entry {
            state: AtomicU8::new(FREE),
            from: AtomicUsize::new(0),
            to: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            size: AtomicUsize::new(0),
            align: AtomicUsize::new(0),
            number: AtomicU64::new(0),
            allocated: [const { AtomicUsize::new(0) }; FRAMES],
            freed: [const { AtomicUsize::new(0) }; FRAMES],
        }
    }
}

static TABLE: [Entry; ENTRIES] = [const { Entry::new() }; ENTRIES];
/// The index at which the search for a free entry begins.
static CURSOR: AtomicUsize = AtomicUsize::new(0);

/// What [`enter`] is given of a guarded block; the fields are as in the table.
pub(crate) struct GuardedBlock {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) start: usize,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) number: u64,
}

fn write(to: &[AtomicUsize; FRAMES], stack: &[usize]) {
    let frames = stack.iter().copied().chain(std::iter::repeat(0));
    for (place, frame) in to.iter().zip(frames) {
        place.store(frame, Ordering::Relaxed);
    }
}

/// Enters a live block and returns its index: the old one if it has one. `None` if the table is
/// full.
pub(crate) fn enter(block: &GuardedBlock, place: Option<usize>, stack: &Stack) -> Option<usize> {
    let take = |place: usize| {
        let state = &TABLE[place].state;
        let taken = state.compare_exchange(FREE, TAKEN, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok().then_some(place)
    };
    let place = match place {
        Some(place) => place,
        None => {
            let first = CURSOR.fetch_add(1, Ordering::Relaxed);
            (0..ENTRIES).find_map(|nth| take((first + nth) % ENTRIES))?
        }
    };
    let entry = &TABLE[place];
    entry.from.store(block.from, Ordering::Relaxed);
    entry.to.store(block.to, Ordering::Relaxed);
    entry.start.store(block.start, Ordering::Relaxed);
    entry.size.store(block.size, Ordering::Relaxed);
    entry.align.store(block.align, Ordering::Relaxed);
    entry.number.store(block.number, Ordering::Relaxed);
    write(&entry.allocated, stack);
    entry.state.store(LIVE, Ordering::Relaxed);
    Some(place)
}

/// Marks a block as freed and quarantined.
pub(crate) fn retire(place: usize, stack: &Stack) {
    write(&TABLE[place].freed, stack);
    TABLE[place].state.store(FREED, Ordering::Relaxed);
}

/// Removes a block whose memory is given back.
pub(crate) fn leave(place: usize) {
    TABLE[place].state.store(FREE, Ordering::Relaxed);
}

/// The size of a page.
pub(crate) fn page() -> usize {
    // SAFETY: `sysconf` has no precondition.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Makes whole pages accessible (`open`), or makes every access to them a SIGSEGV. Returns whether
/// that succeeded.
///
/// # Safety
/// - The pages from `from` to `to` are the caller's memory, and no other code relies on access to
///   them.
pub(crate) unsafe fn protect(from: usize, to: usize, open: bool) -> bool {
    if from >= to {
        return true;
    }
    let rights = if open { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    // SAFETY: the caller promises that only it relies on these pages.
    unsafe { libc::mprotect(from as *mut libc::c_void, to - from, rights) == 0 }
}

/// Describes the block in whose pages an address is, in words for [`read`] that are passed to
/// `push` one after the other. Returns false if it is in no known block's pages. Calls nothing that
/// allocates or locks.
///
/// `is_write` says whether the address was written or read, if that is known.
pub(crate) fn describe(address: usize, is_write: Option<bool>, push: &mut dyn FnMut(u64)) -> bool {
    let get = |value: &AtomicUsize| value.load(Ordering::Relaxed);
    let contains = |entry: &&Entry| {
        entry.state.load(Ordering::Relaxed) >= LIVE
            && (get(&entry.from)..get(&entry.to)).contains(&address)
    };
    let Some(entry) = TABLE.iter().find(contains) else { return false };
    let is_freed = entry.state.load(Ordering::Relaxed) == FREED;
    let distance = address.wrapping_sub(get(&entry.start));
    let facts = [
        entry.number.load(Ordering::Relaxed),
        get(&entry.size) as u64,
        get(&entry.align) as u64,
        distance as u64,
        u64::from(is_freed),
        is_write.map_or(0, |is_write| 1 + u64::from(is_write)),
    ];
    facts.into_iter().for_each(&mut *push);
    for stack in [&entry.allocated, &entry.freed] {
        stack.iter().for_each(|frame| push(get(frame) as u64));
    }
    true
}

/// An access to a guard page, as the process that died of it described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuardHit {
    /// The block: its number, size and alignment.
    pub(crate) number: u64,
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// Where it was accessed: the distance from its start.
    pub(crate) offset: isize,
    /// Whether that was a write, if that is known.
    pub(crate) is_write: Option<bool>,
    pub(crate) is_freed: bool,
    pub(crate) accessed: Stack,
    pub(crate) allocated: Stack,
    /// Empty if the block was live.
    pub(crate) freed: Stack,
}

impl GuardHit {
    /// The place, such as `3 bytes past the end of a12 (64 bytes, align 8)`.
    pub(crate) fn place(&self) -> String {
        let bytes = |n: usize| count(n as u64, "byte");
        let block = match asked_align(self.align) {
            0 => format!("{} ({})", block_name(self.number), bytes(self.size)),
            align => format!("{} ({}, align {align})", block_name(self.number), bytes(self.size)),
        };
        let was_freed = if self.is_freed { ", which was freed" } else { "" };
        let distance = self.offset.unsigned_abs();
        if self.offset < 0 {
            format!("{} before {block}{was_freed}", bytes(distance))
        } else if distance >= self.size {
            format!("{} past the end of {block}{was_freed}", bytes(distance - self.size + 1))
        } else {
            format!("byte {distance} of {block}{was_freed}")
        }
    }

    /// What it is that went wrong: the block was freed, or else the access was before or behind it.
    pub(crate) fn kind(&self) -> Kind {
        match self.offset {
            _ if self.is_freed => Kind::UseAfterFree,
            ..0 => Kind::HeapBufferUnderflow,
            _ => Kind::HeapBufferOverflow,
        }
    }

    /// `a read`, `a write` or, where that is unknown, `an access`.
    pub(crate) fn access(&self) -> &'static str {
        match self.is_write {
            Some(true) => "a write",
            Some(false) => "a read",
            None => "an access",
        }
    }
}

/// Decodes the words of [`describe`], followed by the call stack of the access.
pub(crate) fn read(words: &[usize]) -> Option<GuardHit> {
    let (facts, rest) = words.split_at_checked(6)?;
    let (allocated, rest) = rest.split_at_checked(FRAMES)?;
    let (freed, accessed) = rest.split_at_checked(FRAMES)?;
    let &[number, size, align, distance, is_freed, access] = facts else { return None };
    let stack = |words: &[usize]| words.iter().copied().filter(|word| *word != 0).collect();
    let is_freed = is_freed == 1;
    Some(GuardHit {
        number: number as u64,
        size,
        align,
        offset: distance as isize,
        is_write: [None, Some(false), Some(true)].get(access).copied().flatten(),
        is_freed,
        accessed: stack(accessed),
        allocated: stack(allocated),
        freed: if is_freed { stack(freed) } else { Stack::new() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_described_by_its_block() {
        let start = 0x7000_0000_0FC0;
        let (from, to) = (0x7000_0000_0000, 0x7000_0000_2000);
        let known = GuardedBlock { from, to, start, size: 60, align: 4, number: 12 };
        let place = enter(&known, None, &vec![11, 12]).expect("room");
        let hit_at = |address: usize| {
            let mut words = Vec::new();
            describe(address, Some(false), &mut |word| words.push(word as usize)).then(|| {
                words.push(99);
                read(&words).expect("all of it")
            })
        };
        let hit = hit_at(start + 62).expect("its page");
        assert_eq!(hit.place(), "3 bytes past the end of a12 (60 bytes, align 4)");
        assert_eq!((hit.allocated, hit.freed, hit.accessed), (vec![11, 12], vec![], vec![99]));
        assert_eq!(
            hit_at(start - 1).expect("its page").place(),
            "1 byte before a12 (60 bytes, align 4)"
        );
        retire(place, &vec![13]);
        let hit = hit_at(start + 5).expect("its page");
        assert_eq!((hit.kind(), hit.access()), (Kind::UseAfterFree, "a read"));
        assert_eq!(hit.place(), "byte 5 of a12 (60 bytes, align 4), which was freed");
        assert_eq!(hit.freed, [13]);
        assert_eq!(hit_at(to), None);
        leave(place);
        assert_eq!(hit_at(start), None);
    }
}
