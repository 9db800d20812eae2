//! Ports that tests put below a heap or on top of one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mallory::{Heap, Port, Refused, SystemPort};

/// What a request for memory returns.
type Granted = Result<NonNull<[u8]>, Refused>;

/// An arena: cuts its blocks from one chunk of the heap below, and frees the chunk as a whole.
pub(crate) struct Bump {
    below: Heap,
    chunk: Cell<Option<NonNull<u8>>>,
    used: Cell<usize>,
}

impl Bump {
    /// The size of the chunk. There is at most one.
    pub(crate) const CHUNK: usize = 16 << 10;

    pub(crate) fn new(below: &Heap) -> Bump {
        Bump { below: below.clone(), chunk: Cell::new(None), used: Cell::new(0) }
    }

    fn layout() -> Layout {
        super::layout(Bump::CHUNK, 16)
    }

    fn free_chunk(&self) {
        if let Some(chunk) = self.chunk.take() {
            // SAFETY: the chunk came from the heap below with this layout, and is freed once.
            unsafe { self.below.free(chunk, Bump::layout()) }
        }
        self.used.set(0);
    }
}

impl Drop for Bump {
    fn drop(&mut self) {
        self.free_chunk();
    }
}

// SAFETY: the chunk belongs to this value alone.
unsafe impl Send for Bump {}

// SAFETY: blocks are disjoint, aligned pieces of a live chunk, and nothing unwinds.
unsafe impl Port for Bump {
    fn alloc(&self, layout: Layout) -> Granted {
        let chunk = match self.chunk.get() {
            Some(chunk) => chunk,
            None => self.below.alloc(Bump::layout())?.cast(),
        };
        self.chunk.set(Some(chunk));
        let free = chunk.as_ptr() as usize + self.used.get();
        let skipped = free.next_multiple_of(layout.align()) - free;
        let start = self.used.get() + skipped;
        if start + layout.size() > Bump::CHUNK {
            return Err(Refused);
        }
        self.used.set(start + layout.size());
        // SAFETY: the check above keeps the piece inside the chunk.
        Ok(NonNull::slice_from_raw_parts(unsafe { chunk.add(start) }, layout.size()))
    }

    unsafe fn free(&self, _: NonNull<u8>, _: Layout) {}

    unsafe fn reclaim(&self) -> bool {
        self.free_chunk();
        true
    }
}

/// A port that two heaps may share.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<SystemPort>);

// SAFETY: every call goes to the port inside, which keeps the contract; clones are that port.
unsafe impl Port for Shared {
    fn alloc(&self, layout: Layout) -> Granted {
        self.0.alloc(layout)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.free(block, layout) }
    }
}

/// The contents of each block when it was freed, in order.
pub(crate) type Freed = Arc<Mutex<Vec<Vec<u8>>>>;

/// A port that records the contents of the blocks that are freed.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) freed: Freed,
}

// SAFETY: every call goes to the system's allocator; a zero size never reaches it (heaps request at
// least one byte).
unsafe impl Port for Recorder {
    fn alloc(&self, layout: Layout) -> Granted {
        // SAFETY: a heap requests at least one byte. Zeroed, so that all of it may be read.
        let start = NonNull::new(unsafe { System.alloc_zeroed(layout) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block is alive, has this length, and was zeroed at first.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
        self.freed.lock().expect("nobody panics with it").push(bytes.to_vec());
        // SAFETY: the block came from `alloc` with this layout.
        unsafe { System.dealloc(block.as_ptr(), layout) }
    }
}

/// The number of calls of `Fickle::grow` in this process.
static GROWN: AtomicUsize = AtomicUsize::new(0);

/// A port that grows every other block in place, as an allocator with free memory may do.
#[derive(Default)]
pub(crate) struct Fickle;

impl Fickle {
    /// The layout of every block, whatever was requested.
    fn slab(layout: Layout) -> Layout {
        super::layout(16 << 10, layout.align())
    }
}

// SAFETY: blocks are longer than requested (the tests request less than a slab), come from the
// system's allocator and are freed with the layout of their allocation.
unsafe impl Port for Fickle {
    fn alloc(&self, layout: Layout) -> Granted {
        // SAFETY: a slab is not empty.
        let start = NonNull::new(unsafe { System.alloc(Fickle::slab(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: `alloc` made every block with this layout.
        unsafe { System.dealloc(block.as_ptr(), Fickle::slab(layout)) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Granted {
        if GROWN.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        let fresh = self.alloc(new)?;
        // SAFETY: both blocks are slabs, alive and disjoint.
        unsafe {
            block.copy_to_nonoverlapping(fresh.cast(), old.size());
            self.free(block, old);
        }
        Ok(fresh)
    }
}
