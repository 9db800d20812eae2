//! What detectors look at: blocks, heaps, damaged guards, and a free that fits no live block.

use crate::report::evidence::BlockInfo;
use crate::report::evidence::Role;
use std::alloc::Layout;

/// A block as the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) address: usize,
    pub(crate) heap: u16,
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// Its name: the how manieth allocation of the run it was.
    pub(crate) number: u64,
    pub(crate) tainted: bool,
}

impl Block {
    pub(crate) fn layout(&self) -> Layout {
        Layout::from_size_align(self.size, self.align)
            .expect("[mallory bug] a recorded layout was checked when it came in")
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        address > self.address && address < self.address + self.size
    }
}

/// A block that was freed, and the event at which it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreedBlock {
    pub(crate) block: Block,
    pub(crate) event: u64,
}

/// A heap's standing in the run, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeapInfo {
    pub(crate) name: &'static str,
    /// Heaps of one family may free each other's blocks.
    pub(crate) family: u16,
}

/// The blocks of a run, as detectors ask for them. Only the cold path comes here.
pub(crate) trait BlockTable {
    /// The live block of this heap at this address, whatever its layout.
    fn live_at(&self, address: usize, heap: u16) -> Option<Block>;
    /// Live blocks that begin at this address or contain it, the innermost first.
    fn owners(&self, address: usize) -> Vec<Block>;
    /// The block that was last freed at this address, if it is remembered.
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
    /// The event that this call is.
    pub(crate) event: u64,
    /// Freed, or handed in to be resized.
    pub(crate) role: Role,
}

impl BadFree<'_> {
    pub(crate) fn name(&self, heap: u16) -> &'static str {
        self.heaps[usize::from(heap)].name
    }

    pub(crate) fn subject(&self, block: &Block) -> BlockInfo {
        subject(self.heaps, block)
    }
}

pub(crate) fn subject(heaps: &[HeapInfo], block: &Block) -> BlockInfo {
    BlockInfo {
        number: block.number,
        size: block.size,
        align: block.align,
        heap: heaps[usize::from(block.heap)].name.to_owned(),
    }
}

/// How far from the block's edge the first overwritten guard byte lies, before it and behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) before: Option<usize>,
    pub(crate) behind: Option<usize>,
}
