//! A port over a fixed region with at most one flaw: first fit, with its books kept apart.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::thread::ThreadId;

use mallory::{Port, Refused};

type Answer = Result<NonNull<[u8]>, Refused>;

/// What is wrong with a region: one flaw for each promise, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Alignments above 16 are not met.
    Misaligned,
    /// Blocks above 100 bytes are answered with 100.
    TooShort,
    /// Sizes are cut to 16 bits.
    Wraps,
    /// Only 24 bytes of a block are entered in the books.
    Overlapping,
    /// There is a little more than was said.
    Beyond,
    /// Only the first 16 bytes are zeroed.
    HalfZeroed,
    /// Growing copies at most 8 bytes.
    HalfCopied,
    /// A refused grow leaves its mark in the block.
    Scribbles,
    /// A freed block's neighbour is written to.
    Trespasses,
    /// Empty requests are refused.
    NothingForNothing,
    /// Blocks aligned to more than 16 are never used again.
    Leaks,
    /// Large requests panic.
    Panics,
    /// Freeing an empty block follows a null pointer.
    Crashes,
    /// Shrinking to nothing aborts.
    Aborts,
    /// A block aligned to 64 ends the process.
    Exits,
    /// Freeing after a shrink goes round in circles.
    Hangs,
    /// Each clone has books of its own.
    Separate,
    /// A block may only be freed by the thread that asked for it.
    ThreadBound,
    /// A block has to be freed with the size that was asked for, though it is longer.
    Strict,
    /// Giving everything back gives nothing back.
    NoReset,
}

pub(crate) const SIZE: usize = 64 << 10;

struct Entry {
    start: usize,
    length: usize,
    asked: usize,
    thread: ThreadId,
}

struct Books {
    memory: NonNull<u8>,
    used: Vec<Entry>,
    shrunk: bool,
    lost: usize,
}

impl Drop for Books {
    fn drop(&mut self) {
        // SAFETY: made with this layout in `books`.
        unsafe { System.dealloc(self.memory.as_ptr(), room()) }
    }
}

fn room() -> Layout {
    super::layout(2 * SIZE, SIZE)
}

fn books() -> Rc<RefCell<Books>> {
    // SAFETY: not empty; filled, so that nothing of it is uninitialised or zero by luck.
    let memory = unsafe {
        let memory = NonNull::new(System.alloc(room())).expect("memory for a test");
        memory.write_bytes(0xEE, room().size());
        memory
    };
    Rc::new(RefCell::new(Books { memory, used: Vec::new(), shrunk: false, lost: 0 }))
}

pub(crate) struct Region {
    flaw: Flaw,
    books: Rc<RefCell<Books>>,
}

impl Clone for Region {
    fn clone(&self) -> Region {
        let same = self.flaw != Flaw::Separate;
        let books = if same { Rc::clone(&self.books) } else { books() };
        Region { flaw: self.flaw, books }
    }
}

// SAFETY: only ever used one call at a time, by tests that hand it from thread to thread.
unsafe impl Sync for Region {}

impl Region {
    pub(crate) fn new(flaw: Flaw) -> Region {
        Region { flaw, books: books() }
    }

    /// Bytes that are in the books, and those that never come back.
    pub(crate) fn held(&self) -> usize {
        let books = self.books.borrow();
        books.used.iter().map(|entry| entry.length).sum::<usize>() + books.lost
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

/// Follows a null pointer.
fn crash() {
    // SAFETY: none: this is what a broken port does.
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }
}

// SAFETY: none where there is a flaw: that is what the suite finds out.
unsafe impl Port for Region {
    fn alloc(&self, layout: Layout) -> Answer {
        assert!(!self.has(Flaw::Panics) || layout.size() <= 1000, "no more than a thousand");
        if self.has(Flaw::NothingForNothing) && layout.size() == 0 {
            return Err(Refused);
        }
        if self.has(Flaw::Exits) && layout.align() == 64 {
            std::process::exit(3);
        }
        let align =
            if self.has(Flaw::Misaligned) { layout.align().min(16) } else { layout.align() };
        let size = if self.has(Flaw::Wraps) { layout.size() & 0x7FFF } else { layout.size() };
        let end_of_all = if self.has(Flaw::Beyond) { SIZE + 4096 } else { SIZE };
        if align > SIZE {
            return Err(Refused);
        }
        let mut books = self.books.borrow_mut();
        let mut start = 0_usize;
        let mut place = 0;
        for entry in &books.used {
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
        books.used.insert(place, Entry { start, length, asked: layout.size(), thread });
        // SAFETY: inside the room.
        let block = unsafe { books.memory.add(start) };
        let slack = if self.has(Flaw::Strict) { 1 } else { 0 };
        let answered = match layout.size() {
            size if self.has(Flaw::TooShort) => size.min(100),
            size if size + slack <= length => size + slack,
            size => size,
        };
        let answered = if self.has(Flaw::Strict) && layout.size() == 0 { 1 } else { answered };
        Ok(NonNull::slice_from_raw_parts(block, answered))
    }

    fn alloc_zeroed(&self, layout: Layout) -> Answer {
        let block = self.alloc(layout)?;
        let zeroed = if self.has(Flaw::HalfZeroed) { block.len().min(16) } else { block.len() };
        // SAFETY: the block was just handed out.
        unsafe { block.cast::<u8>().write_bytes(0, zeroed) };
        Ok(block)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let mut books = self.books.borrow_mut();
        let start = (block.as_ptr() as usize).wrapping_sub(books.memory.as_ptr() as usize);
        let place = books.used.iter().position(|entry| entry.start == start);
        let place = place.unwrap_or_else(|| panic!("a block that is not in the books"));
        while self.has(Flaw::Hangs) && books.shrunk {
            std::hint::spin_loop();
        }
        if self.has(Flaw::Crashes) && layout.size() == 0 {
            crash();
        }
        if self.has(Flaw::ThreadBound) {
            let own = books.used[place].thread == std::thread::current().id();
            assert!(own, "another thread's block");
        }
        if self.has(Flaw::Strict) {
            assert_eq!(books.used[place].asked, layout.size(), "another size");
        }
        if self.has(Flaw::Trespasses)
            && let Some(next) = books.used.get(place + 1)
        {
            // SAFETY: inside the room.
            unsafe { books.memory.add(next.start).write(0) }
        }
        if self.has(Flaw::Leaks) && layout.align() > 16 {
            books.lost += books.used[place].length;
            return;
        }
        books.used.remove(place);
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
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

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        if self.has(Flaw::Aborts) && new.size() == 0 {
            std::process::abort();
        }
        let fresh = self.alloc(new)?;
        // SAFETY: both blocks are alive and disjoint.
        unsafe {
            fresh.cast::<u8>().copy_from_nonoverlapping(block, new.size());
            self.free(block, old);
        }
        self.books.borrow_mut().shrunk = true;
        Ok(fresh)
    }

    unsafe fn reclaim(&self) -> bool {
        if !self.has(Flaw::NoReset) {
            self.books.borrow_mut().used.clear();
        }
        true
    }
}
