//! The ledger: every live block of a run, and the blocks that were freed last.
//!
//! A block is found by address and heap, since an arena's first block may begin where the arena's
//! own chunk does. Its [`Record`] is in one of two places: beside the block, if it is the pool's,
//! or else in a hash table. The sizes of blocks of 256 MiB and more are in a side table.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use crate::detect::block::{Block, BlockTable, FreedBlock};
use crate::heap::freed_ring::FreedRing;
use crate::heap::pool::Pool;
use crate::heap::record::{FLAG_SIDE, FLAG_TAINTED, Record, SIZE_BITS, SIZE_MASK};
use crate::heap::record_table::RecordTable;

/// Where a block's record is. Valid until the ledger changes.
#[derive(Clone, Copy)]
pub(crate) enum RecordSlot {
    Table(usize),
    /// Beside a block of the pool.
    Pooled(usize),
}

pub(crate) struct Ledger {
    table: RecordTable,
    /// Sizes that don't fit a record.
    side: Vec<usize>,
    freed: FreedRing,
    /// The memory of small blocks, with their records beside them.
    pub(crate) pool: Pool,
}

thread_local! {
    /// The ledger of an earlier run of this thread, empty again, with its memory: so a clean run
    /// costs no more than its requests.
    static SPARE: Cell<Option<Ledger>> = const { Cell::new(None) };
}

impl Ledger {
    /// An empty ledger. With a pool, `pool` is the offset of the subject's part in its blocks.
    pub(crate) fn new(pool: Option<usize>) -> Self {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut ledger = spare.unwrap_or_else(Ledger::fresh);
        ledger.pool.want(pool);
        ledger
    }

    pub(crate) const fn fresh() -> Self {
        Ledger {
            table: RecordTable::empty(),
            side: Vec::new(),
            freed: FreedRing::closed(),
            pool: Pool::none(),
        }
    }

    /// Keeps this ledger's memory for the thread's next run, if no block is live.
    pub(crate) fn recycle(&mut self) {
        if self.table.len + self.pool.live != 0 {
            return;
        }
        let mut spare = std::mem::replace(self, Ledger::fresh());
        spare.pool.rewind();
        spare.side.clear();
        spare.freed.clear();
        // On a thread that is ending the thread-local may be gone: then the memory is freed.
        let _ = SPARE.try_with(|kept| kept.set(Some(spare)));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len + self.pool.live
    }

