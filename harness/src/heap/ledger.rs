//! The ledger: every live block of a run, and the last few thousand that were freed.
//!
//! A flat open-addressed table of 16-byte records, hashed by address, with backward-shift
//! deletion (no tombstones, so a table that is empty again is as good as new):
//!
//! ```text
//!  low   | address 48 | heap 9 | log2(align) 5 | flags 2 |
//!  high  | block number 36 | size 28 |
//! ```
//!
//! A record is found by (address, heap): an arena's first block may begin where its chunk does.
//! Sizes of 256 MiB and more stand in a side table. Nothing here is ever walked in table order
//! for output: that order depends on addresses.
#![allow(unsafe_code)]

use crate::detect::block::{Block, BlockTable, FreedBlock};
use crate::heap::record::Record;
use crate::heap::record::{FLAG_SIDE, FLAG_TAINTED, SIZE_BITS, SIZE_MASK};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;

use crate::heap::pool::Pool;

/// Neighbouring places are so many bytes of memory apart (as a power of two): what the smallest
/// block takes in most allocators.
const GRANULE_BITS: u32 = 4;

/// Tables of so many records are kept at most an eighth full, larger ones at most four fifths.
const SPARSE_MAX: usize = 1 << 13;

/// How many freed blocks are remembered: few enough that writing them down stays in the cache.
const FREED_MAX: usize = 1024;

/// What a ledger without a table looks into: one place, free for ever.
static NO_RECORD: Record = Record { low: 0, high: 0 };

/// Where a block's record stands in the table; good until the table changes.
#[derive(Clone, Copy)]
pub(crate) enum RecordSlot {
    Table(usize),
    /// The record of a block of the pool's.
    Pooled(usize),
}

pub(crate) struct Ledger {
    table: NonNull<Record>,
    /// `64 - log2(capacity)`; the capacity is a power of two, or none yet.
    shift: u32,
    mask: usize,
    /// The bits of an address that its place among the granules of one table doesn't tell.
    rest: usize,
    len: usize,
    grow_at: usize,
    /// Sizes that do not fit a record.
    side: Vec<usize>,
    /// The last freed blocks with the events at which they were, in a ring.
    freed: NonNull<[(Record, u64); FREED_MAX]>,
    freed_total: usize,
    has_ring: bool,
    /// Blocks of our own memory, whose records need no looking for.
    pub(crate) pool: Pool,
}

// SAFETY: the table is owned by this value alone, as a `Vec` would own it.
unsafe impl Send for Ledger {}

impl Ledger {
    /// An empty ledger: one of an earlier run of this thread, or a new one. With a pool, whose
    /// blocks begin so far before the subject's part of them, or without.
    pub(crate) fn new(pool: Option<usize>) -> Self {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut ledger = spare.unwrap_or_else(Ledger::fresh);
        ledger.pool.want(pool);
        ledger
    }

