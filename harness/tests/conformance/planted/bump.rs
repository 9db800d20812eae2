//! An arena over one guarded region, which resizes its last block in place, and what such arenas get
//! wrong.
#![allow(unsafe_code, reason = "a port is an unsafe trait")]

use std::alloc::Layout;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;

use mallory::adapters::guarded_region;
use mallory::{Port, Refused};

/// What is wrong with an arena, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BumpBug {
    None,
    /// Offsets are aligned instead of addresses.
    AlignsOffset,
    /// No alignment above 512 is met.
    CapsAlign,
    /// Only the beginning of a block is compared with the end of the region.
    ChecksStart,
    /// Growing in place doesn't look at the end of the region.
    GrowsPastEnd,
    /// Any block grows in place.
    GrowsOver,
    /// Growing in place doesn't move the end of what is used.
    GrowForgets,
    /// Growing in place ignores the new alignment.
    GrowKeepsPlace,
    /// Shrinking in place ignores the new alignment.
    ShrinkKeepsPlace,
    /// The last block is freed before it is known that it can grow.
    FailedGrowFrees,
    /// The last block is freed before it is known that it can be moved by a shrink.
    FailedShrinkFrees,
    /// A refused grow has written the new size into the block.
    FailedGrowWrites,
    /// A refused shrink has done so.
    FailedShrinkWrites,
    /// What a shrink cuts off is handed out without aligning it.
    TailUnaligned,
    /// What a shrink cuts off begins a byte too early.
    TailTooEarly,
    /// Freeing the last block frees all others as well.
    LastFreesAll,
    /// Freeing any block frees those that came after it.
    FreesAllAfter,
    /// The last block is known by its beginning only, which an empty block may have as well.
    EmptyIsLast,
    /// An empty block is said to have 8 bytes.
    EmptyHasBytes,
    /// The size is written before the block, where no room was left for it.
    HeaderBefore,
    /// A mark is written behind the block, where no room was left for it.
    MarkBehind,
    /// Memory that was used before is taken for zeroes.
    ZeroedRecycled,
    /// Zeroes are written word by word, without the rest.
    ZeroedWords,
    /// A clone has its own end of what is used.
    CloneForks,
}

pub(crate) const SIZE: usize = 16 << 10;
/// The largest alignment that the arena with a limit meets.
const ALIGN_MAX: usize = 512;

struct BumpState {
    memory: NonNull<u8>,
    /// How much is used.
    end: usize,
    /// Where the last block begins, as long as it is there.
    last: Option<usize>,
    /// What shrinking has cut off: its first offset and its end.
    tail: Option<(usize, usize)>,
}

pub(crate) struct Bump {
    bug: BumpBug,
    state: Rc<RefCell<BumpState>>,
}

impl Clone for Bump {
    fn clone(&self) -> Bump {
        let state = match self.bug {
            BumpBug::CloneForks => {
                let state = self.state.borrow();
                let BumpState { memory, end, last, tail } = *state;
                Rc::new(RefCell::new(BumpState { memory, end, last, tail }))
            }
            _ => Rc::clone(&self.state),
        };
        Bump { bug: self.bug, state }
    }
}

type Granted = Result<NonNull<[u8]>, Refused>;

impl Bump {
    pub(crate) fn new(bug: BumpBug) -> Bump {
        let memory = NonNull::from(guarded_region(SIZE)).cast::<u8>();
        if bug == BumpBug::ZeroedRecycled {
            // SAFETY: the region is `SIZE` bytes long.
            unsafe { memory.write_bytes(0, SIZE) }
        }
        let state = BumpState { memory, end: 0, last: None, tail: None };
        Bump { bug, state: Rc::new(RefCell::new(state)) }
    }

    fn has(&self, bug: BumpBug) -> bool {
        self.bug == bug
    }

    /// The first offset from `from` on that a block of this layout may have.
    fn aligned(&self, state: &BumpState, from: usize, align: usize) -> Option<usize> {
        let align = if self.has(BumpBug::CapsAlign) { align.min(ALIGN_MAX) } else { align };
        if self.has(BumpBug::AlignsOffset) {
            return from.checked_next_multiple_of(align);
        }
        let base = state.memory.as_ptr().addr();
        Some((base + from).checked_next_multiple_of(align)? - base)
    }

    /// A block at this offset.
    fn block(state: &BumpState, start: usize, size: usize) -> NonNull<[u8]> {
        let start = state.memory.as_ptr().wrapping_add(start);
        NonNull::slice_from_raw_parts(NonNull::new(start).expect("inside of the region"), size)
    }

    fn offset(state: &BumpState, block: NonNull<u8>) -> usize {
        block.as_ptr().addr() - state.memory.as_ptr().addr()
    }

    /// Cuts a block off the tail of a shrunk one, if it fits.
    fn take_tail(&self, state: &mut BumpState, layout: Layout) -> Option<NonNull<[u8]>> {
        let (from, to) = state.tail?;
        let start = match self.bug {
            BumpBug::TailUnaligned => from,
            _ => self.aligned(state, from, layout.align())?,
        };
        let end = start.checked_add(layout.size()).filter(|end| *end <= to)?;
        state.tail = Some((end, to));
        Some(Bump::block(state, start, layout.size()))
    }

