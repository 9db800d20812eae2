//! A pool of blocks for short strings; what is not in one of its blocks came from the heap.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Port};

use super::DesignPair;
use crate::planted::pair::{self, Oom};

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/lost-block",
    kind: Kind::InvalidFree,
    wrong: "knows a string of its own by the address of the block, which a trimmed one doesn't have",
    right: "knows a string of its own by the range of addresses that is the block's",
    planted: |sweep| pair::run(sweep, |heap| work(heap, planted)),
    near_miss: |sweep| pair::run(sweep, |heap| work(heap, near_miss)),
};

const BLOCK: usize = 256;
const BLOCKS: usize = 4;
const POOL: Layout = Layout::new::<[[u8; BLOCK]; BLOCKS]>();

struct Pool<'h> {
    heap: &'h Heap,
    blocks: NonNull<u8>,
    in_use: [bool; BLOCKS],
}

impl Pool<'_> {
    /// The first byte of a block.
    fn block(&self, number: usize) -> NonNull<u8> {
        // SAFETY: the pool's memory is as long as all blocks, and each number is below theirs.
        unsafe { self.blocks.add(number * BLOCK) }
    }

    fn acquire(&mut self) -> Option<NonNull<u8>> {
        let number = self.in_use.iter().position(|in_use| !in_use)?;
        self.in_use[number] = true;
        Some(self.block(number))
    }

    /// Takes a string back: in a block, or in memory of its own with this layout.
    fn release(&mut self, text: NonNull<u8>, layout: Layout, find: Find) {
        match find(self, text) {
            Some(number) => self.in_use[number] = false,
            // SAFETY: it is in no block, so it was allocated by the heap with this layout; but for
            // the planted bug, which a heap refuses.
            None => unsafe { self.heap.free(text, layout) },
        }
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and no string is used any more.
        unsafe { self.heap.free(self.blocks, POOL) };
    }
}

/// The number of the block that a string is in.
type Find = fn(&Pool<'_>, NonNull<u8>) -> Option<usize>;

fn work(heap: &Heap, find: Find) -> Result<usize, Oom> {
    let blocks = heap.alloc(POOL)?.cast();
    let mut pool = Pool { heap, blocks, in_use: [false; BLOCKS] };
    let mut count = 0;
    for indent in [0, 2] {
        let Some(text) = pool.acquire() else { continue };
        // The spaces before the text are skipped. SAFETY: a block is longer than that.
        let trimmed = unsafe { text.add(indent) };
        count += 1;
        pool.release(trimmed, Layout::new::<[u8; 16]>(), find);
    }
    let long = Layout::new::<[u8; 300]>();
    let text = heap.alloc(long)?.cast();
    pool.release(text, long, find);
    Ok(count)
}

/// The bug: a string that was trimmed begins later than its block.
fn planted(pool: &Pool<'_>, text: NonNull<u8>) -> Option<usize> {
    (0..BLOCKS).find(|number| text == pool.block(*number))
}

fn near_miss(pool: &Pool<'_>, text: NonNull<u8>) -> Option<usize> {
    let offset = text.addr().get().wrapping_sub(pool.blocks.addr().get());
    (0..BLOCKS).find(|number| offset / BLOCK == *number)
}
