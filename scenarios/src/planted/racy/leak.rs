//! Two threads that make a pair of blocks each, and keep one spare block between them: who is done
//! with a block, or could not use it, leaves it there for the next one.

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
    planted: |heap| pairs(heap, planted),
    near_miss: |heap| pairs(heap, near_miss),
};

type Spare = Mutex<Option<Block>>;

/// Makes a pair, uses it, and leaves its first block as the spare one.
fn pair(heap: &Heap, spare: &Spare, leave: fn(&Spare, Block) -> Option<Block>) -> Result<(), Oom> {
    let head = Block::new(heap)?;
    let body = Block::new(heap);
    let left = match body {
        Ok(body) => {
            body.give_back(heap);
            lock(spare).replace(head)
        }
        Err(Oom) => leave(spare, head),
    };
    left.into_iter().for_each(|block| block.give_back(heap));
    body.map(|_| ())
}

fn pairs(heap: &Heap, leave: fn(&Spare, Block) -> Option<Block>) -> Result<usize, Oom> {
    let spare = Arc::new(Spare::new(None));
    let other = {
        let (heap, spare) = (heap.clone(), Arc::clone(&spare));
        thread::spawn(move || pair(&heap, &spare, leave))
    };
    let done = [pair(heap, &spare, leave), join(other)];
    let left = lock(&spare).take();
    left.into_iter().for_each(|block| block.give_back(heap));
    let [mine, others] = done;
    mine.and(others).map(|()| 2)
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
