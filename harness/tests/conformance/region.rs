//! A first-fit port over a fixed region, with its records outside of the region and at most one flaw.
#![allow(unsafe_code, reason = "a port is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::thread::ThreadId;

use mallory::{Port, Refused};

/// What a request for memory returns.
type Granted = Result<NonNull<[u8]>, Refused>;

/// What is wrong with a region: one flaw for each promise of the contract, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Alignments above 16 are not met.
    Misaligned,
    /// Requests above 100 bytes are given 100 bytes.
    TooShort,
    /// Sizes are cut to 15 bits.
    Wraps,
    /// Only 24 bytes of a block are recorded as used.
    Overlapping,
    /// The region is a little larger than declared.
    Beyond,
    /// Only the first 16 bytes are zeroed.
    HalfZeroed,
    /// Growing copies at most 8 bytes.
    HalfCopied,
    /// A refused growth overwrites the block.
    Scribbles,
    /// A freed block's neighbour is written to.
    Trespasses,
    /// Empty requests are refused.
    NothingForNothing,
    /// Blocks aligned to more than 16 are never reused.
    Leaks,
    /// Large requests panic.
    Panics,
    /// Freeing an empty block follows a null pointer.
    Crashes,
    /// Shrinking to nothing aborts.
    Aborts,
    /// A block aligned to 64 ends the process.
    Exits,
    /// Freeing after a shrink loops for ever.
    Hangs,
    /// Each clone has records of its own.
    Separate,
    /// A block may only be freed by the thread that allocated it.
    ThreadBound,
    /// A block must be freed with the requested size, although it is longer.
    Strict,
    /// Reclaiming everything frees nothing.
    NoReset,
}

pub(crate) const SIZE: usize = 64 << 10;

struct Entry {
    start: usize,
    length: usize,
    asked: usize,
    thread: ThreadId,
}

struct Records {
    memory: NonNull<u8>,
    used: Vec<Entry>,
    shrunk: bool,
    lost: usize,
}

impl Drop for Records {
    fn drop(&mut self) {
        // SAFETY: made with this layout in `records`.
        unsafe { System.dealloc(self.memory.as_ptr(), room()) }
    }
}

fn room() -> Layout {
    crate::common::layout(2 * SIZE, SIZE)
}

fn records() -> Rc<RefCell<Records>> {
    // SAFETY: the layout is not empty. Filled, so that no byte is uninitialised or happens to be zero.
    let memory = unsafe {
        let memory = NonNull::new(System.alloc(room())).expect("memory for a test");
        memory.write_bytes(0xEE, room().size());
        memory
    };
    Rc::new(RefCell::new(Records { memory, used: Vec::new(), shrunk: false, lost: 0 }))
}

pub(crate) struct Region {
    flaw: Flaw,
    records: Rc<RefCell<Records>>,
}

impl Clone for Region {
    fn clone(&self) -> Region {
        let same = self.flaw != Flaw::Separate;
        let records = if same { Rc::clone(&self.records) } else { records() };
        Region { flaw: self.flaw, records }
    }
}

// SAFETY: the tests pass it from thread to thread, but make one call at a time.
unsafe impl Sync for Region {}

impl Region {
    pub(crate) fn new(flaw: Flaw) -> Region {
        Region { flaw, records: records() }
    }

