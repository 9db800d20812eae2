//! The memory of a guarded run: every block has pages of its own, with inaccessible pages around
//! them, and no address is used twice. A stray access stops at its instruction, is written to a
//! list, and goes on, so that one run shows more than one bug.
//!
//! ```text
//!  │ inaccessible │ pages of block 1 │ inaccessible │ pages of block 2 │ inaccessible │ …
//!                                 ▲ the block ends here (`After`), or begins at the other end
//! ```
//!
//! Pages are taken from one large reserved range, in the order of the requests, so the blocks in
//! the table are sorted by address and the signal handler finds one by bisection. The table and the
//! list of hits are plain memory made of atomics; the list is shared with the parent, so it outlives
//! the run.
//!
//! There is at most one region in a process: a guarded run is made in a child of its own.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::memory::preloaded::is_preloaded;
use crate::process::guard_pages::page;
use crate::process::hit_list::{self, READ_WRITE, map};
use crate::process::reachability;
use crate::trace::mix;

/// The size of the reserved range in bytes. It costs address space, and no memory.
const RANGE: usize = 1 << 36;
/// Inaccessible pages between two blocks.
const GAP_PAGES: usize = 16;
/// Blocks in the table.
const SLOTS: usize = 1 << 18;
const TABLE_BYTES: usize = SLOTS * size_of::<GuardedSlot>();
/// The most live blocks: each is a mapping, of which a process has 65,530, and the subject needs some.
const LIVE_MAX: usize = 1 << 14;
/// The alignment of every block of C's `malloc`, whatever it is asked for.
const ALIGN_OF_MALLOC: usize = 16;
/// The first blocks of a run are all guarded. Of the others one of [`SAMPLE`] is.
const GUARDED_FIRST: u64 = 1 << 11;
const SAMPLE: u64 = 8;
/// At most this many bytes of a fresh block are filled. A larger block's other bytes are zero.
const FILLED_MAX: usize = 1 << 16;
/// The most bytes of freed blocks whose memory stays with the process: making them inaccessible is
/// cheaper than giving them back.
const KEPT_MAX: usize = 1 << 26;
/// On which side of its pages a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuardSide {
    /// At their end: reads and writes behind the block are seen.
    After,
    /// At their beginning: those before it.
    Before,
}

/// How a guarded run treats its blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardMode {
    pub(crate) side: GuardSide,
    pub(crate) seed: u64,
    /// Blocks up to this number, counted from 1, get one kind of fresh contents, and all later ones
    /// its complement.
    pub(crate) flip_after: u64,
}

/// A block of the region.
#[repr(C)]
struct GuardedSlot {
    start: AtomicUsize,
    size: AtomicUsize,
    align: AtomicUsize,
    /// Its pages: the first address, and the one behind the last.
    from: AtomicUsize,
    to: AtomicUsize,
    /// Which request of the region it is, from 1.
    asked: AtomicU64,
    /// Its number in the run; 0 until that is known.
    number: AtomicU64,
    /// The event of its free, 0 while that is unknown.
    freed: AtomicU64,
    is_freed: AtomicBool,
}

/// The region of this process: its range and its table, null if there is none.
static START: AtomicUsize = AtomicUsize::new(0);
static TABLE: AtomicPtr<GuardedSlot> = AtomicPtr::new(std::ptr::null_mut());
/// The offset in the range at which the next block's pages begin, and the number of slots in use.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);
/// Blocks that are live.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The bytes of freed blocks.
static FREED: AtomicUsize = AtomicUsize::new(0);
/// Requests so far, guarded or not.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// Reserves the region of this process. Does nothing if there is one.
///
/// # Errors
/// The system's error if there is no address space for it.
pub(crate) fn open() -> io::Result<()> {
    if START.load(Ordering::Relaxed) != 0 {
        return Ok(());
    }
    let private = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
    let range = map(RANGE, libc::PROT_NONE, private)?;
    let table = map(TABLE_BYTES, READ_WRITE, private)?;
    if is_preloaded() {
        // Its blocks are searched for pointers as the ledger knows them.
        reachability::leave_out(range.as_ptr() as usize..range.as_ptr() as usize + RANGE);
        reachability::leave_out(table.as_ptr() as usize..table.as_ptr() as usize + TABLE_BYTES);
    }
    TABLE.store(table.cast::<GuardedSlot>().as_ptr(), Ordering::Relaxed);
    START.store(range.as_ptr() as usize, Ordering::Relaxed);
    NEXT.store(GAP_PAGES * page(), Ordering::Relaxed);
    Ok(())
}

