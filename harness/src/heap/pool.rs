//! The pool: memory for small blocks, with the record of each block at a known distance from it.
//!
//! A heap over the system's allocator spends most of its time in `malloc`, and much of the rest
//! searching records by address. The pool saves both. It is one region of memory, from whose front
//! blocks are cut off in steps of 16 bytes. For each step there is room for a record, at the same
//! distance from every step.
//!
//! ```text
//!  region   │ margin │ block of 48 │ 16 │ block of 32 │ … untouched
//!  records  │        │ r  .  .     │ r  │ r  .        │ …
//! ```
//!
//! Records are far from the blocks, where a stray write doesn't reach them. The record of a live
//! block begins with an address. That of a free block begins with a small number: the step of the
//! next free block of its size, so the records are also the lists of free blocks.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::heap::pool_memory;
use crate::heap::record::Record;

/// The largest block in bytes, guards included.
pub(crate) const BLOCK_MAX: usize = 1 << 10;
/// Sizes are rounded up to whole steps.
const STEP_BITS: u32 = 4;
const STEP: usize = 1 << STEP_BITS;
const CLASSES: usize = (BLOCK_MAX >> STEP_BITS) + 1;
const _: () = assert!(size_of::<Record>() == STEP);

/// The region's size in bytes. It is reserved whole, and takes physical memory where it is touched.
/// Blocks that don't fit are `malloc`'s.
const REGION: usize = 256 << 20;
/// Bytes before the first block, so that a stray access there doesn't crash, just as it wouldn't
/// between two blocks of `malloc`.
const MARGIN: usize = 16 << 10;

/// The distance of a record from its step. It is no power of two, so that both don't compete for
/// the same set of a cache.
const APART: usize = REGION + 37 * 64;
const MAPPED: usize = 2 * REGION + (64 << 10);

/// The end of a list of free blocks. It is not a block's step, since step 0 is in the margin.
const NONE: u32 = 0;
/// A record whose first word is larger begins with an address, else with the number of a step.
const WORD_MAX: u64 = (REGION >> STEP_BITS) as u64;

/// The size class for `bytes`: its blocks are this many steps long.
#[inline(always)]
fn class_of(bytes: usize) -> usize {
    (bytes + STEP - 1) >> STEP_BITS
}

pub(crate) struct Pool {
    /// The start of the region; dangling until it is open.
    base: NonNull<u8>,
    /// The offset at which the next fresh block is cut off. Blocks are identified by their offsets.
    fresh: usize,
    /// The offset at which the region ends for this run.
    end: usize,
    /// The size of either guard of a block in bytes.
    lead: usize,
    /// The address of the subject's part of a block at offset 0.
    origin: usize,
    /// The number of blocks with a record.
    pub(crate) live: usize,
    /// For each size class the step of the free block that was given back last, or [`NONE`].
    free: [u32; CLASSES],
    /// The address of the subject's part of a block that was taken and is not recorded yet.
    pending: usize,
    is_open: bool,
    is_wanted: bool,
}

// SAFETY: this value alone owns the region and its records.
unsafe impl Send for Pool {}

impl Pool {
    /// A pool without blocks.
    pub(crate) const fn none() -> Self {
        Pool {
            base: NonNull::dangling(),
            fresh: 0,
            end: 0,
            lead: 0,
            origin: 0,
            live: 0,
            free: [NONE; CLASSES],
            pending: 0,
            is_open: false,
            is_wanted: false,
        }
    }

    /// Sets whether it has blocks from here on, and the size of their guards. No block may be live.
    pub(crate) fn want(&mut self, lead: Option<usize>) {
        self.is_wanted = lead.is_some() && pool_memory::is_allowed();
        self.lead = lead.unwrap_or(0);
        self.rewind();
    }

    /// Starts again with an untouched region. No block may be live or in use.
    pub(crate) fn rewind(&mut self) {
        debug_assert_eq!(self.live, 0);
        if self.is_open {
            self.free = [NONE; CLASSES];
            self.origin = self.base.as_ptr() as usize + self.lead;
            self.fresh = MARGIN;
            self.end = if self.is_wanted { REGION } else { MARGIN };
        }
    }

    /// Reserves the region, if a pool is wanted.
    #[cold]
    #[inline(never)]
    pub(crate) fn open(&mut self) {
        if !self.is_closed() {
            return;
        }
        match pool_memory::reserve(MAPPED, WORD_MAX) {
            Some(base) => {
                self.base = base;
                self.is_open = true;
                self.rewind();
            }
            None => self.is_wanted = false,
        }
    }

