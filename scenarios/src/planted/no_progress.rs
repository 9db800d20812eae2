//! No progress: a buffer for which cached pages are given up until there is memory.

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::{Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::NoProgress,
    wrong: "asks for memory for ever, also when there is nothing left to give up",
    right: "answers an error when there is nothing left to give up",
    options: Options::new,
    planted: |sweep| super::run(sweep, planted),
    near_miss: |sweep| super::run(sweep, near_miss),
};

type Page = Box<[u8; 128], Heap>;

fn page(heap: &Heap) -> Result<Page, Oom> {
    Ok(Box::try_new_in([0; 128], heap.clone())?)
}

/// The bug: an empty cache is evicted from as if that could help.
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
