//! Cross-allocator free: an encoder whose page comes from a pool, or from elsewhere if the pool
//! has none left.
#![allow(unsafe_code)]

use std::alloc::Layout;

use mallory::{Heap, Kind, Options, Port};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::CrossAllocatorFree,
    wrong: "frees every page to the pool, even one that came from another heap",
    right: "frees a page to the heap that it came from",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const PAGE: Layout = Layout::new::<[u8; 512]>();

/// Run-length codes of `text`: pairs of a count and a byte. Returns their length in bytes.
fn encode(text: &[u8], page: &mut [u8]) -> usize {
    let runs = text.chunk_by(|a, b| a == b).zip(page.chunks_exact_mut(2));
    runs.map(|(run, code)| code.copy_from_slice(&[run.len() as u8, run[0]])).count() * 2
}

/// The bug: a page from the other heap is recorded as the pool's.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let pool = heap.named("pool");
    let (mut page, owner) = match pool.alloc(PAGE) {
        Ok(page) => (page, &pool),
        Err(_) => (heap.alloc(PAGE)?, &pool),
    };
    // SAFETY: the page is alive, as long as it says, and nobody else's.
    let length = encode(b"aaaabbbcc", unsafe { page.as_mut() });
    // SAFETY: the owner allocated it with this layout; in `planted` it may be another's.
    unsafe { owner.free(page.cast(), PAGE) };
    Ok(length)
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let pool = heap.named("pool");
    let (mut page, owner) = match pool.alloc(PAGE) {
        Ok(page) => (page, &pool),
        Err(_) => (heap.alloc(PAGE)?, heap),
    };
    // SAFETY: the page is alive, as long as it says, and nobody else's.
    let length = encode(b"aaaabbbcc", unsafe { page.as_mut() });
    // SAFETY: the owner allocated it with this layout; in `planted` it may be another's.
    unsafe { owner.free(page.cast(), PAGE) };
    Ok(length)
}