    /// Whether it is wanted and not open yet.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_wanted && !self.is_open
    }

    /// The offset of the subject's part in a block.
    #[inline(always)]
    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    /// Takes a block of `bytes`, aligned to 16, without a record. `None` if there is none.
    #[inline(always)]
    pub(crate) fn take(&mut self, bytes: usize) -> Option<usize> {
        if bytes > BLOCK_MAX {
            return None;
        }
        let class = class_of(bytes);
        let step = self.free[class];
        if step != NONE {
            let block = (step as usize) << STEP_BITS;
            self.free[class] = self.record(block).word() as u32;
            return Some(block);
        }
        let block = self.fresh;
        let after = block + (class << STEP_BITS);
        if after > self.end {
            return None;
        }
        self.fresh = after;
        Some(block)
    }

    /// The start of a block, which is the start of its front guard.
    #[inline(always)]
    pub(crate) fn start(&self, block: usize) -> NonNull<u8> {
        debug_assert!(block < self.fresh);
        // SAFETY: `take` and `block` return only offsets below `fresh`, which are in the region.
        unsafe { self.base.add(block) }
    }

    /// Takes a block for a subject's `size` bytes, which [`Ledger::insert`] records later.
    ///
    /// [`Ledger::insert`]: crate::heap::ledger::Ledger::insert
    pub(crate) fn take_pending(&mut self, size: usize) -> Option<NonNull<u8>> {
        self.open();
        let bytes = size.checked_add(2 * self.lead)?;
        let block = self.take(bytes)?;
        self.pending = self.origin + block;
        Some(self.start(block))
    }

    /// The block whose subject's part is at this address, if it is the one that is not recorded
    /// yet. From then on it counts as recorded.
    #[inline]
    pub(crate) fn take_pending_at(&mut self, address: usize) -> Option<usize> {
        if self.pending != address {
            return None;
        }
        self.pending = 0;
        Some(address - self.origin)
    }

    /// The block whose subject's part would be at this address, if that is in the pool. There need
    /// not be a live one.
    #[inline(always)]
    pub(crate) fn block(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.origin);
        (offset < self.fresh).then_some(offset & !(STEP - 1))
    }

    #[inline(always)]
    fn record_of(&self, block: usize) -> NonNull<Record> {
        debug_assert!(block < self.fresh && block.is_multiple_of(STEP));
        // SAFETY: the records of all offsets below `fresh` are in the same mapping, zero at first.
        unsafe { self.base.add(block + APART).cast() }
    }

    #[inline(always)]
    pub(crate) fn record(&self, block: usize) -> Record {
        // SAFETY: records are initialised with zeroes by the system, or by `put`.
        unsafe { self.record_of(block).read() }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, block: usize, record: Record) {
        // SAFETY: `&mut self` makes the write exclusive.
        unsafe { self.record_of(block).write(record) }
    }

    /// The live block whose subject's part is at this address.
    pub(crate) fn find(&self, address: usize) -> Option<usize> {
        let block = self.block(address)?;
        let record = self.record(block);
        (record.word() > WORD_MAX && record.address() == address).then_some(block)
    }

    /// Removes the record of a block. Its memory is not given back.
    #[inline(always)]
    pub(crate) fn unrecord(&mut self, block: usize) {
        self.live -= 1;
        // SAFETY: as in `put`.
        unsafe { self.record_of(block).as_mut().set_word(u64::from(NONE)) }
    }

    /// Takes back the memory of a block without a record that was taken for `bytes`.
    pub(crate) fn give(&mut self, block: usize, bytes: usize) {
        let class = class_of(bytes.max(1));
        assert!(class < CLASSES, "[mallory bug] the pool has no blocks of this size");
        self.push(block, class);
    }

    /// Takes back a live block, both record and memory.
    ///
    /// # Safety
    /// - The block was taken for exactly `bytes`.
    #[inline(always)]
    pub(crate) unsafe fn release(&mut self, block: usize, bytes: usize) {
        let class = class_of(bytes);
        // SAFETY: the caller's promise, and `take` gives no larger blocks.
        unsafe { std::hint::assert_unchecked(class < CLASSES) };
        self.live -= 1;
        self.push(block, class);
    }

    #[inline(always)]
    fn push(&mut self, block: usize, class: usize) {
        let next = std::mem::replace(&mut self.free[class], (block >> STEP_BITS) as u32);
        // SAFETY: as in `put`.
        unsafe { self.record_of(block).as_mut().set_word(u64::from(next)) }
    }

    /// The records of all live blocks.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let all = (MARGIN..self.fresh).step_by(STEP).map(|block| self.record(block));
        all.filter(|record| record.word() > WORD_MAX)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        // A leaked block may still be used, so its pages stay.
        let mut kept: Vec<(usize, usize)> = Vec::new();
        if self.live > 0 {
            let start = |record: &Record| record.address() - self.origin;
            let end = |record: &Record| start(record) + 2 * self.lead + record.small_size();
            kept.extend(self.records().map(|record| (start(&record), end(&record))));
        }
        pool_memory::release(self.base, MAPPED, &kept);
    }
}

