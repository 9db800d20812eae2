//! Where the memory of an arena or a slab comes from: a port, behind a byte cap and, on request, a
//! wipe.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use mallory::{Port, Refused};

/// What every block is aligned to at least: C's `max_align_t` on 64-bit machines.
pub const MAX_ALIGN: usize = 16;

/// A port with a cap on the bytes that are allocated from it.
pub(super) struct Source<P> {
    port: P,
    pub(super) cap: usize,
    pub(super) zero_on_free: bool,
    held: Cell<usize>,
    peak: Cell<usize>,
}

impl<P: Port> Source<P> {
    pub(super) fn new(port: P, cap: usize) -> Self {
        Source { port, cap, zero_on_free: false, held: Cell::new(0), peak: Cell::new(0) }
    }

    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.get()
    }

    /// What the cap still allows.
    pub(super) fn room(&self) -> usize {
        self.cap - self.held.get()
    }

    /// A block of at least this layout's size, within the cap.
    pub(super) fn take(&self, layout: Layout) -> Result<NonNull<u8>, Refused> {
        if layout.size() > self.room() {
            return Err(Refused);
        }
        let block = self.port.alloc(layout)?;
        self.held.set(self.held.get() + layout.size());
        self.peak.set(self.peak.get().max(self.held.get()));
        Ok(block.cast())
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// - `block` came from [`take`](Self::take) of this source with this layout, and was not given
    ///   back since;
    /// - it is not used afterwards.
    pub(super) unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block is ours to write, for `layout.size()` bytes (the caller's promise).
        unsafe { self.wipe(block, layout.size()) };
        // SAFETY: the port handed it out with this layout, and it is alive (the caller's promise).
        unsafe { self.port.free(block, layout) };
        self.held.set(self.held.get() - layout.size());
    }

    /// Overwrites memory with zeroes, where that is asked for.
    ///
    /// # Safety
    /// - `start` is valid for writes of `size` bytes, and nobody reads them any more.
    pub(super) unsafe fn wipe(&self, start: NonNull<u8>, size: usize) {
        if !self.zero_on_free {
            return;
        }
        for offset in 0..size {
            // SAFETY: `offset` is below `size` (the loop's bound). Volatile, because a plain write
            // to memory that is about to be freed may be optimised away.
            unsafe { start.add(offset).write_volatile(0) };
        }
    }
}
