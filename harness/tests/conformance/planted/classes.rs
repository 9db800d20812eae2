//! An allocator with free lists of size classes over one guarded region, and what such allocators get
//! wrong.
#![allow(unsafe_code, reason = "a port is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr::{NonNull, null_mut};

use mallory::adapters::guarded_region;
use mallory::{Port, Refused};

/// What is wrong with the allocator, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClassBug {
    None,
    /// A resize that moves aligns to 16 only.
    GrowLosesAlign,
    ShrinkLosesAlign,
    /// A grow copies whole words only.
    GrowCopiesWords,
    /// A shrink that moves copies all but the last byte.
    ShrinkCopiesLess,
    /// A grow copies as many bytes as the new block has.
    GrowReadsPast,
    /// A shrink that moves copies as many bytes as the old block has.
    ShrinkWritesPast,
    /// The old block is freed before the new one is allocated.
    FailedGrowFrees,
    FailedShrinkFrees,
    /// Grows in place up to twice the size class.
    GrowsPastClass,
    /// Sizes are rounded to the nearest class, which may be smaller.
    RoundsToNearest,
    /// A size of one more than a class gets that class.
    RoundsOneOff,
    /// Freed blocks are handed out without a look at their alignment.
    ReuseIgnoresAlign,
    /// A freed block is put into its list twice.
    PushesTwice,
    /// The first block of a list stays there if there is another one.
    PopsNothing,
    /// A freed block is put into the list of the next larger class.
    FreesToLarger,
    /// The link of a list is written behind the freed block.
    LinkBehind,
    /// The link of a list is written into the block that was freed before, wherever it is now.
    LinkIntoOld,
    /// Only the requested bytes are zeroed, and the block is longer.
    ZeroedRequestOnly,
    /// Reused blocks are not zeroed.
    ZeroedRecycled,
    /// An empty block is at the end of the region, and goes into the list when it is freed.
    EmptyIsListed,
}

pub(crate) const SIZE: usize = 16 << 10;
/// The smallest class.
const CLASS_MIN: usize = 16;

struct ClassState {
    memory: NonNull<u8>,
    /// Blocks are cut from the region's end: everything below this offset is free.
    low: usize,
    /// The offsets of freed blocks by class, the last one first.
    lists: BTreeMap<usize, Vec<usize>>,
    /// The block that was freed last.
    freed: Option<usize>,
}

pub(crate) struct Classes {
    bug: ClassBug,
    state: RefCell<ClassState>,
}

type Granted = Result<NonNull<[u8]>, Refused>;

impl Classes {
    pub(crate) fn new(bug: ClassBug) -> Classes {
        let memory = NonNull::from(guarded_region(SIZE)).cast();
        if bug == ClassBug::ZeroedRecycled {
            // SAFETY: the region is `SIZE` bytes long.
            unsafe { memory.write_bytes(0, SIZE) }
        }
        let state = ClassState { memory, low: SIZE, lists: BTreeMap::new(), freed: None };
        Classes { bug, state: RefCell::new(state) }
    }

    fn has(&self, bug: ClassBug) -> bool {
        self.bug == bug
    }

    /// The size of the blocks for requests of this size.
    fn class(&self, size: usize) -> usize {
        let class = size.max(CLASS_MIN).checked_next_power_of_two().unwrap_or(usize::MAX);
        let is_rounded_down = match self.bug {
            ClassBug::RoundsToNearest => size > CLASS_MIN && size < class / 4 * 3,
            ClassBug::RoundsOneOff => size > CLASS_MIN && size == class / 2 + 1,
            _ => false,
        };
        if is_rounded_down { class / 2 } else { class }
    }

    /// The block at this offset, as long as its class, or as requested if that is more.
    fn block(&self, state: &ClassState, start: usize, layout: Layout) -> NonNull<[u8]> {
        // SAFETY: inside of the region.
        let block = unsafe { state.memory.add(start) };
        NonNull::slice_from_raw_parts(block, self.class(layout.size()).max(layout.size()))
    }

    /// Allocates a block, and says whether it was used before.
    fn take(&self, layout: Layout) -> Result<(NonNull<[u8]>, bool), Refused> {
        let state = &mut *self.state.borrow_mut();
        let class = self.class(layout.size());
        if class > SIZE {
            return Err(Refused);
        }
        let base = state.memory.as_ptr().addr();
        if self.has(ClassBug::EmptyIsListed) && layout.size() == 0 && layout.align() <= 16 {
            // SAFETY: the end of the region.
            let end = unsafe { state.memory.add(SIZE) };
            return Ok((NonNull::slice_from_raw_parts(end, 0), true));
        }
        if let Some(list) = state.lists.get_mut(&class) {
            let fits = |start: &usize| (base + start).is_multiple_of(layout.align());
            let nth = match self.bug {
                ClassBug::ReuseIgnoresAlign => list.len().checked_sub(1),
                _ => list.iter().rposition(fits),
            };
            if let Some(nth) = nth {
                let stays = self.has(ClassBug::PopsNothing) && list.len() > 1;
                let start = if stays { list[nth] } else { list.remove(nth) };
                return Ok((self.block(state, start, layout), true));
            }
        }
        let start = base + state.low.checked_sub(class).ok_or(Refused)?;
        let start = start & !(layout.align().max(CLASS_MIN) - 1);
        state.low = start.checked_sub(base).ok_or(Refused)?;
        Ok((self.block(state, state.low, layout), false))
    }