#[cfg(test)]
#[cfg(all(unix, target_pointer_width = "64", not(miri)))]
mod tests {
    use std::alloc::Layout;
    use std::collections::BTreeMap;

    use super::*;
    use crate::heap::Heap;
    use crate::options::Options;
    use crate::port::Port;

    fn opened(lead: usize) -> Pool {
        let mut pool = Pool::none();
        pool.want(Some(lead));
        pool.open();
        pool
    }

    #[test]
    fn no_two_blocks_share_a_byte_and_freed_ones_are_handed_out_again() {
        let mut pool = opened(0);
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        let mut x = 7_u64;
        let mut largest = 0;
        for _ in 0..100_000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = 1 + (x >> 33) as usize % BLOCK_MAX;
            if taken.len() < 200 && x >> 63 == 0 {
                let block = pool.take(bytes).expect("room");
                let before = taken.range(..=block).next_back();
                assert!(before.is_none_or(|(start, bytes)| start + bytes <= block));
                assert!(taken.range(block..).next().is_none_or(|(next, _)| block + bytes <= *next));
                assert!(block.is_multiple_of(STEP) && block >= MARGIN);
                taken.insert(block, bytes);
                largest = largest.max(block);
            } else if let Some((block, bytes)) = taken.pop_first() {
                pool.give(block, bytes);
            }
        }
        assert!(largest < MARGIN + 64 * 400 * BLOCK_MAX, "blocks are handed out again");
        assert_eq!(pool.take(BLOCK_MAX + 1), None);
    }

    #[test]
    fn what_does_not_fit_the_region_is_mallocs_and_all_of_it_is_watched() {
        let heap = Options::new().ledger_only().heap();
        let layout = Layout::from_size_align(1000, 8).expect("a layout");
        let count = REGION / 1000 + 1000;
        let blocks: Vec<NonNull<u8>> =
            (0..count).map(|_| heap.alloc(layout).expect("memory").cast()).collect();
        assert_eq!(heap.live_bytes(), count * 1000);
        let distinct: std::collections::BTreeSet<NonNull<u8>> = blocks.iter().copied().collect();
        assert_eq!(distinct.len(), count);
        for block in blocks {
            // SAFETY: just allocated with this layout.
            unsafe { heap.free(block, layout) };
        }
        assert_eq!(heap.live_bytes(), 0);
        heap.close(true);
        assert!(heap.with(|state| state.evidence.is_empty()));
    }

    #[test]
    fn a_leaked_block_can_be_used_when_its_heap_is_gone() {
        for options in [Options::new(), Options::new().ledger_only()] {
            let heap = options.heap();
            let layout = Layout::from_size_align(200, 8).expect("a layout");
            let others: Vec<NonNull<u8>> =
                (0..500).map(|_| heap.alloc(layout).expect("memory").cast()).collect();
            let leaked = others[250];
            // SAFETY: just allocated with this layout; but for the one that is kept.
            unsafe {
                leaked.write_bytes(7, 200);
                others.iter().filter(|other| **other != leaked).for_each(|o| heap.free(*o, layout));
            }
            drop(heap);
            // SAFETY: never freed.
            assert!((0..200).all(|at| unsafe { leaked.add(at).read() } == 7));
        }
    }

    #[test]
    fn a_run_after_a_clean_one_gets_the_same_blocks() {
        let layout = Layout::from_size_align(40, 8).expect("a layout");
        let once = || {
            let heap = Heap::new();
            let blocks: Vec<NonNull<u8>> =
                (0..10).map(|_| heap.alloc(layout).expect("memory").cast()).collect();
            // SAFETY: just allocated with this layout.
            blocks.iter().for_each(|block| unsafe { heap.free(*block, layout) });
            blocks
        };
        assert_eq!(once(), once());
    }
}