    /// Enters a live block. Returns the number of the live block that is at the same address of the
    /// same heap, if any: the port has handed out a block twice.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
        number: u64,
    ) -> Option<u64> {
        let mut low = Record::key(address, heap, align);
        let mut small = size as u64;
        if small >= SIZE_MASK {
            small = self.side.len() as u64;
            self.side.push(size);
            low |= FLAG_SIDE;
        }
        let record = Record { low, high: number << SIZE_BITS | small };
        if let Some(block) = self.pool.take_pending_at(address) {
            self.pool.put(block, record);
            self.pool.live += 1;
            return None;
        }
        if self.table.is_full() {
            self.enlarge();
        }
        let mut index = self.table.home(address);
        loop {
            let here = *self.table.at(index);
            if here.low == 0 {
                self.table.put(index, record);
                self.table.len += 1;
                return None;
            }
            if here.address() == address && here.heap() == heap {
                self.table.put(index, record);
                return Some(here.high >> SIZE_BITS);
            }
            index = self.table.next(index);
        }
    }

    #[cold]
    #[inline(never)]
    fn enlarge(&mut self) {
        self.freed.open();
        self.table.enlarge();
    }

    /// Finds the live, untainted block with exactly this address, heap, size and alignment, as a
    /// right free names it, by one comparison a probe. Sizes in the side table are not found.
    #[inline]
    pub(crate) fn fits(
        &self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
    ) -> Option<RecordSlot> {
        let want = Record::key(address, heap, align);
        if let Some(block) = self.pool.block(address)
            && self.pool.record(block).low == want
        {
            let fits = self.pool.record(block).high & SIZE_MASK == size as u64;
            return fits.then_some(RecordSlot::Pooled(block));
        }
        if self.table.len == 0 {
            return None;
        }
        let mut index = self.table.home(address);
        loop {
            let here = self.table.at(index);
            if here.low == want {
                return (here.high & SIZE_MASK == size as u64).then_some(RecordSlot::Table(index));
            }
            if here.low == 0 {
                return None;
            }
            index = self.table.next(index);
        }
    }

    /// Finds the live block of this heap at this address, whatever its layout.
    pub(crate) fn find(&self, address: usize, heap: u16) -> Option<RecordSlot> {
        self.probe(address, |record| record.heap() == heap)
    }

    fn probe(&self, address: usize, accept: impl Fn(Record) -> bool) -> Option<RecordSlot> {
        if let Some(block) = self.pool.find(address)
            && accept(self.pool.record(block))
        {
            return Some(RecordSlot::Pooled(block));
        }
        if self.table.len == 0 {
            return None;
        }
        let mut index = self.table.home(address);
        loop {
            let here = *self.table.at(index);
            if here.low == 0 {
                return None;
            }
            if here.address() == address && accept(here) {
                return Some(RecordSlot::Table(index));
            }
            index = self.table.next(index);
        }
    }

    #[inline]
    pub(crate) fn size(&self, record: Record) -> usize {
        size_of(record, &self.side)
    }

    pub(crate) fn decode(&self, record: Record) -> Block {
        Block {
            address: record.address(),
            heap: record.heap(),
            size: self.size(record),
            align: record.align(),
            number: record.high >> SIZE_BITS,
            tainted: record.low & FLAG_TAINTED != 0,
        }
    }

    fn record(&self, slot: RecordSlot) -> Record {
        match slot {
            RecordSlot::Table(index) => *self.table.at(index),
            RecordSlot::Pooled(block) => self.pool.record(block),
        }
    }

    pub(crate) fn block(&self, slot: RecordSlot) -> Block {
        self.decode(self.record(slot))
    }

    /// The number of the block in this slot.
    #[inline]
    pub(crate) fn number(&self, slot: RecordSlot) -> u64 {
        self.record(slot).high >> SIZE_BITS
    }

    /// Marks a block that has a finding.
    pub(crate) fn taint(&mut self, slot: RecordSlot) {
        let mut record = self.record(slot);
        record.low |= FLAG_TAINTED;
        match slot {
            RecordSlot::Table(index) => self.table.put(index, record),
            RecordSlot::Pooled(block) => self.pool.put(block, record),
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: RecordSlot) {
        match slot {
            RecordSlot::Table(index) => self.table.remove(index),
            RecordSlot::Pooled(block) => self.pool.unrecord(block),
        }
    }

    /// [`take_at_home`](Self::take_at_home), wherever the record is.
    #[inline(never)]
    pub(crate) fn take(
        &mut self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
        event: u64,
    ) -> Option<Record> {
        let slot = self.fits(address, heap, size, align)?;
        Some(self.retire(slot, event))
    }

    /// Takes a freed block out, and remembers it with the event of its free.
    #[inline]
    pub(crate) fn retire(&mut self, slot: RecordSlot, event: u64) -> Record {
        let record = self.record(slot);
        self.remove(slot);
        self.freed.add(record, event);
        record
    }

    /// [`insert`](Self::insert), if the first place that is tried is free, which is nearly always
    /// so. Otherwise false, and nothing is done. The size must fit a record.
    #[inline(always)]
    pub(crate) fn insert_at_home(
        &mut self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
        number: u64,
    ) -> bool {
        if self.table.is_full() {
            return false;
        }
        let home = self.table.home(address);
        if self.table.at(home).low != 0 {
            return false;
        }
        let low = Record::key(address, heap, align);
        self.table.put(home, Record { low, high: number << SIZE_BITS | size as u64 });
        self.table.len += 1;
        true
    }

    /// Takes out and remembers the block that a right free names, if its record is in the first
    /// place that is tried and no record follows it, which is nearly always so. Otherwise `None`,
    /// and nothing is done.
    #[inline(always)]
    pub(crate) fn take_at_home(
        &mut self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
        event: u64,
    ) -> Option<Record> {
        let home = self.table.home(address);
        let record = *self.table.at(home);
        let behind = self.table.at(self.table.next(home)).low;
        let fits = record.low == Record::key(address, heap, align)
            && record.high & SIZE_MASK == size as u64;
        if !fits || behind != 0 {
            return None;
        }
        self.table.put(home, Record::default());
        self.table.len -= 1;
        self.freed.add(record, event);
        Some(record)
    }

    /// Reserves the pool's memory, if there is to be a pool.
    pub(crate) fn open_pool(&mut self) {
        if self.pool.is_closed() {
            self.freed.open();
            self.pool.open();
        }
    }

    /// Takes a block out of the pool and enters it, with `lead` bytes of guards on either side, as
    /// in all of the run. Returns where the front guard begins; `None` if the pool has no block,
    /// and nothing is done then.
    #[inline(always)]
    pub(crate) fn grant_pooled(
        &mut self,
        heap: u16,
        layout: Layout,
        lead: usize,
        number: u64,
    ) -> Option<NonNull<u8>> {
        debug_assert!(lead == self.pool.lead() || self.pool.is_closed());
        let block = self.pool.take(layout.size() + 2 * lead)?;
        let start = self.pool.start(block);
        let low = Record::key(start.as_ptr() as usize + lead, heap, layout.align());
        let high = number << SIZE_BITS | layout.size() as u64;
        self.pool.put(block, Record { low, high });
        self.pool.live += 1;
        Some(start)
    }

    /// Takes out the pool's block that a right free names, remembers it, and gives its memory back
    /// to the pool. False if there is no such block, and nothing is done then. Only for runs
    /// without guards and for sizes above 0.
    #[inline(always)]
    pub(crate) fn release_pooled(
        &mut self,
        address: usize,
        heap: u16,
        layout: Layout,
        event: u64,
    ) -> bool {
        let Some(block) = self.pool.block(address) else { return false };
        let record = self.pool.record(block);
        let size = layout.size();
        if record.low != Record::key(address, heap, layout.align()) || record.small_size() != size {
            return false;
        }
        // SAFETY: without guards a block is taken for its own size, which its record says, unless
        // that is 0, which callers exclude.
        unsafe { self.pool.release(block, size) };
        self.freed.add(record, event);
        true
    }

    /// Gives the memory of a block that has left the ledger back to the pool, if it came from
    /// there.
    #[inline]
    pub(crate) fn give_to_pool(&mut self, address: usize, size: usize) -> bool {
        let Some(block) = self.pool.block(address) else { return false };
        self.pool.give(block, size + 2 * self.pool.lead());
        true
    }

    fn freed_by(&self, accept: impl Fn(&Block) -> bool) -> Option<FreedBlock> {
        self.freed
            .youngest_first()
            .map(|(record, event)| FreedBlock { block: self.decode(record), event })
            .find(|freed| accept(&freed.block))
    }

    /// Whether a live block is at this address or contains it, or a remembered freed one was there.
    pub(crate) fn knows(&self, address: usize) -> bool {
        self.remembers(address)
            || self.records().any(|record| self.decode(record).contains(address))
    }

    /// Whether a live block is at this address, or a remembered freed one was. Doesn't visit all
    /// live blocks.
    pub(crate) fn remembers(&self, address: usize) -> bool {
        self.owns(address) || self.freed_at(address).is_some()
    }

    /// Whether a live block is at this address.
    pub(crate) fn owns(&self, address: usize) -> bool {
        self.probe(address, |_| true).is_some()
    }

    /// Forgets the freed blocks in this range: the memory has been handed out again, past this
    /// ledger.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        let Ledger { freed, side, .. } = self;
        freed.forget(|record| {
            let start = record.address();
            start < address + size.max(1) && address < start + size_of(record, side).max(1)
        });
    }

    fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.table.records().chain(self.pool.records())
    }

    /// All live blocks, in the order in which they were allocated.
    pub(crate) fn live(&self) -> Vec<Block> {
        if self.table.len + self.pool.live == 0 {
            return Vec::new();
        }
        let mut live: Vec<Block> = self.records().map(|record| self.decode(record)).collect();
        live.sort_unstable_by_key(|block| block.number);
        live
    }

    /// Takes all blocks of a heap out, and returns them in the order of their allocation.
    pub(crate) fn take_heap(&mut self, heap: u16) -> Vec<Block> {
        let mut taken = self.live();
        taken.retain(|block| block.heap == heap);
        for block in &taken {
            if let Some(slot) = self.find(block.address, heap) {
                self.remove(slot);
            }
        }
        taken
    }
}