    fn take(&self, layout: Layout) -> Granted {
        let state = &mut *self.state.borrow_mut();
        if let Some(block) = self.take_tail(state, layout) {
            return Ok(block);
        }
        let start = self.aligned(state, state.end, layout.align()).ok_or(Refused)?;
        let end = start.checked_add(layout.size()).ok_or(Refused)?;
        let limit = if self.has(BumpBug::ChecksStart) { start.saturating_add(1) } else { end };
        // What nobody has is refused in any case.
        if limit > SIZE || layout.size() > 2 * SIZE {
            return Err(Refused);
        }
        (state.end, state.last) = (end, Some(start));
        let has_bytes = self.has(BumpBug::EmptyHasBytes) && layout.size() == 0 && start + 8 <= SIZE;
        Ok(Bump::block(state, start, if has_bytes { 8 } else { layout.size() }))
    }

    /// Writes what it knows of a block beside it.
    fn mark(&self, block: NonNull<[u8]>) {
        let start = block.cast::<u8>().as_ptr();
        // SAFETY: none where there is no room: this is the planted mistake.
        unsafe {
            match self.bug {
                BumpBug::HeaderBefore => {
                    start.sub(8).cast::<usize>().write_unaligned(block.len());
                }
                BumpBug::MarkBehind => start.add(block.len()).write(0x11),
                _ => {}
            }
        }
    }

    fn is_last(&self, state: &BumpState, start: usize, size: usize) -> bool {
        let is_same_end = self.has(BumpBug::EmptyIsLast) || start + size == state.end;
        state.last == Some(start) && is_same_end
    }

    /// Moves a block to where there is room, or says that there is none.
    ///
    /// # Safety
    /// - `block` is alive, and `old` fits it.
    unsafe fn move_block(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        let fresh = self.take(new)?;
        // SAFETY: both are alive, disjoint, and as long as the smaller size.
        unsafe {
            let common = old.size().min(new.size());
            // Not known to be disjoint if there is a bug.
            fresh.cast::<u8>().copy_from(block, common);
            self.free(block, old);
        }
        Ok(fresh)
    }

    /// Frees a block before it is known whether the request can be granted, or writes into it.
    ///
    /// # Safety
    /// - `block` is alive, and `old` fits it.
    unsafe fn refuse(&self, block: NonNull<u8>, old: Layout, frees: BumpBug, writes: BumpBug) {
        // SAFETY: the caller's promise; both break the contract.
        unsafe {
            if self.has(frees) {
                self.free(block, old);
            }
            if self.has(writes) && old.size() >= 8 {
                block.cast::<usize>().write_unaligned(0);
            }
        }
    }
}

// SAFETY: none if there is a bug, which the suite detects.
unsafe impl Port for Bump {
    fn alloc(&self, layout: Layout) -> Granted {
        let block = self.take(layout)?;
        self.mark(block);
        Ok(block)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Granted {
        let block = self.alloc(layout)?;
        let length = match self.bug {
            BumpBug::ZeroedRecycled => 0,
            BumpBug::ZeroedWords => block.len() / 8 * 8,
            _ => block.len(),
        };
        // SAFETY: the block was just handed out.
        unsafe { block.cast::<u8>().write_bytes(0, length) };
        Ok(block)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let state = &mut *self.state.borrow_mut();
        let start = Bump::offset(state, block);
        let is_last = self.is_last(state, start, layout.size());
        if is_last || self.has(BumpBug::FreesAllAfter) {
            state.end = if self.has(BumpBug::LastFreesAll) { 0 } else { start };
            state.last = None;
            // It may be behind what is used from now on.
            state.tail = state.tail.filter(|(_, to)| *to <= state.end);
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        {
            let state = &mut *self.state.borrow_mut();
            let start = Bump::offset(state, block);
            let is_aligned = block.as_ptr().addr().is_multiple_of(new.align())
                || self.has(BumpBug::GrowKeepsPlace);
            let end = start.checked_add(new.size()).ok_or(Refused)?;
            let has_room = end <= SIZE || self.has(BumpBug::GrowsPastEnd) && end < 2 * SIZE;
            let is_last = self.is_last(state, start, old.size()) || self.has(BumpBug::GrowsOver);
            if is_last && is_aligned && has_room {
                if !self.has(BumpBug::GrowForgets) {
                    state.end = state.end.max(end);
                }
                return Ok(Bump::block(state, start, new.size()));
            }
        }
        // SAFETY: the caller's promise.
        unsafe {
            let moved = self.move_block(block, old, new);
            if moved.is_err() {
                self.refuse(block, old, BumpBug::FailedGrowFrees, BumpBug::FailedGrowWrites);
            }
            moved
        }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        if block.as_ptr().addr().is_multiple_of(new.align()) || self.has(BumpBug::ShrinkKeepsPlace)
        {
            let state = &mut *self.state.borrow_mut();
            let start = Bump::offset(state, block);
            if self.is_last(state, start, old.size()) {
                state.end = start + new.size();
            } else {
                let early = usize::from(self.has(BumpBug::TailTooEarly) && new.size() > 0);
                state.tail = Some((start + new.size() - early, start + old.size()));
            }
            return Ok(Bump::block(state, start, new.size()));
        }
        // SAFETY: the caller's promise.
        unsafe {
            let moved = self.move_block(block, old, new);
            if moved.is_err() {
                self.refuse(block, old, BumpBug::FailedShrinkFrees, BumpBug::FailedShrinkWrites);
            }
            moved
        }
    }

    unsafe fn reclaim(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        (state.end, state.last, state.tail) = (0, None, None);
        true
    }
}