    pub(crate) const fn fresh() -> Self {
        Ledger {
            // SAFETY: a static stands somewhere; nothing is written there (`grow_at`).
            table: unsafe { NonNull::new_unchecked((&raw const NO_RECORD).cast_mut()) },
            shift: 63,
            mask: 0,
            rest: 0,
            len: 0,
            grow_at: 0,
            side: Vec::new(),
            freed: NonNull::dangling(),
            freed_total: 0,
            has_ring: false,
            pool: Pool::none(),
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len + self.pool.live
    }

    /// Where a block's record would like to stand: neighbours in memory are neighbours here, so
    /// that a subject which goes through its memory in order goes through the table in order.
    /// What the low bits of the 16-byte granule can't tell (blocks inside of one granule, places
    /// a whole table apart) is spread by Fibonacci hashing.
    #[inline]
    fn home(&self, address: usize) -> usize {
        let granule = address >> GRANULE_BITS;
        let rest = address & self.rest;
        let spread = (rest as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        granule.wrapping_add(spread as usize) & self.mask
    }

    #[inline]
    fn at(&self, index: usize) -> &Record {
        debug_assert!(index <= self.mask);
        // SAFETY: indices are masked with `mask`, and the table has `mask + 1` initialised
        // records, of which the one before the first table is `NO_RECORD`.
        unsafe { self.table.add(index).as_ref() }
    }

    #[inline]
    fn put(&mut self, index: usize, record: Record) {
        debug_assert!(index <= self.mask);
        // SAFETY: as in `at`; `&mut self` makes the write exclusive, and callers have found room
        // or a record, so this is a table of our own (`grow_at > 0`).
        unsafe { self.table.add(index).write(record) }
    }

    /// Enters a live block. Answers the number of a live block that stands at the same address of
    /// the same heap: a port that hands out a block twice.
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
        if self.len >= self.grow_at {
            self.enlarge();
        }
        let mut index = self.home(address);
        loop {
            let here = *self.at(index);
            if here.low == 0 {
                self.put(index, record);
                self.len += 1;
                return None;
            }
            if here.address() == address && here.heap() == heap {
                self.put(index, record);
                return Some(here.high >> SIZE_BITS);
            }
            index = (index + 1) & self.mask;
        }
    }

    /// The place of a live, untainted block of just this heap, address, size and alignment: what
    /// a right free asks for, in one comparison a probe.
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
        if self.len == 0 {
            return None;
        }
        let mut index = self.home(address);
        loop {
            let here = self.at(index);
            if here.low == want {
                return (here.high & SIZE_MASK == size as u64).then_some(RecordSlot::Table(index));
            }
            if here.low == 0 {
                return None;
            }
            index = (index + 1) & self.mask;
        }
    }

    /// The place of a live block of this heap at this address, whatever its layout.
    pub(crate) fn find(&self, address: usize, heap: u16) -> Option<RecordSlot> {
        self.probe(address, |record| record.heap() == heap)
    }

    fn probe(&self, address: usize, accept: impl Fn(Record) -> bool) -> Option<RecordSlot> {
        if let Some(block) = self.pool.find(address)
            && accept(self.pool.record(block))
        {
            return Some(RecordSlot::Pooled(block));
        }
        if self.len == 0 {
            return None;
        }
        let mut index = self.home(address);
        loop {
            let here = *self.at(index);
            if here.low == 0 {
                return None;
            }
            if here.address() == address && accept(here) {
                return Some(RecordSlot::Table(index));
            }
            index = (index + 1) & self.mask;
        }
    }

