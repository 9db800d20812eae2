//! The last blocks that a run freed, so that a free of one of them is reported as a double free.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use crate::heap::record::Record;
use crate::heap::record_table::zeroed;
use crate::memory::own::OwnMemory;

/// The number of freed blocks that are remembered: few enough that writing them stays in the cache.
pub(crate) const FREED_MAX: usize = 1024;

type Ring = [(Record, u64); FREED_MAX];

/// A ring of freed blocks, each with the event of its free.
pub(crate) struct FreedRing {
    ring: NonNull<Ring>,
    /// The number of blocks that were ever added.
    total: usize,
    is_open: bool,
}

impl FreedRing {
    /// A ring without memory. It has to be [opened](Self::open) before the first block is added.
    pub(crate) const fn closed() -> Self {
        FreedRing { ring: NonNull::dangling(), total: 0, is_open: false }
    }

    /// Allocates the ring, once.
    pub(crate) fn open(&mut self) {
        if !self.is_open {
            self.ring = zeroed(Layout::new::<Ring>()).cast();
            self.is_open = true;
        }
    }

    /// Adds a block in place of the oldest one.
    #[inline]
    pub(crate) fn add(&mut self, record: Record, event: u64) {
        debug_assert!(self.is_open);
        // SAFETY: the ring was opened before the first block got a record (`Ledger::enlarge`,
        // `Ledger::open_pool`).
        unsafe { self.ring.as_mut()[self.total % FREED_MAX] = (record, event) };
        self.total += 1;
    }

    /// The blocks with the events of their frees, the youngest first.
    pub(crate) fn youngest_first(&self) -> impl Iterator<Item = (Record, u64)> + '_ {
        (0..self.total.min(FREED_MAX)).map(|back| {
            // SAFETY: blocks were added, so the ring is open.
            let ring = unsafe { self.ring.as_ref() };
            ring[(self.total - 1 - back) % FREED_MAX]
        })
    }

    /// Forgets the blocks for which this is true.
    pub(crate) fn forget(&mut self, is_stale: impl Fn(Record) -> bool) {
        for nth in 0..self.total.min(FREED_MAX) {
            // SAFETY: blocks were added, so the ring is open.
            let ring = unsafe { self.ring.as_mut() };
            if is_stale(ring[nth].0) {
                ring[nth].0 = Record::default();
            }
        }
    }

    /// Forgets all blocks, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.total = 0;
    }
}

impl Drop for FreedRing {
    fn drop(&mut self) {
        if self.is_open {
            // SAFETY: allocated by `open` with this layout.
            unsafe { OwnMemory.dealloc(self.ring.as_ptr().cast(), Layout::new::<Ring>()) }
        }
    }
}
