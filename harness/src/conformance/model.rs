//! The model of a port: which blocks are live, where they are and what was written into them. It is
//! outside of the port's memory.

use std::alloc::Layout;
use std::collections::BTreeMap;

use crate::conformance::call::BlockAddress;

/// The names of blocks that a step allocates for itself begin here.
pub(crate) const NAMELESS: u32 = 1 << 31;

/// The name of a block in a note.
pub(crate) fn display_name(name: u32) -> String {
    if name >= NAMELESS { "a block of this step".to_owned() } else { format!("a{name}") }
}

/// A live block.
#[derive(Clone, Copy)]
pub(crate) struct ModelBlock {
    pub(crate) address: BlockAddress,
    /// The returned length in bytes.
    pub(crate) length: usize,
    /// The requested layout.
    pub(crate) layout: Layout,
    /// What the block was filled with: see [`fill`](crate::conformance::call::fill).
    pub(crate) tag: u64,
}

impl ModelBlock {
    /// The layout to pass the block with: the requested one, or, if `whole`, with the returned length.
    pub(crate) fn fitting(&self, whole: bool) -> Layout {
        let whole = whole.then(|| Layout::from_size_align(self.length, self.layout.align()).ok());
        whole.flatten().unwrap_or(self.layout)
    }
}

/// The live blocks of a port, by name. They are disjoint.
#[derive(Default)]
pub(crate) struct PortModel {
    blocks: BTreeMap<u32, ModelBlock>,
    /// The first address, end and name of each block that is not empty.
    addresses: BTreeMap<usize, (usize, u32)>,
    bytes: usize,
}

impl PortModel {
    /// Live bytes, by returned lengths.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, name: u32) -> Option<ModelBlock> {
        self.blocks.get(&name).copied()
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u32, &ModelBlock)> {
        self.blocks.iter().map(|(name, block)| (*name, block))
    }

    /// The name of a live block that overlaps these addresses.
    pub(crate) fn overlapping(&self, start: usize, end: usize) -> Option<u32> {
        // Blocks are disjoint, so only the last one that begins before `end` can overlap.
        let (_, (other_end, name)) = self.addresses.range(..end).next_back()?;
        (*other_end > start).then_some(*name)
    }

    /// Adds a block, which overlaps no other.
    pub(crate) fn add(&mut self, name: u32, block: ModelBlock) {
        let start = block.address.addr();
        if block.length > 0 {
            self.addresses.insert(start, (start + block.length, name));
        }
        self.bytes += block.length;
        self.blocks.insert(name, block);
    }

    pub(crate) fn remove(&mut self, name: u32) {
        let Some(block) = self.blocks.remove(&name) else { return };
        if block.length > 0 {
            self.addresses.remove(&block.address.addr());
        }
        self.bytes -= block.length;
    }

    pub(crate) fn clear(&mut self) {
        *self = PortModel::default();
    }
}