    #[inline]
    pub(crate) fn size(&self, record: Record) -> usize {
        let size = (record.high & SIZE_MASK) as usize;
        if record.low & FLAG_SIDE == 0 { size } else { self.side[size] }
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
            RecordSlot::Table(index) => *self.at(index),
            RecordSlot::Pooled(block) => self.pool.record(block),
        }
    }

    pub(crate) fn block(&self, slot: RecordSlot) -> Block {
        self.decode(self.record(slot))
    }

    /// The number of the block in this place.
    #[inline]
    pub(crate) fn number(&self, slot: RecordSlot) -> u64 {
        self.record(slot).high >> SIZE_BITS
    }

    /// Marks a block that has its finding.
    pub(crate) fn taint(&mut self, slot: RecordSlot) {
        let mut record = self.record(slot);
        record.low |= FLAG_TAINTED;
        match slot {
            RecordSlot::Table(index) => self.put(index, record),
            RecordSlot::Pooled(block) => self.pool.put(block, record),
        }
    }

    /// Takes a record out by moving the rest of its probe run up (Knuth 6.4, algorithm R).
    #[inline]
    pub(crate) fn remove(&mut self, slot: RecordSlot) {
        let mut hole = match slot {
            RecordSlot::Table(index) => index,
            RecordSlot::Pooled(block) => return self.pool.unrecord(block),
        };
        let mut next = hole;
        loop {
            next = (next + 1) & self.mask;
            let record = *self.at(next);
            if record.low == 0 {
                break;
            }
            let home = self.home(record.address());
            // The record may fill the hole unless its home lies cyclically in (hole, next].
            if (next.wrapping_sub(home) & self.mask) >= (next.wrapping_sub(hole) & self.mask) {
                self.put(hole, record);
                hole = next;
            }
        }
        self.put(hole, Record::default());
        self.len -= 1;
    }

    /// [`take_at_home`](Self::take_at_home), wherever the record stands.
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

    /// Takes a freed block out, and remembers it and its event instead of the oldest of too many.
    #[inline]
    pub(crate) fn retire(&mut self, slot: RecordSlot, event: u64) -> Record {
        let record = self.record(slot);
        self.remove(slot);
        self.remember(record, event);
        record
    }

    #[inline]
    fn remember(&mut self, record: Record, event: u64) {
        // SAFETY: the ring was made before the first block came in (`enlarge`, `open_pool`).
        unsafe { self.freed.as_mut()[self.freed_total % FREED_MAX] = (record, event) };
        self.freed_total += 1;
    }

    /// [`insert`](Self::insert), where the first place that is looked at is free: nearly always.
    /// False where it isn't, and nothing is done; the size must fit a record.
    #[inline(always)]
    pub(crate) fn insert_at_home(
        &mut self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
        number: u64,
    ) -> bool {
        if self.len >= self.grow_at {
            return false;
        }
        let home = self.home(address);
        if self.at(home).low != 0 {
            return false;
        }
        let low = Record::key(address, heap, align);
        self.put(home, Record { low, high: number << SIZE_BITS | size as u64 });
        self.len += 1;
        true
    }

    /// Takes out and remembers the block that a right free asks for, where its record is in the
    /// first place that is looked at and none stands behind it: nearly always. `None` where it
    /// isn't so, and nothing is done.
    #[inline(always)]
    pub(crate) fn take_at_home(
        &mut self,
        address: usize,
        heap: u16,
        size: usize,
        align: usize,
        event: u64,
    ) -> Option<Record> {
        let home = self.home(address);
        let record = *self.at(home);
        let behind = self.at((home + 1) & self.mask).low;
        let fits = record.low == Record::key(address, heap, align)
            && record.high & SIZE_MASK == size as u64;
        if !fits || behind != 0 {
            return None;
        }
        self.put(home, Record::default());
        self.len -= 1;
        self.remember(record, event);
        Some(record)
    }

    /// Reserves the pool's memory, if there is to be a pool.
    pub(crate) fn open_pool(&mut self) {
        if self.pool.is_closed() {
            self.make_ring();
            self.pool.open();
        }
    }

    fn make_ring(&mut self) {
        if !self.has_ring {
            self.freed = zeroed(Layout::new::<[(Record, u64); FREED_MAX]>()).cast();
            self.has_ring = true;
        }
    }

    /// Takes a block out of the pool and enters it: with `lead` bytes of guards before and behind
    /// it, as in all of the run. `None` where the pool has none, and nothing is done. What is
    /// answered is where the guards begin.
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

    /// Takes a block of the pool out that a right free asks for, remembers it, and gives its memory
    /// back. False where it isn't one, and nothing is done; only without guards, and not for no
    /// bytes at all.
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
        // SAFETY: the record says so: without guards a block is taken for its size, unless that is
        // 0, which callers see to.
        unsafe { self.pool.release(block, size) };
        self.remember(record, event);
        true
    }

    fn freed_by(&self, accept: impl Fn(&Block) -> bool) -> Option<FreedBlock> {
        (0..self.freed_total.min(FREED_MAX))
            .map(|back| {
                // SAFETY: something was remembered, so the ring is there.
                let ring = unsafe { self.freed.as_ref() };
                let (record, event) = ring[(self.freed_total - 1 - back) % FREED_MAX];
                FreedBlock { block: self.decode(record), event }
            })
            .find(|freed| accept(&freed.block))
    }

    /// Whether a block stands at this address, or around it, or was freed there not long ago.
    pub(crate) fn knows(&self, address: usize) -> bool {
        self.remembers(address)
            || self.records().any(|record| self.decode(record).contains(address))
    }

    /// Whether a block stands at this address, or was freed there not long ago: without a walk
    /// through all that are live.
    pub(crate) fn remembers(&self, address: usize) -> bool {
        self.owns(address) || self.freed_at(address).is_some()
    }

    /// Whether a live block stands at this address.
    pub(crate) fn owns(&self, address: usize) -> bool {
        self.probe(address, |_| true).is_some()
    }

    /// Forgets what was freed in this range: it has been handed out again, past this ledger.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        for nth in 0..self.freed_total.min(FREED_MAX) {
            // SAFETY: something was remembered, so the ring is there.
            let ring = unsafe { self.freed.as_mut() };
            let record = ring[nth].0;
            let start = record.address();
            if start < address + size.max(1) && address < start + self.size(record).max(1) {
                ring[nth].0 = Record::default();
            }
        }
    }

    fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let capacity = if self.grow_at == 0 { 0 } else { self.mask + 1 };
        let table = (0..capacity).map(|index| *self.at(index)).filter(|record| record.low != 0);
        table.chain(self.pool.records())
    }

    /// All live blocks, in the order in which they were allocated.
    pub(crate) fn live(&self) -> Vec<Block> {
        if self.len + self.pool.live == 0 {
            return Vec::new();
        }
        let mut live: Vec<Block> = self.records().map(|record| self.decode(record)).collect();
        live.sort_unstable_by_key(|block| block.number);
        live
    }

    /// Takes all blocks of a heap out at once, and answers them in order.
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

    #[cold]
    #[inline(never)]
    fn enlarge(&mut self) {
        let old_capacity = if self.grow_at == 0 { 0 } else { self.mask + 1 };
        let capacity = (old_capacity * 2).max(1024);
        // A table that fits the cache is kept sparse, since what costs there is a wrong guess
        // about where a probe ends; a large one is kept dense, since there it is the memory.
        self.grow_at = if capacity <= SPARSE_MAX { capacity / 8 } else { capacity / 5 * 4 };
        self.make_ring();
        let layout = Layout::array::<Record>(capacity)
            .expect("[mallory bug] the ledger outgrew the address space");
        let fresh = zeroed(layout).cast::<Record>();
        let old = std::mem::replace(&mut self.table, fresh);
        self.mask = capacity - 1;
        self.rest = !(self.mask << GRANULE_BITS);
        self.shift = 64 - capacity.trailing_zeros();
        for index in 0..old_capacity {
            // SAFETY: the old table had `old_capacity` initialised records.
            let record = unsafe { old.add(index).read() };
            if record.low != 0 {
                let mut place = self.home(record.address());
                while self.at(place).low != 0 {
                    place = (place + 1) & self.mask;
                }
                self.put(place, record);
            }
        }
        Self::release(old, old_capacity);
    }

    fn release(table: NonNull<Record>, capacity: usize) {
        if capacity == 0 {
            return;
        }
        let layout = Layout::array::<Record>(capacity)
            .expect("[mallory bug] the layout was good when the table was made");
        // SAFETY: a table of this capacity was allocated by `enlarge` with this layout, and its
        // owner has just given it up.
        unsafe { System.dealloc(table.as_ptr().cast(), layout) }
    }
}

