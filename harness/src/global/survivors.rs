//! The table of blocks that outlived their runs, so that a later free finds the guards around them.

use std::cell::UnsafeCell;
use std::ptr::NonNull;

use crate::detect::block::Block;
use crate::heap::ledger::Ledger;
use crate::heap::node::start_of;
use crate::heap::run_lock::GLOBAL_LOCK;
use crate::heap::survivor::SurvivorKind;

/// Blocks that outlived their runs.
pub(crate) struct Survivors(UnsafeCell<SurvivorTable>);

// SAFETY: the table is touched under `GLOBAL_LOCK` only (`with`).
unsafe impl Sync for Survivors {}

impl Survivors {
    pub(crate) const fn new() -> Self {
        let table = Ledger::fresh();
        Survivors(UnsafeCell::new(SurvivorTable { table, now: (0, 0), before: (0, 0) }))
    }

    /// Runs `work` on the table under the lock of global heaps' runs. A run's ledger is touched
    /// under the same lock, so a block is always in exactly one of the two.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut SurvivorTable) -> R) -> R {
        GLOBAL_LOCK.acquire();
        // SAFETY: this thread holds the lock, and `work` doesn't come back here: the table takes its
        // memory from `System`, not from the global allocator.
        let result = work(unsafe { &mut *self.0.get() });
        GLOBAL_LOCK.release();
        result
    }

    pub(crate) fn keep(&self, block: &Block, kind: SurvivorKind) {
        self.with(|kept| {
            let (size, align) = (block.size, block.align);
            let address = start_of(block).as_ptr() as usize;
            kept.table.insert(address, kind as u16, size, align, 0);
            match kept.table.find(address, kind as u16) {
                Some(slot) if block.tainted => kept.table.taint(slot),
                _ => kept.now = (kept.now.0 + 1, kept.now.1 + size as i64),
            }
        });
    }

    /// Whether there is a survivor at this address.
    pub(crate) fn has(&self, start: NonNull<u8>) -> bool {
        let address = start.as_ptr() as usize;
        self.with(|kept| {
            SurvivorKind::ALL
                .into_iter()
                .any(|kind| kept.table.find(address, kind as u16).is_some())
        })
    }

    /// The layout of the survivor at this address.
    #[cfg(feature = "preload")]
    pub(crate) fn layout_of(&self, start: NonNull<u8>) -> Option<std::alloc::Layout> {
        let address = start.as_ptr() as usize;
        self.with(|kept| {
            let find = |kind: SurvivorKind| kept.table.find(address, kind as u16);
            SurvivorKind::ALL.into_iter().find_map(find).map(|slot| kept.table.block(slot).layout())
        })
    }

    /// Takes the survivor at this address out of the table.
    pub(crate) fn take(&self, start: NonNull<u8>) -> Option<(Block, SurvivorKind)> {
        self.with(|kept| {
            let address = start.as_ptr() as usize;
            let in_table =
                |kind: SurvivorKind| Some((kept.table.find(address, kind as u16)?, kind));
            let (slot, kind) = SurvivorKind::ALL.into_iter().find_map(in_table)?;
            let block = kept.table.block(slot);
            kept.table.remove(slot);
            if !block.tainted {
                kept.now = (kept.now.0 - 1, kept.now.1 - block.size as i64);
            }
            Some((block, kind))
        })
    }
}

pub(crate) struct SurvivorTable {
    /// By address; the heap's number is the [`SurvivorKind`].
    table: Ledger,
    /// The blocks and bytes that have no finding of their own: now, and at the last count.
    pub(crate) now: (i64, i64),
    pub(crate) before: (i64, i64),
}
