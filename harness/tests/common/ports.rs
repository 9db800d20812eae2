//! Ports to put below a heap, or on top of one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mallory::{Heap, Port, Refused, SystemPort};

type Answer = Result<NonNull<[u8]>, Refused>;

/// An arena: cuts blocks off a chunk from the heap below, and gives the chunk back as a whole.
pub(crate) struct Bump {
    below: Heap,
    chunk: Cell<Option<NonNull<u8>>>,
    used: Cell<usize>,
}

impl Bump {
    /// How much a chunk holds; there is only ever one.
    pub(crate) const CHUNK: usize = 16 << 10;

    pub(crate) fn new(below: &Heap) -> Bump {
        Bump { below: below.clone(), chunk: Cell::new(None), used: Cell::new(0) }
    }

    fn layout() -> Layout {
        super::layout(Bump::CHUNK, 16)
    }

    fn give_back(&self) {
        if let Some(chunk) = self.chunk.take() {
            // SAFETY: the chunk came from the heap below with this layout, and is given back once.
            unsafe { self.below.free(chunk, Bump::layout()) }
        }
        self.used.set(0);
    }
}

impl Drop for Bump {
    fn drop(&mut self) {
        self.give_back();
    }
}

// SAFETY: the chunk belongs to this value alone.
unsafe impl Send for Bump {}

// SAFETY: blocks are disjoint, aligned pieces of a live chunk, and nothing unwinds.
unsafe impl Port for Bump {
    fn alloc(&self, layout: Layout) -> Answer {
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
        // SAFETY: the piece lies inside the chunk, as was just checked.
        Ok(NonNull::slice_from_raw_parts(unsafe { chunk.add(start) }, layout.size()))
    }

    unsafe fn free(&self, _: NonNull<u8>, _: Layout) {}

    unsafe fn reclaim(&self) -> bool {
        self.give_back();
        true
    }
}

/// A port that two heaps may stand on.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<SystemPort>);

// SAFETY: every call goes to the port inside, which keeps the contract; clones are that port.
unsafe impl Port for Shared {
    fn alloc(&self, layout: Layout) -> Answer {
        self.0.alloc(layout)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.free(block, layout) }
    }
}

/// What was in each block when it came back to the port, the newest last.
pub(crate) type Freed = Arc<Mutex<Vec<Vec<u8>>>>;

/// A port that notes what is in a block when it is given back.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) freed: Freed,
}

// SAFETY: every call goes to the system's allocator; a zero size never reaches it (heaps ask for a
// byte at least).
unsafe impl Port for Recorder {
    fn alloc(&self, layout: Layout) -> Answer {
        // SAFETY: a heap asks its port for a byte at least. Zeroed, so that all of it may be read.
        let start = NonNull::new(unsafe { System.alloc_zeroed(layout) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block is alive until the next line, this long, and was zeroed at first.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
        self.freed.lock().expect("nobody panics with it").push(bytes.to_vec());
        // SAFETY: the block came from `alloc` with this layout.
        unsafe { System.dealloc(block.as_ptr(), layout) }
    }
}

/// How many calls of `Fickle::grow` this process has made.
static GROWN: AtomicUsize = AtomicUsize::new(0);

/// A port that grows in place every other time, as a warm allocator would.
#[derive(Default)]
pub(crate) struct Fickle;

impl Fickle {
    /// Each block is as long as this, whatever was asked for.
    fn slab(layout: Layout) -> Layout {
        super::layout(16 << 10, layout.align())
    }
}

// SAFETY: blocks are longer than asked for (requests in the tests are below the slab's size), come
// from the system's allocator and go back to it with the layout they were made with.
unsafe impl Port for Fickle {
    fn alloc(&self, layout: Layout) -> Answer {
        // SAFETY: a slab is not empty.
        let start = NonNull::new(unsafe { System.alloc(Fickle::slab(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: `alloc` made every block with this layout.
        unsafe { System.dealloc(block.as_ptr(), Fickle::slab(layout)) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
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