    /// The bytes that are recorded as used, and those that are lost.
    pub(crate) fn held(&self) -> usize {
        let records = self.records.borrow();
        records.used.iter().map(|entry| entry.length).sum::<usize>() + records.lost
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

/// Writes through a null pointer.
fn crash() {
    // SAFETY: none, this is what a broken port does.
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }
}

// SAFETY: none if there is a flaw, which the suite detects.
unsafe impl Port for Region {
    fn alloc(&self, layout: Layout) -> Granted {
        assert!(!self.has(Flaw::Panics) || layout.size() <= 1000, "no more than a thousand");
        if self.has(Flaw::NothingForNothing) && layout.size() == 0 {
            return Err(Refused);
        }
        if self.has(Flaw::Exits) && layout.align() == 64 {
            std::process::exit(0);
        }
        let align =
            if self.has(Flaw::Misaligned) { layout.align().min(16) } else { layout.align() };
        let size = if self.has(Flaw::Wraps) { layout.size() & 0x7FFF } else { layout.size() };
        let end_of_all = if self.has(Flaw::Beyond) { SIZE + 4096 } else { SIZE };
        if align > SIZE {
            return Err(Refused);
        }
        let mut records = self.records.borrow_mut();
        let mut start = 0_usize;
        let mut place = 0;
        for entry in &records.used {
            let fits = start.checked_add(size.max(1)).is_some_and(|end| end <= entry.start);
            if fits {
                break;
            }
            start = (entry.start + entry.length).next_multiple_of(align);
            place += 1;
        }
        start.checked_add(size.max(1)).filter(|end| *end <= end_of_all).ok_or(Refused)?;
        let length = if self.has(Flaw::Overlapping) { size.min(24) } else { size }.max(1);
        let thread = std::thread::current().id();
        records.used.insert(place, Entry { start, length, asked: layout.size(), thread });
        // SAFETY: inside the room.
        let block = unsafe { records.memory.add(start) };
        let slack = if self.has(Flaw::Strict) { 1 } else { 0 };
        let granted = match layout.size() {
            size if self.has(Flaw::TooShort) => size.min(100),
            size if size + slack <= length => size + slack,
            size => size,
        };
        let granted = if self.has(Flaw::Strict) && layout.size() == 0 { 1 } else { granted };
        Ok(NonNull::slice_from_raw_parts(block, granted))
    }

    fn alloc_zeroed(&self, layout: Layout) -> Granted {
        let block = self.alloc(layout)?;
        let zeroed = if self.has(Flaw::HalfZeroed) { block.len().min(16) } else { block.len() };
        // SAFETY: the block was just handed out.
        unsafe { block.cast::<u8>().write_bytes(0, zeroed) };
        Ok(block)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let mut records = self.records.borrow_mut();
        let start = (block.as_ptr() as usize).wrapping_sub(records.memory.as_ptr() as usize);
        let place = records.used.iter().position(|entry| entry.start == start);
        let place = place.unwrap_or_else(|| panic!("a block that is not in the records"));
        while self.has(Flaw::Hangs) && records.shrunk {
            std::hint::spin_loop();
        }
        if self.has(Flaw::Crashes) && layout.size() == 0 {
            crash();
        }
        if self.has(Flaw::ThreadBound) {
            let own = records.used[place].thread == std::thread::current().id();
            assert!(own, "another thread's block");
        }
        if self.has(Flaw::Strict) {
            assert_eq!(records.used[place].asked, layout.size(), "another size");
        }
        if self.has(Flaw::Trespasses)
            && let Some(next) = records.used.get(place + 1)
        {
            // SAFETY: inside the room.
            unsafe { records.memory.add(next.start).write(0) }
        }
        if self.has(Flaw::Leaks) && layout.align() > 16 {
            records.lost += records.used[place].length;
            return;
        }
        records.used.remove(place);
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        let Ok(fresh) = self.alloc(new) else {
            if self.has(Flaw::Scribbles) && old.size() > 0 {
                // SAFETY: the block is not empty.
                unsafe { block.write(0) };
            }
            return Err(Refused);
        };
        let copied = if self.has(Flaw::HalfCopied) { old.size().min(8) } else { old.size() };
        // SAFETY: both blocks are alive and disjoint.
        unsafe {
            fresh.cast::<u8>().copy_from_nonoverlapping(block, copied);
            self.free(block, old);
        }
        Ok(fresh)
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        if self.has(Flaw::Aborts) && new.size() == 0 {
            std::process::abort();
        }
        let fresh = self.alloc(new)?;
        // SAFETY: both blocks are alive and disjoint.
        unsafe {
            fresh.cast::<u8>().copy_from_nonoverlapping(block, new.size());
            self.free(block, old);
        }
        self.records.borrow_mut().shrunk = true;
        Ok(fresh)
    }

    unsafe fn reclaim(&self) -> bool {
        if !self.has(Flaw::NoReset) {
            self.records.borrow_mut().used.clear();
        }
        true
    }
}
