//! A pool of blocks that two threads take from and give back to.

use mallory::{Heap, Kind};

use super::block::{Block, lock};
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/try-lock",
    kind: Kind::Panic,
    seen_by: SeenBy::Shuttle,
    needs_fault: false,
    preemptions: 1,
    wrong: "frees a block that comes back while another thread has the pool's lock",
    right: "waits for the pool's lock when a block comes back",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

/// The blocks that wait; there is a place for each.
type Pool = Mutex<[Option<Block>; 2]>;

/// Puts a block into the pool; returns it if it is to be freed.
type GiveBack = fn(&Pool, Block) -> Option<Block>;

fn put(places: &mut [Option<Block>; 2], block: Block) -> Option<Block> {
    match places.iter_mut().find(|place| place.is_none()) {
        Some(place) => place.replace(block),
        None => Some(block),
    }
}

/// Each thread uses a block and gives it back; both have to wait there in the end.
fn work(heap: &Heap, give_back: GiveBack) -> Result<usize, Oom> {
    let pool = Arc::new(Pool::new([None; 2]));
    let one = Block::new(heap)?;
    let other = Block::new(heap).inspect_err(|Oom| one.give_back(heap))?;
    let use_it = move |heap: &Heap, pool: &Pool, block| {
        give_back(pool, block).into_iter().for_each(|block| block.give_back(heap));
    };
    let thread = {
        let (heap, pool) = (heap.clone(), Arc::clone(&pool));
        thread::spawn(move || use_it(&heap, &pool, other))
    };
    use_it(heap, &pool, one);
    join(thread);
    let waiting = std::mem::take(&mut *lock(&pool));
    let count = waiting.iter().flatten().count();
    waiting.into_iter().flatten().for_each(|block| block.give_back(heap));
    assert_eq!(count, 2, "a block is lost to the pool");
    Ok(count)
}

/// The bug: a block is lost to the pool whenever two threads come at the same time.
fn planted(pool: &Pool, block: Block) -> Option<Block> {
    let Ok(mut places) = pool.try_lock() else { return Some(block) };
    put(&mut places, block)
}

fn near_miss(pool: &Pool, block: Block) -> Option<Block> {
    let mut places = lock(pool);
    put(&mut places, block)
}
