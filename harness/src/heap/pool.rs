//! The pool: small blocks for heaps of our own, each with the place of its record known.
//!
//! A heap over the system's allocator spends most of its time in `malloc`, and much of the rest
//! finding records by addresses. A region of our own gives both away: blocks are cut off its front
//! in steps of 16 bytes, one after the other, and each step has a place for a record, as far from
//! it as every other.
//!
//! ```text
//!  region   │ margin │ block of 48 │ 16 │ block of 32 │ … as yet untouched
//!  records  │        │ r  .  .     │ r  │ r  .        │ …
//! ```
//!
//! Records and the lists of free blocks stand apart from the blocks, where a stray write doesn't
//! reach. Where a block is live its record begins with an address, and else with a small number:
//! the next free block of its size.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::heap::record::Record;

/// The largest block, guards included, and what sizes are rounded up to.
pub(crate) const BLOCK_MAX: usize = 1 << 10;
const STEP_BITS: u32 = 4;
const STEP: usize = 1 << STEP_BITS;
const CLASSES: usize = (BLOCK_MAX >> STEP_BITS) + 1;
const _: () = assert!(size_of::<Record>() == STEP);

/// The region is reserved whole, and takes memory where it is touched. What doesn't fit is
/// `malloc`'s.
const REGION: usize = 256 << 20;
/// Before the first block a stray access goes as unseen as between two of `malloc`'s.
const MARGIN: usize = 16 << 10;

/// How far behind its step a record stands: not so that both fall into the same set of a cache.
const APART: usize = REGION + 37 * 64;
const MAPPED: usize = 2 * REGION + (64 << 10);

/// The end of a list of free blocks: no block begins in the margin.
const NONE: u32 = 0;
/// What is larger is an address, and what isn't is the number of a step.
const WORD_MAX: u64 = (REGION >> STEP_BITS) as u64;

/// Blocks of which size are for so many bytes.
#[inline(always)]
fn class_of(bytes: usize) -> usize {
    (bytes + STEP - 1) >> STEP_BITS
}

pub(crate) struct Pool {
    /// The region's beginning, where there is one.
    base: NonNull<u8>,
    /// How far into the region the next block is cut off, and how far there is any. What lies
    /// before is *ours*; its offset from the beginning names a block.
    fresh: usize,
    end: usize,
    /// What stands in a block before the subject's part, and behind it.
    lead: usize,
    /// Where the subject's part of a block at the region's very beginning would begin.
    origin: usize,
    /// Blocks with a record.
    pub(crate) live: usize,
    /// For each size the first of those that were given back, by its step.
    free: [u32; CLASSES],
    /// Where the subject's part begins of a block that was handed out to be recorded.
    pending: usize,
    is_open: bool,
    is_wanted: bool,
}

// SAFETY: the region and its records are owned by this value alone.
unsafe impl Send for Pool {}

impl Pool {
    /// A pool that has nothing to give.
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

    /// Gives blocks from here on, the subject's part so far into each; or none any more. Nothing
    /// may be in use.
    pub(crate) fn want(&mut self, lead: Option<usize>) {
        self.is_wanted = lead.is_some() && region::may();
        self.lead = lead.unwrap_or(0);
        self.rewind();
    }

    /// Forgets what was cut off: no block is live, and nobody uses one.
    pub(crate) fn rewind(&mut self) {
        debug_assert_eq!(self.live, 0);
        if self.is_open {
            self.free = [NONE; CLASSES];
            self.origin = self.base.as_ptr() as usize + self.lead;
            self.fresh = MARGIN;
            self.end = if self.is_wanted { REGION } else { MARGIN };
        }
    }

    /// Reserves the region, if there is to be one.
    #[cold]
    #[inline(never)]
    pub(crate) fn open(&mut self) {
        if !self.is_closed() {
            return;
        }
        match region::reserve() {
            Some(base) => {
                self.base = base;
                self.is_open = true;
                self.rewind();
            }
            None => self.is_wanted = false,
        }
    }

