//! The input of the detectors: blocks, heaps, damaged guards, and a free that fits no live block.

use std::alloc::Layout;

use crate::memory::form::asked_align;
use crate::printable;
use crate::report::evidence::{BlockInfo, Role};

/// A block as recorded in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) address: usize,
    pub(crate) heap: u16,
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// Block `aN` is the Nth allocation of the run.
    pub(crate) number: u64,
    /// Whether the block has a finding already.
    pub(crate) tainted: bool,
}

impl Block {
    pub(crate) fn layout(&self) -> Layout {
        Layout::from_size_align(self.size, self.align)
            .expect("[mallory bug] a recorded layout was checked when it was recorded")
    }

    /// Whether the address is inside the block, but not its start.
    pub(crate) fn contains(&self, address: usize) -> bool {
        address > self.address && address < self.address + self.size
    }
}

/// A freed block, and the event of its free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreedBlock {
    pub(crate) block: Block,
    pub(crate) event: u64,
}

/// What a run knows of a heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeapInfo {
    pub(crate) name: &'static str,
    /// Heaps of one family may free each other's blocks.
    pub(crate) family: u16,
}

/// The blocks of a run, as detectors look them up. Only used after a bad free, so it may be slow.
pub(crate) trait BlockTable {
    /// The live block of this heap at this address, whatever its layout.
    fn live_at(&self, address: usize, heap: u16) -> Option<Block>;
    /// The live blocks that begin at this address or contain it, the innermost first.
    fn owners(&self, address: usize) -> Vec<Block>;
    /// The block that was freed last at this address, if it is remembered.
    fn freed_at(&self, address: usize) -> Option<FreedBlock>;
    /// A remembered freed block that contains this address.
    fn freed_around(&self, address: usize) -> Option<FreedBlock>;
}

/// A free (or the old block of a grow or shrink) that does not fit a live block.
pub(crate) struct BadFree<'a> {
    pub(crate) blocks: &'a dyn BlockTable,
    pub(crate) heaps: &'a [HeapInfo],
    pub(crate) address: usize,
    pub(crate) layout: Layout,
    pub(crate) heap: u16,
    /// The event of this call.
    pub(crate) event: u64,
    /// Whether the block was to be freed or to be resized.
    pub(crate) role: Role,
}

impl BadFree<'_> {
    pub(crate) fn name(&self, heap: u16) -> String {
        printable::line(self.heaps[usize::from(heap)].name)
    }

    pub(crate) fn subject(&self, block: &Block) -> BlockInfo {
        subject(self.heaps, block)
    }
}

pub(crate) fn subject(heaps: &[HeapInfo], block: &Block) -> BlockInfo {
    BlockInfo {
        number: block.number,
        size: block.size,
        align: asked_align(block.align),
        heap: printable::line(heaps[usize::from(block.heap)].name),
    }
}

/// The overwritten guard bytes that are nearest to the block: before it, by their distance from its
/// start (from 1), and behind it, by their distance from its end (from 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) before: Option<usize>,
    pub(crate) behind: Option<usize>,
}