/// The slots in use.
fn slots() -> &'static [GuardedSlot] {
    let table = TABLE.load(Ordering::Relaxed);
    if table.is_null() {
        return &[];
    }
    // SAFETY: `open` mapped room for `SLOTS` slots, zeroed, which is valid for atomics, for good.
    unsafe { std::slice::from_raw_parts(table, USED.load(Ordering::Relaxed).min(SLOTS)) }
}

/// A fresh block of this layout, whose size is not 0; `None` if it is not to be guarded, or there is
/// no room for it.
pub(crate) fn alloc(layout: Layout, zeroed: bool, mode: GuardMode) -> Option<NonNull<u8>> {
    let number = ASKED.fetch_add(1, Ordering::Relaxed) + 1;
    let used = USED.load(Ordering::Relaxed);
    let is_meant = number <= GUARDED_FIRST || mix(mode.seed ^ number).is_multiple_of(SAMPLE);
    let base = START.load(Ordering::Relaxed);
    let has_room = used < SLOTS && LIVE.load(Ordering::Relaxed) < LIVE_MAX;
    if base == 0 || !has_room || !is_meant {
        return None;
    }
    let page = page();
    let align = layout.align().max(if is_preloaded() { ALIGN_OF_MALLOC } else { 1 });
    let body = layout.size().checked_next_multiple_of(page)?;
    let offset = NEXT.load(Ordering::Relaxed);
    let from = (base + offset).checked_next_multiple_of(layout.align().max(page))?;
    let to = from.checked_add(body)?;
    let next = (to - base).checked_add(GAP_PAGES * page)?;
    if next > RANGE {
        return None;
    }
    // SAFETY: pages of the region behind those of all former blocks: nobody uses them.
    if unsafe { libc::mprotect(from as *mut libc::c_void, body, READ_WRITE) } != 0 {
        return None;
    }
    let start = match mode.side {
        GuardSide::Before => from,
        GuardSide::After if layout.align() > page => from,
        GuardSide::After => (to - layout.size()) & !(align - 1),
    };
    if !zeroed {
        let flip = if number > mode.flip_after { u64::MAX } else { 0 };
        let word = (mix(mode.seed ^ 0xC0DE) ^ flip).to_ne_bytes();
        // SAFETY: these bytes are inside of the block, whose pages were just made accessible.
        let fresh = unsafe {
            std::slice::from_raw_parts_mut(start as *mut u8, layout.size().min(FILLED_MAX))
        };
        for part in fresh.chunks_mut(word.len()) {
            part.copy_from_slice(&word[..part.len()]);
        }
    }
    // SAFETY: `used < SLOTS`, for which the table has room.
    let slot = unsafe { &*TABLE.load(Ordering::Relaxed).add(used) };
    for (place, value) in [
        (&slot.start, start),
        (&slot.size, layout.size()),
        (&slot.align, layout.align()),
        (&slot.from, from),
        (&slot.to, to),
    ] {
        place.store(value, Ordering::Relaxed);
    }
    slot.asked.store(number, Ordering::Relaxed);
    USED.store(used + 1, Ordering::Relaxed);
    LIVE.fetch_add(1, Ordering::Relaxed);
    NEXT.store(next, Ordering::Relaxed);
    NonNull::new(start as *mut u8)
}

/// Makes a block inaccessible for good. Returns false if the block is not of the region.
pub(crate) fn free(block: NonNull<u8>) -> bool {
    let Some(slot) = slot_of(block.as_ptr() as usize) else {
        return false;
    };
    let (from, to) = (slot.from.load(Ordering::Relaxed), slot.to.load(Ordering::Relaxed));
    slot.is_freed.store(true, Ordering::Relaxed);
    LIVE.fetch_sub(1, Ordering::Relaxed);
    if FREED.fetch_add(to - from, Ordering::Relaxed) < KEPT_MAX {
        // SAFETY: these pages are the block's alone, and its owner has given it up.
        unsafe { libc::mprotect(from as *mut libc::c_void, to - from, libc::PROT_NONE) };
        return true;
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: these pages are the block's alone, and its owner has given it up.
    unsafe {
        libc::mmap(from as *mut libc::c_void, to - from, libc::PROT_NONE, flags, -1, 0);
    }
    true
}

/// The slot of the block that begins at this address.
fn slot_of(start: usize) -> Option<&'static GuardedSlot> {
    let slots = slots();
    let after = slots.partition_point(|slot| slot.from.load(Ordering::Relaxed) <= start);
    let slot = slots.get(after.checked_sub(1)?)?;
    (slot.start.load(Ordering::Relaxed) == start).then_some(slot)
}

