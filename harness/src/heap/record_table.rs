//! A hash table of records by the addresses of their blocks.
//!
//! It is flat and open-addressed, with linear probing and backward-shift deletion: there are no
//! tombstones, so a table that is empty again is as good as new. It is never walked in its own
//! order for output, since that order depends on addresses.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use crate::heap::record::Record;
use crate::memory::own::OwnMemory;

/// Blocks this many bytes apart (as a power of two) are in neighbouring places: the size of the
/// smallest block of most allocators.
const GRANULE_BITS: u32 = 4;

/// Tables of at most this many records are at most an eighth full, larger ones four fifths.
const SPARSE_MAX: usize = 1 << 13;

/// What a table without memory looks into: one place that is always free.
static NO_RECORD: Record = Record { low: 0, high: 0 };

pub(crate) struct RecordTable {
    table: NonNull<Record>,
    /// `64 - log2(capacity)`. The capacity is a power of two, or none before the first record.
    shift: u32,
    mask: usize,
    /// The bits of an address that are not an index of a granule within one table.
    rest: usize,
    pub(crate) len: usize,
    /// The number of records at which the table is enlarged; 0 if it has no memory.
    grow_at: usize,
}

impl RecordTable {
    pub(crate) const fn empty() -> Self {
        RecordTable {
            // SAFETY: a static is not at null. Nothing is written there (`is_full`).
            table: unsafe { NonNull::new_unchecked((&raw const NO_RECORD).cast_mut()) },
            shift: 63,
            mask: 0,
            rest: 0,
            len: 0,
            grow_at: 0,
        }
    }

    /// Whether it has to be enlarged before the next record is put.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.grow_at
    }

    /// The first place that is tried for a block's record. Neighbours in memory are neighbours
    /// here, so a subject that goes through its memory in order goes through the table in order.
    /// The bits of the address that don't choose a granule (blocks inside one granule, places a
    /// whole table apart) are spread by Fibonacci hashing.
    #[inline]
    pub(crate) fn home(&self, address: usize) -> usize {
        let granule = address >> GRANULE_BITS;
        let rest = address & self.rest;
        let spread = (rest as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        granule.wrapping_add(spread as usize) & self.mask
    }

    /// The place that is tried after this one.
    #[inline(always)]
    pub(crate) fn next(&self, index: usize) -> usize {
        (index + 1) & self.mask
    }

    #[inline]
    pub(crate) fn at(&self, index: usize) -> &Record {
        debug_assert!(index <= self.mask);
        // SAFETY: indices are masked with `mask`, and the table has `mask + 1` initialised
        // records; without memory it is `NO_RECORD` with a mask of 0.
        unsafe { self.table.add(index).as_ref() }
    }

    /// Writes a record to a place that was found with [`at`](Self::at).
    #[inline]
    pub(crate) fn put(&mut self, index: usize, record: Record) {
        debug_assert!(index <= self.mask && self.grow_at > 0);
        // SAFETY: as in `at`; `&mut self` makes the write exclusive. Callers put a record where one
        // is, or after `is_full` was false, so the table has memory of its own.
        unsafe { self.table.add(index).write(record) }
    }

    /// Takes a record out by moving the rest of its probe run up (Knuth 6.4, algorithm R).
    #[inline]
    pub(crate) fn remove(&mut self, index: usize) {
        let mut hole = index;
        let mut next = hole;
        loop {
            next = self.next(next);
            let record = *self.at(next);
            if record.low == 0 {
                break;
            }
            let home = self.home(record.address());
            // The record may fill the hole unless its home is cyclically in (hole, next].
            if (next.wrapping_sub(home) & self.mask) >= (next.wrapping_sub(hole) & self.mask) {
                self.put(hole, record);
                hole = next;
            }
        }
        self.put(hole, Record::default());
        self.len -= 1;
    }

    fn capacity(&self) -> usize {
        if self.grow_at == 0 { 0 } else { self.mask + 1 }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        (0..self.capacity()).map(|index| *self.at(index)).filter(|record| record.low != 0)
    }

    /// Doubles the capacity.
    #[cold]
    #[inline(never)]
    pub(crate) fn enlarge(&mut self) {
        let old_capacity = self.capacity();
        let capacity = (old_capacity * 2).max(1024);
        // A table that fits the cache is kept sparse, since there the cost is a mispredicted end of
        // a probe. A large one is kept dense, since there the cost is the memory.
        self.grow_at = if capacity <= SPARSE_MAX { capacity / 8 } else { capacity / 5 * 4 };
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
                    place = self.next(place);
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
            .expect("[mallory bug] the layout was valid when the table was allocated");
        // SAFETY: `enlarge` allocated a table of this capacity with this layout, and its owner has
        // just given it up.
        unsafe { OwnMemory.dealloc(table.as_ptr().cast(), layout) }
    }
}

impl Drop for RecordTable {
    fn drop(&mut self) {
        Self::release(self.table, self.capacity());
    }
}

/// Zeroed memory for the harness: from the system, past every allocator that is watched. The layout
/// is not empty.
pub(crate) fn zeroed(layout: Layout) -> NonNull<u8> {
    debug_assert!(layout.size() > 0);
    // SAFETY: the callers' layouts, of a table and of a ring, are not empty.
    let Some(fresh) = NonNull::new(unsafe { OwnMemory.alloc_zeroed(layout) }) else {
        // The machine itself is out of memory, so the run can't be observed any longer.
        std::alloc::handle_alloc_error(layout)
    };
    fresh
}
