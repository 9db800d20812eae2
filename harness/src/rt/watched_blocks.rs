//! The blocks of memory that are watched for data races.

use std::collections::BTreeMap;

/// Blocks by their addresses: the size, and the number in the order in which they came.
#[derive(Default)]
pub(crate) struct WatchedBlocks {
    blocks: BTreeMap<usize, (usize, u64)>,
    count: u64,
}

impl WatchedBlocks {
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.count = 0;
    }

    /// Watches a block. Those that were freed are watched until their memory is given out again.
    pub(crate) fn add(&mut self, address: usize, size: usize) {
        self.count += 1;
        let end = address + size.max(1);
        let before = self.blocks.range(..address).next_back();
        let overlaps = before.filter(|(start, (size, _))| *start + size > address);
        let mut gone: Vec<usize> = overlaps.map(|(start, _)| *start).into_iter().collect();
        gone.extend(self.blocks.range(address..end).map(|(start, _)| *start));
        self.blocks.retain(|start, _| !gone.contains(start));
        self.blocks.insert(address, (size, self.count));
    }

    /// The number of the block that begins at this address.
    pub(crate) fn starting_at(&self, address: usize) -> Option<u64> {
        self.blocks.get(&address).map(|(_, number)| *number)
    }

    /// The number of the block that this address is in.
    pub(crate) fn containing(&self, address: usize) -> Option<u64> {
        let (start, (size, number)) = self.blocks.range(..=address).next_back()?;
        (address < start + size).then_some(*number)
    }
}