    /// Whether it may have something to give once it is opened.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_wanted && !self.is_open
    }

    /// How far into a block the subject's part begins.
    #[inline(always)]
    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    /// A block for so many bytes, aligned to 16, without a record; `None` where there is none.
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

    /// Where a block begins, guards and all.
    #[inline(always)]
    pub(crate) fn start(&self, block: usize) -> NonNull<u8> {
        debug_assert!(block < self.fresh);
        // SAFETY: whoever has a block has a region, which the block is inside of.
        unsafe { self.base.add(block) }
    }

    /// A block for a subject's `size` bytes that is recorded by and by.
    pub(crate) fn take_pending(&mut self, size: usize) -> Option<NonNull<u8>> {
        self.open();
        let bytes = size.checked_add(2 * self.lead)?;
        let block = self.take(bytes)?;
        self.pending = self.origin + block;
        Some(self.start(block))
    }

    /// The block whose subject's part begins here, if it is the one that is to be recorded. Asked
    /// once.
    #[inline]
    pub(crate) fn take_pending_at(&mut self, address: usize) -> Option<usize> {
        if self.pending != address {
            return None;
        }
        self.pending = 0;
        Some(address - self.origin)
    }

    /// The block whose subject's part may begin at this address, if it is ours.
    #[inline(always)]
    pub(crate) fn block(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.origin);
        (offset < self.fresh).then_some(offset & !(STEP - 1))
    }

    #[inline(always)]
    fn place(&self, block: usize) -> NonNull<Record> {
        debug_assert!(block < self.fresh && block.is_multiple_of(STEP));
        // SAFETY: what is ours has its records in the same mapping, zero at first.
        unsafe { self.base.add(block + APART).cast() }
    }

    #[inline(always)]
    pub(crate) fn record(&self, block: usize) -> Record {
        // SAFETY: records are initialised: with zeroes, or by `put`.
        unsafe { self.place(block).read() }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, block: usize, record: Record) {
        // SAFETY: `&mut self` makes the write exclusive.
        unsafe { self.place(block).write(record) }
    }

    /// The live block whose subject's part begins at this address.
    pub(crate) fn find(&self, address: usize) -> Option<usize> {
        let block = self.block(address)?;
        let record = self.record(block);
        (record.word() > WORD_MAX && record.address() == address).then_some(block)
    }

    /// Notes that a block is live no longer; its memory stays out.
    #[inline(always)]
    pub(crate) fn unrecord(&mut self, block: usize) {
        self.live -= 1;
        // SAFETY: as in `put`.
        unsafe { self.place(block).as_mut().set_word(u64::from(NONE)) }
    }

    /// Takes memory back, of a block without a record that was taken for so many bytes.
    pub(crate) fn give(&mut self, block: usize, bytes: usize) {
        let class = class_of(bytes.max(1));
        assert!(class < CLASSES, "[mallory bug] the pool is given more than it gives");
        self.push(block, class);
    }

    /// Takes a live block back, record and memory, that was taken for so many bytes.
    ///
    /// # Safety
    /// - The block was taken for just these bytes.
    #[inline(always)]
    pub(crate) unsafe fn release(&mut self, block: usize, bytes: usize) {
        let class = class_of(bytes);
        // SAFETY: the caller's promise: `take` gives no larger blocks.
        unsafe { std::hint::assert_unchecked(class < CLASSES) };
        self.live -= 1;
        self.push(block, class);
    }

    #[inline(always)]
    fn push(&mut self, block: usize, class: usize) {
        let next = std::mem::replace(&mut self.free[class], (block >> STEP_BITS) as u32);
        // SAFETY: as in `put`.
        unsafe { self.place(block).as_mut().set_word(u64::from(next)) }
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
        // Somebody may still use a block that is left: a leak.
        let mut kept: Vec<(usize, usize)> = Vec::new();
        if self.live > 0 {
            let start = |record: &Record| record.address() - self.origin;
            let end = |record: &Record| start(record) + 2 * self.lead + record.small_size();
            kept.extend(self.records().map(|record| (start(&record), end(&record))));
        }
        region::release(self.base, &kept);
    }
}

/// The memory itself: from the operating system, past every allocator that is watched.
#[cfg(all(unix, target_pointer_width = "64", not(miri)))]
mod region {
    use std::ptr::{NonNull, null_mut};
    use std::sync::OnceLock;

    use super::{MAPPED, WORD_MAX};

    /// Under a sanitizer every block stays `malloc`'s, where it is watched.
    pub(crate) fn may() -> bool {
        static MAY: OnceLock<bool> = OnceLock::new();
        *MAY.get_or_init(|| {
            let names = [c"__asan_init", c"__lsan_init", c"__tsan_init", c"__msan_init"];
            // SAFETY: names with their zeroes.
            let is_there = |name| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
            names.iter().all(|name| is_there(name.as_ptr()).is_null())
        })
    }

    /// A region and its records behind it, all zero.
    pub(crate) fn reserve() -> Option<NonNull<u8>> {
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
        );
        // SAFETY: a fresh mapping, at no address of ours.
        let start = unsafe { libc::mmap(null_mut(), MAPPED, access, kind, -1, 0) };
        let start = NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED)?;
        // Addresses have to be told from the numbers of steps.
        if start.as_ptr() as u64 <= WORD_MAX {
            unmap(start, 0, MAPPED);
            return None;
        }
        Some(start)
    }

    fn unmap(base: NonNull<u8>, from: usize, to: usize) {
        if from < to {
            // SAFETY: callers give up what `reserve` mapped, in whole pages.
            unsafe { libc::munmap(base.add(from).as_ptr().cast(), to - from) };
        }
    }

    /// Gives a region back, but for the pages of these ranges, which are in order.
    pub(crate) fn release(base: NonNull<u8>, kept: &[(usize, usize)]) {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(4096) as usize;
        let mut given = 0;
        for (start, end) in kept {
            unmap(base, given, start / page * page);
            given = given.max(end.next_multiple_of(page));
        }
        unmap(base, given, MAPPED);
    }
}

/// Elsewhere every block is `malloc`'s.
#[cfg(not(all(unix, target_pointer_width = "64", not(miri))))]
mod region {
    use std::ptr::NonNull;

    pub(crate) fn may() -> bool {
        false
    }

    pub(crate) fn reserve() -> Option<NonNull<u8>> {
        None
    }

    pub(crate) fn release(_: NonNull<u8>, _: &[(usize, usize)]) {}
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
