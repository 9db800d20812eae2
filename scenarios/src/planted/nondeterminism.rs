//! Nondeterminism: batches that learn from each other how much room they need.

use std::sync::atomic::{AtomicUsize, Ordering};

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Nondeterminism,
    wrong: "learns from reserved room, and so reserves more with every batch",
    right: "learns from used room, and so reserves the same for equal batches",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const OBJECTS: u32 = 20;
/// Reserved beyond what was learned from the last batch.
const SLACK: usize = 12;

/// What was learned from the last batch. It outlives the batch and the run.
static LEARNED: AtomicUsize = AtomicUsize::new(0);

/// The bug: what was reserved includes the slack already.
fn planted(heap: &Heap) -> Result<u32, Oom> {
    let mut batch = Vec::new_in(heap.clone());
    batch.try_reserve_exact(LEARNED.load(Ordering::Relaxed) + SLACK)?;
    for object in 0..OBJECTS {
        batch.try_reserve(1)?;
        batch.push(object);
    }
    LEARNED.store(batch.capacity(), Ordering::Relaxed);
    Ok(batch.iter().sum())
}

fn near_miss(heap: &Heap) -> Result<u32, Oom> {
    let mut batch = Vec::new_in(heap.clone());
    batch.try_reserve_exact(LEARNED.load(Ordering::Relaxed) + SLACK)?;
    for object in 0..OBJECTS {
        batch.try_reserve(1)?;
        batch.push(object);
    }
    LEARNED.store(batch.len(), Ordering::Relaxed);
    Ok(batch.iter().sum())
}
