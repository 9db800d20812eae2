//! A block with two owners on two threads: the last one frees it.

use mallory::{Heap, Kind};

use super::block::Block;
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/count",
    kind: Kind::Leak,
    seen_by: SeenBy::Shuttle,
    needs_fault: false,
    preemptions: 1,
    wrong: "counts owners down by a load and a store",
    right: "counts owners down in one step",
    planted: |heap| share(heap, planted),
    near_miss: |heap| share(heap, near_miss),
};

/// Releases one owner's share; returns whether it was the last.
type Release = fn(&AtomicUsize) -> bool;

fn share(heap: &Heap, release: Release) -> Result<usize, Oom> {
    let block = Block::new(heap)?;
    let owners = Arc::new(AtomicUsize::new(2));
    let let_go = move |heap: Heap, owners: Arc<AtomicUsize>| {
        if release(&owners) {
            block.give_back(&heap);
        }
    };
    let other = {
        let (heap, owners) = (heap.clone(), Arc::clone(&owners));
        thread::spawn(move || let_go(heap, owners))
    };
    let_go(heap.clone(), owners);
    join(other);
    Ok(2)
}

/// The bug: if both load the count before either stores it, neither is the last.
fn planted(owners: &AtomicUsize) -> bool {
    let left = owners.load(Ordering::Acquire) - 1;
    owners.store(left, Ordering::Release);
    left == 0
}

fn near_miss(owners: &AtomicUsize) -> bool {
    let left = owners.fetch_sub(1, Ordering::AcqRel) - 1;
    left == 0
}
