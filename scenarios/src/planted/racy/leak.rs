//! A place for a spare block that two threads share: one leaves a block there that it has finished
//! with, the other a block that it could not use.

use mallory::{Heap, Kind};

use super::block::{Block, lock};
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/leak",
    kind: Kind::Leak,
    seen_by: SeenBy::Shuttle,
    needs_fault: true,
    preemptions: 1,
    wrong: "checks for a spare block, unlocks, and then stores one, if its work failed",
    right: "checks and stores the spare block under one lock, if its work failed",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

type Spare = Mutex<Option<Block>>;

/// Leaves a block; returns it if there is one already.
type Leave = fn(&Spare, Block) -> Option<Block>;

/// Allocates a pair of blocks and frees it; if there is no memory for the second, the first is
/// left.
fn pair(heap: &Heap, spare: &Spare, leave: Leave) -> Result<(), Oom> {
    let head = Block::new(heap)?;
    let body = Block::new(heap).inspect_err(|Oom| {
        leave(spare, head).into_iter().for_each(|block| block.give_back(heap));
    })?;
    head.give_back(heap);
    body.give_back(heap);
    Ok(())
}

fn work(heap: &Heap, leave: Leave) -> Result<usize, Oom> {
    let spare = Arc::new(Spare::new(None));
    let other = {
        let (block, spare) = (Block::new(heap)?, Arc::clone(&spare));
        thread::spawn(move || lock(&spare).replace(block))
    };
    let paired = pair(heap, &spare, leave);
    let old = join(other);
    let left = lock(&spare).take();
    old.into_iter().chain(left).for_each(|block| block.give_back(heap));
    paired.map(|()| 2)
}

/// The bug: between the check and the store another thread may have left its block.
fn planted(spare: &Spare, block: Block) -> Option<Block> {
    if lock(spare).is_some() {
        return Some(block);
    }
    *lock(spare) = Some(block);
    None
}

fn near_miss(spare: &Spare, block: Block) -> Option<Block> {
    let mut place = lock(spare);
    if place.is_some() {
        return Some(block);
    }
    *place = Some(block);
    None
}
