//! Blocks that outlived their runs: a table, so that a later free finds the guards around them.

use crate::detect::block::Block;
use crate::heap::ledger::Ledger;
use crate::heap::node::start_of;
use crate::heap::run_lock::GLOBAL_LOCK;
use crate::heap::survivor::SurvivorKind;
use std::cell::UnsafeCell;
use std::ptr::NonNull;

/// Blocks that outlived their runs.
pub(crate) struct Survivors(UnsafeCell<SurvivorTable>);

// SAFETY: the table is touched behind the gate only.
unsafe impl Sync for Survivors {}

impl Survivors {
    pub(crate) const fn new() -> Self {
        let table = Ledger::fresh();
        Survivors(UnsafeCell::new(SurvivorTable { table, now: (0, 0), before: (0, 0) }))
    }

    /// Behind the gate, as the ledger of a run is: a block is always in one of the two.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut SurvivorTable) -> R) -> R {
        GLOBAL_LOCK.shut();
        // SAFETY: whoever has shut the gate is alone with the table; `work` doesn't come back
        // here, since calls are `INSIDE` meanwhile.
        let answer = work(unsafe { &mut *self.0.get() });
        GLOBAL_LOCK.open();
        answer
    }

    pub(crate) fn keep(&self, block: &Block, outlives: SurvivorKind) {
        self.with(|kept| {
            let (size, align) = (block.size, block.align);
            let address = start_of(block).as_ptr() as usize;
            kept.table.insert(address, outlives as u16, size, align, 0);
            match kept.table.find(address, outlives as u16) {
                Some(slot) if block.tainted => kept.table.taint(slot),
                _ => kept.now = (kept.now.0 + 1, kept.now.1 + size as i64),
            }
        });
    }

    /// Takes a survivor out, and how it is one.
    pub(crate) fn take(&self, start: NonNull<u8>) -> Option<(Block, SurvivorKind)> {
        self.with(|kept| {
            let address = start.as_ptr() as usize;
            let in_table = |how: SurvivorKind| Some((kept.table.find(address, how as u16)?, how));
            let (slot, outlives) = SurvivorKind::ALL.into_iter().find_map(in_table)?;
            let block = kept.table.block(slot);
            kept.table.remove(slot);
            if !block.tainted {
                kept.now = (kept.now.0 - 1, kept.now.1 - block.size as i64);
            }
            Some((block, outlives))
        })
    }
}

pub(crate) struct SurvivorTable {
    /// By address; the heap's number says how they outlived it ([`SurvivorKind`]).
    table: Ledger,
    /// Blocks and bytes that are no finding of their own: now, and when they were last counted.
    pub(crate) now: (i64, i64),
    pub(crate) before: (i64, i64),
}
