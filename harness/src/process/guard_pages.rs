//! Guard pages, and the board on which a process that dies at one finds out whose it was.
//!
//! The table is read by the handler of the signal: it is atomics in static memory, and nothing in
//! it is ever followed as a pointer.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::process::backtrace::Stack;

/// Frames that are kept of a block's allocation and of its free.
const FRAMES: usize = 32;
/// Blocks that are known at once. One that finds no place still has its guard page.
const ENTRIES: usize = 8192;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const LIVE: u8 = 2;
const FREED: u8 = 3;

/// What is known of a guarded block.
struct Entry {
    state: AtomicU8,
    /// The pages around it, guard included.
    from: AtomicUsize,
    to: AtomicUsize,
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
/// Where a free place is looked for first.
static CURSOR: AtomicUsize = AtomicUsize::new(0);

/// A guarded block as it is entered.
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

/// Enters a live block, at its old place if it has one. None where the table is full.
pub(crate) fn enter(known: &GuardedBlock, place: Option<usize>, stack: &Stack) -> Option<usize> {
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
    entry.from.store(known.from, Ordering::Relaxed);
    entry.to.store(known.to, Ordering::Relaxed);
    entry.start.store(known.start, Ordering::Relaxed);
    entry.size.store(known.size, Ordering::Relaxed);
    entry.align.store(known.align, Ordering::Relaxed);
    entry.number.store(known.number, Ordering::Relaxed);
    write(&entry.allocated, stack);
    entry.state.store(LIVE, Ordering::Relaxed);
    Some(place)
}

/// The block was freed, and is kept from use.
pub(crate) fn retire(place: usize, stack: &Stack) {
    write(&TABLE[place].freed, stack);
    TABLE[place].state.store(FREED, Ordering::Relaxed);
}

/// The block's memory goes back to where it came from.
pub(crate) fn leave(place: usize) {
    TABLE[place].state.store(FREE, Ordering::Relaxed);
}

/// The size of a page.
pub(crate) fn page() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Lets whole pages be used, or kills whoever touches them. Answers whether it could.
///
/// # Safety
/// - the pages from `from` to `to` are memory of the caller's, which nobody else relies on.
pub(crate) unsafe fn protect(from: usize, to: usize, open: bool) -> bool {
    if from >= to {
        return true;
    }
    let rights = if open { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(from as *mut libc::c_void, to - from, rights) == 0 }
}

/// Tells whose page an address is in: words for [`read`], one after the other. Answers whether it
/// is one at all. Calls nothing that allocates or locks.
pub(crate) fn tell(address: usize, say: &mut dyn FnMut(u64)) -> bool {
    let get = |value: &AtomicUsize| value.load(Ordering::Relaxed);
    let is_its = |entry: &&Entry| {
        entry.state.load(Ordering::Relaxed) >= LIVE
            && (get(&entry.from)..get(&entry.to)).contains(&address)
    };
    let Some(entry) = TABLE.iter().find(is_its) else { return false };
    let is_freed = entry.state.load(Ordering::Relaxed) == FREED;
    let distance = address.wrapping_sub(get(&entry.start));
    let facts = [
        entry.number.load(Ordering::Relaxed),
        get(&entry.size) as u64,
        get(&entry.align) as u64,
        distance as u64,
        u64::from(is_freed),
    ];
    facts.into_iter().for_each(&mut *say);
    for stack in [&entry.allocated, &entry.freed] {
        stack.iter().for_each(|frame| say(get(frame) as u64));
    }
    true
}

/// What a process said that died at a guard page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuardHit {
    /// The place, such as `3 bytes past the end of a12 (64 bytes, align 8)`.
    pub(crate) place: String,
    pub(crate) accessed: Stack,
    pub(crate) allocated: Stack,
    /// Empty where it was alive.
    pub(crate) freed: Stack,
}

/// Reads what [`tell`] told, followed by the stack of the access.
pub(crate) fn read(words: &[usize]) -> Option<GuardHit> {
    let (facts, rest) = words.split_at_checked(5)?;
    let (allocated, rest) = rest.split_at_checked(FRAMES)?;
    let (freed, accessed) = rest.split_at_checked(FRAMES)?;
    let &[number, size, align, distance, is_freed] = facts else { return None };
    let stack = |words: &[usize]| words.iter().copied().filter(|word| *word != 0).collect();
    let bytes = |n: usize| crate::report::format::count(n as u64, "byte");
    let block = format!("a{number} ({}, align {align})", bytes(size));
    let was_freed = if is_freed == 1 { ", which was freed" } else { "" };
    let far = distance as isize;
    let place = if far < 0 {
        format!("{} before {block}{was_freed}", bytes(far.unsigned_abs()))
    } else if distance >= size {
        format!("{} past the end of {block}{was_freed}", bytes(distance - size + 1))
    } else {
        format!("byte {distance} of {block}{was_freed}")
    };
    let freed = if is_freed == 1 { stack(freed) } else { Stack::new() };
    Some(GuardHit { place, accessed: stack(accessed), allocated: stack(allocated), freed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_by_its_block() {
        let start = 0x7000_0000_0FC0;
        let (from, to) = (0x7000_0000_0000, 0x7000_0000_2000);
        let known = GuardedBlock { from, to, start, size: 60, align: 4, number: 12 };
        let place = enter(&known, None, &vec![11, 12]).expect("room");
        let said = |address: usize| {
            let mut words = Vec::new();
            tell(address, &mut |word| words.push(word as usize)).then(|| {
                words.push(99);
                read(&words).expect("all of it")
            })
        };
        let hit = said(start + 62).expect("its page");
        assert_eq!(hit.place, "3 bytes past the end of a12 (60 bytes, align 4)");
        assert_eq!((hit.allocated, hit.freed, hit.accessed), (vec![11, 12], vec![], vec![99]));
        assert_eq!(
            said(start - 1).expect("its page").place,
            "1 byte before a12 (60 bytes, align 4)"
        );
        retire(place, &vec![13]);
        let hit = said(start + 5).expect("its page");
        assert_eq!(hit.place, "byte 5 of a12 (60 bytes, align 4), which was freed");
        assert_eq!(hit.freed, [13]);
        assert_eq!(said(to), None);
        leave(place);
        assert_eq!(said(start), None);
    }
}