#[inline]
fn size_of(record: Record, side: &[usize]) -> usize {
    let size = (record.high & SIZE_MASK) as usize;
    if record.low & FLAG_SIDE == 0 { size } else { side[size] }
}

impl BlockTable for Ledger {
    fn live_at(&self, address: usize, heap: u16) -> Option<Block> {
        self.find(address, heap).map(|slot| self.block(slot))
    }

    fn owners(&self, address: usize) -> Vec<Block> {
        let mut owners = self.live();
        owners.retain(|block| block.address == address || block.contains(address));
        owners.reverse();
        owners
    }

    fn freed_at(&self, address: usize) -> Option<FreedBlock> {
        self.freed_by(|block| block.address == address)
    }

    fn freed_around(&self, address: usize) -> Option<FreedBlock> {
        self.freed_by(|block| block.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::heap::freed_ring::FREED_MAX;

    /// Against a naive model, over a sequence whose addresses collide often.
    #[test]
    fn agrees_with_a_map_of_blocks() {
        let mut ledger = Ledger::new(None);
        let mut model: BTreeMap<(usize, u16), (usize, usize, u64)> = BTreeMap::new();
        let mut x = 0x1234_5678_u64;
        for number in 1..200_000_u64 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let address = 16 + (x >> 33) as usize % 3000 * 16;
            let heap = (x >> 20) as u16 % 3;
            let size = (x >> 40) as usize % 300;
            let align = 1 << ((x >> 50) % 12);
            match model.remove(&(address, heap)) {
                Some((size, align, number)) => {
                    let slot = ledger.fits(address, heap, size, align).expect("live");
                    assert_eq!(ledger.number(slot), number);
                    assert!(ledger.fits(address, heap, size + 1, align).is_none());
                    ledger.remove(slot);
                    assert!(ledger.find(address, heap).is_none());
                }
                None => {
                    assert!(ledger.insert(address, heap, size, align, number).is_none());
                    model.insert((address, heap), (size, align, number));
                }
            }
            assert_eq!(ledger.len(), model.len());
        }
        let mut expected: Vec<u64> = model.values().map(|value| value.2).collect();
        expected.sort_unstable();
        let live: Vec<u64> = ledger.live().iter().map(|block| block.number).collect();
        assert_eq!(live, expected);
    }

    #[test]
    fn sizes_that_do_not_fit_a_record_are_kept_whole() {
        let mut ledger = Ledger::new(None);
        let size = usize::MAX >> 4;
        ledger.insert(4096, 2, size, 4096, 7);
        let slot = ledger.find(4096, 2).expect("live");
        let block = ledger.block(slot);
        assert_eq!((block.size, block.align, block.number), (size, 4096, 7));
        assert!(ledger.fits(4096, 2, size, 4096).is_none(), "the fast path does not find these");
    }

    #[test]
    fn the_youngest_of_nested_blocks_is_the_innermost() {
        let mut ledger = Ledger::new(None);
        ledger.insert(1000, 0, 500, 8, 1);
        ledger.insert(1000, 1, 100, 8, 2);
        let owners: Vec<u64> = ledger.owners(1000).iter().map(|block| block.number).collect();
        assert_eq!(owners, [2, 1]);
        let inside: Vec<u64> = ledger.owners(1200).iter().map(|block| block.number).collect();
        assert_eq!(inside, [1]);
    }

    #[test]
    fn freed_blocks_are_remembered_youngest_first_and_bounded() {
        let mut ledger = Ledger::new(None);
        for number in 0..FREED_MAX as u64 + 10 {
            ledger.insert(64, 0, 8, 8, number);
            let slot = ledger.find(64, 0).expect("live");
            ledger.retire(slot, number);
        }
        let latest = ledger.freed_at(64).expect("remembered");
        assert_eq!(latest.event, FREED_MAX as u64 + 9);
        assert_eq!(latest.block.number, FREED_MAX as u64 + 9);
        assert!(ledger.freed_around(68).is_some());
        assert!(ledger.freed_around(72).is_none());
    }
}
