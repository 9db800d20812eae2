//! No progress: cached pages are evicted until there is memory for a buffer.

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::NoProgress,
    wrong: "retries for ever, even when there is nothing left to evict",
    right: "returns an error when there is nothing left to evict",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

type Page = Box<[u8; 128], Heap>;

fn page(heap: &Heap) -> Result<Page, Oom> {
    Ok(Box::try_new_in([0; 128], heap.clone())?)
}

/// The bug: evicting from an empty cache can't help.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let mut cache = Vec::new_in(heap.clone());
    cache.try_reserve_exact(2)?;
    cache.push(page(heap)?);
    cache.push(page(heap)?);
    let buffer = loop {
        match page(heap) {
            Ok(page) => break page,
            Err(Oom) => drop(cache.pop()),
        }
    };
    Ok(buffer.len())
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let mut cache = Vec::new_in(heap.clone());
    cache.try_reserve_exact(2)?;
    cache.push(page(heap)?);
    cache.push(page(heap)?);
    let buffer = loop {
        match page(heap) {
            Ok(page) => break page,
            Err(Oom) => drop(cache.pop().ok_or(Oom)?),
        }
    };
    Ok(buffer.len())
}
