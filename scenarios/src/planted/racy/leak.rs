//! A spare block that two threads keep between them: one leaves a block there that it is done with,
//! the other one a block that it had no use for.

use mallory::{Heap, Kind};

use super::{Block, Oom, Pair, Seen, lock};
use crate::concurrent::join;
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const PAIR: Pair = Pair {
    name: "racy/leak",
    kind: Kind::Leak,
    seen: Seen::ByShuttle,
    needs_fault: true,
    preemptions: 1,
    wrong: "looks whether there is a spare block, unlocks, and puts one there where it failed",
    right: "looks and puts a spare block there under one lock where it failed",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

type Spare = Mutex<Option<Block>>;

/// Leaves a block, and answers the one that is too many.
type Leave = fn(&Spare, Block) -> Option<Block>;

/// Makes a pair of blocks and gives it back; where there is no memory for the second, the first is
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

/// The bug: between the look and the step another thread may have left its block.
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