    /// Moves a block. `bytes` are copied, and a new block is aligned to 16 only if `loses_align`.
    ///
    /// # Safety
    /// - `block` is alive, and `old` fits it.
    unsafe fn move_block(
        &self,
        block: NonNull<u8>,
        (old, new): (Layout, Layout),
        bytes: usize,
        loses_align: bool,
        frees_first: bool,
    ) -> Granted {
        if frees_first {
            // SAFETY: the caller's promise; it breaks the contract if the next request is refused.
            unsafe { self.free(block, old) }
        }
        let align = if loses_align { new.align().min(16) } else { new.align() };
        let layout = Layout::from_size_align(new.size(), align).map_err(|_| Refused)?;
        let (fresh, _) = self.take(layout)?;
        // SAFETY: both are as long as the smaller size; more breaks the contract.
        unsafe {
            fresh.cast::<u8>().copy_from(block, bytes);
            if !frees_first {
                self.free(block, old);
            }
        }
        Ok(fresh)
    }
}

// SAFETY: none if there is a bug, which the suite detects.
unsafe impl Port for Classes {
    fn alloc(&self, layout: Layout) -> Granted {
        Ok(self.take(layout)?.0)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Granted {
        let (block, is_reused) = self.take(layout)?;
        let length = match self.bug {
            ClassBug::ZeroedRecycled if is_reused => 0,
            ClassBug::ZeroedRequestOnly => layout.size(),
            _ => block.len(),
        };
        // SAFETY: the block was just handed out.
        unsafe { block.cast::<u8>().write_bytes(0, length) };
        Ok(block)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let state = &mut *self.state.borrow_mut();
        let start = block.as_ptr().addr() - state.memory.as_ptr().addr();
        let class = self.class(layout.size());
        // SAFETY: none: these are planted mistakes.
        unsafe {
            if self.has(ClassBug::LinkBehind) {
                block.add(class).cast::<usize>().write_unaligned(0);
            }
            if let Some(freed) = state.freed.filter(|_| self.has(ClassBug::LinkIntoOld)) {
                state.memory.add(freed).cast::<usize>().write_unaligned(start);
            }
        }
        state.freed = Some(start);
        let class = if self.has(ClassBug::FreesToLarger) { 2 * class } else { class };
        let list = state.lists.entry(class).or_default();
        list.push(start);
        if self.has(ClassBug::PushesTwice) {
            list.push(start);
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        let class = self.class(old.size());
        let limit = if self.has(ClassBug::GrowsPastClass) { 2 * class } else { class };
        let is_aligned = block.as_ptr().addr().is_multiple_of(new.align());
        // A block stays in its class, which is how its free finds the list.
        if is_aligned && self.class(new.size()).max(new.size()) <= limit {
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        let bytes = match self.bug {
            ClassBug::GrowCopiesWords => old.size() / 8 * 8,
            ClassBug::GrowReadsPast => new.size(),
            _ => old.size(),
        };
        let (loses, frees) =
            (self.has(ClassBug::GrowLosesAlign), self.has(ClassBug::FailedGrowFrees));
        // SAFETY: the caller's promise.
        unsafe { self.move_block(block, (old, new), bytes, loses, frees) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        let bytes = match self.bug {
            ClassBug::ShrinkCopiesLess => new.size().saturating_sub(1),
            ClassBug::ShrinkWritesPast => old.size(),
            _ => new.size(),
        };
        let (loses, frees) =
            (self.has(ClassBug::ShrinkLosesAlign), self.has(ClassBug::FailedShrinkFrees));
        // SAFETY: the caller's promise.
        unsafe { self.move_block(block, (old, new), bytes, loses, frees) }
    }
}

/// The allocator as a `GlobalAlloc`, whose `realloc` an adapter calls only for resizes that keep the
/// alignment.
pub(crate) struct GlobalClasses(pub(crate) Classes);

fn start(block: Granted) -> *mut u8 {
    block.map_or(null_mut(), |block| block.cast().as_ptr())
}

// SAFETY: none if there is a bug, which the suite detects.
unsafe impl GlobalAlloc for GlobalClasses {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        start(self.0.alloc(layout))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let block = NonNull::new(block).expect("a block");
        // SAFETY: the caller's promise.
        unsafe { self.0.free(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        let block = NonNull::new(block).expect("a block");
        let Ok(new) = Layout::from_size_align(size, old.align()) else { return null_mut() };
        // SAFETY: the caller's promise.
        let resized = unsafe {
            match size >= old.size() {
                true => self.0.grow(block, old, new),
                false => self.0.shrink(block, old, new),
            }
        };
        start(resized)
    }
}
