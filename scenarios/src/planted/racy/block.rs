//! What these systems share: blocks that are freed by hand, and locks.

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Port};

use crate::planted::pair::Oom;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The layout of every block.
const BLOCK: Layout = Layout::new::<[u64; 4]>();

/// A block of the heap that is freed by hand, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(pub(super) NonNull<u8>);

// SAFETY: a block is memory that the holder of this may use, on any thread.
#[allow(unsafe_code)]
unsafe impl Send for Block {}
// SAFETY: as above; a shared reference only leads to a copy.
#[allow(unsafe_code)]
unsafe impl Sync for Block {}

impl Block {
    pub(super) fn new(heap: &Heap) -> Result<Block, Oom> {
        Ok(Block(heap.alloc(BLOCK)?.cast()))
    }

    pub(super) fn give_back(self, heap: &Heap) {
        // SAFETY: blocks come from this heap with this layout; each is given back by the last one
        // who holds it, but for the planted bugs, which a heap refuses.
        #[allow(unsafe_code)]
        unsafe {
            heap.free(self.0, BLOCK)
        }
    }
}

/// No step of these systems panics, so poison means nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