/// Says which number the block at this address has in the run.
pub(crate) fn name(start: usize, number: u64) {
    if let Some(slot) = slot_of(start) {
        slot.number.store(number, Ordering::Relaxed);
    }
}

/// Requests of the region so far, guarded or not.
pub(crate) fn asked() -> u64 {
    ASKED.load(Ordering::Relaxed)
}

/// The number that the block of the region's Nth request has in the run; 0 if it is not guarded.
pub(crate) fn number_of(asked: u64) -> u64 {
    let slot = slots().iter().find(|slot| slot.asked.load(Ordering::Relaxed) == asked);
    slot.map_or(0, |slot| slot.number.load(Ordering::Relaxed))
}

/// Says which event frees the block at this address.
pub(crate) fn name_free(start: usize, event: u64) {
    if let Some(slot) = slot_of(start) {
        slot.freed.store(event, Ordering::Relaxed);
    }
}

/// The slot whose block is nearest to this address, and the address's distance from its start.
fn nearest(address: usize) -> Option<(&'static GuardedSlot, isize)> {
    let slots = slots();
    let load = |place: &AtomicUsize| place.load(Ordering::Relaxed);
    let after = slots.partition_point(|slot| load(&slot.from) <= address);
    let before = after.checked_sub(1).and_then(|nth| slots.get(nth));
    let behind_before = before
        .map(|slot| address.saturating_sub(load(&slot.start).saturating_add(load(&slot.size))));
    let next = slots.get(after);
    let ahead_of_next = next.map(|slot| load(&slot.start).saturating_sub(address));
    let slot = match (behind_before, ahead_of_next) {
        (Some(behind), Some(ahead)) if ahead < behind => next,
        (Some(_), _) => before,
        (None, _) => next,
    }?;
    Some((slot, address.wrapping_sub(load(&slot.start)) as isize))
}

/// If this address is in the region's inaccessible pages, writes the access to the list of hits and
/// makes the page accessible, so that the instruction can be repeated. `frames` writes the call stack
/// of the access. Returns whether it did. Calls nothing that allocates or locks.
pub(crate) fn record_hit(
    address: usize,
    is_write: Option<bool>,
    frames: impl FnOnce(&mut dyn FnMut(usize)),
) -> bool {
    let start = START.load(Ordering::Relaxed);
    if start == 0 || !(start..start + RANGE).contains(&address) {
        return false;
    }
    if !hit_list::has_list() {
        // A sheltered run: what its stray accesses are is known already.
        return open_page(address);
    }
    let Some((slot, offset)) = nearest(address) else { return false };
    let is_freed = slot.is_freed.load(Ordering::Relaxed);
    let facts = [
        slot.number.load(Ordering::Relaxed),
        slot.size.load(Ordering::Relaxed) as u64,
        slot.align.load(Ordering::Relaxed) as u64,
        offset as u64,
        is_write.map_or(0, |is_write| 1 + u64::from(is_write)),
        u64::from(is_freed),
        slot.freed.load(Ordering::Relaxed),
    ];
    hit_list::write(facts, frames) && open_page(address)
}

/// Makes a page of the region accessible.
fn open_page(address: usize) -> bool {
    let page = page();
    // SAFETY: a page of the region, which no block uses; from here on it is the stray access's.
    unsafe { libc::mprotect((address & !(page - 1)) as *mut libc::c_void, page, READ_WRITE) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: GuardMode = GuardMode { side: GuardSide::After, seed: 0, flip_after: u64::MAX };

    #[test]
    fn blocks_end_at_a_guard_and_are_found_by_address() {
        open().expect("address space");
        let layout = Layout::from_size_align(60, 4).expect("a layout");
        let block = alloc(layout, false, MODE).expect("a block");
        let start = block.as_ptr() as usize;
        assert_eq!((start + 60) % page(), 0);
        name(start, 7);
        let (slot, offset) = nearest(start + 61).expect("a block");
        assert_eq!((slot.number.load(Ordering::Relaxed), offset), (7, 61));
        let aligned = Layout::from_size_align(10, 1 << 14).expect("a layout");
        let second = alloc(aligned, false, MODE).expect("a block");
        assert_eq!(second.as_ptr() as usize % (1 << 14), 0);
        assert_eq!(nearest(second.as_ptr() as usize - 1).expect("a block").1, -1);
        assert!(free(block) && slot_of(start).is_some());
        let huge = Layout::from_size_align(RANGE, 1).expect("a layout");
        assert_eq!(alloc(huge, false, MODE), None);
    }
}