/// Memory of the harness's own: from the system, past every allocator that is watched.
fn zeroed(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout of this file is empty.
    let Some(fresh) = NonNull::new(unsafe { System.alloc_zeroed(layout) }) else {
        // The machine itself is out of memory; there is nothing left to observe with.
        std::alloc::handle_alloc_error(layout)
    };
    fresh
}

thread_local! {
    /// A table that is empty again is as good as new, and as large as the next run will want it:
    /// a clean run costs no more than its requests.
    static SPARE: Cell<Option<Ledger>> = const { Cell::new(None) };
}

impl Ledger {
    /// Keeps this one for the thread's next run, if it is empty.
    pub(crate) fn recycle(&mut self) {
        if self.len + self.pool.live != 0 {
            return;
        }
        let mut spare = std::mem::replace(self, Ledger::fresh());
        spare.pool.rewind();
        spare.side.clear();
        spare.freed_total = 0;
        // A thread that is ending keeps nothing.
        let _ = SPARE.try_with(|kept| kept.set(Some(spare)));
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.grow_at != 0 {
            Self::release(self.table, self.mask + 1);
        }
        if self.has_ring {
            let layout = Layout::new::<[(Record, u64); FREED_MAX]>();
            // SAFETY: made by `make_ring` with this layout.
            unsafe { System.dealloc(self.freed.as_ptr().cast(), layout) }
        }
    }
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
    use super::*;
    use std::collections::BTreeMap;

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
        assert!(ledger.fits(4096, 2, size, 4096).is_none(), "the fast path leaves these alone");
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
