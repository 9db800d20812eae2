//! A block that one thread publishes and another one takes, with a flag that says that it is there.
//!
//! With sequentially consistent atomics, like shuttle's, the bug can't occur.

use std::ptr::{self, NonNull};

use mallory::{Heap, Kind};

use super::block::Block;
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/publication",
    kind: Kind::Leak,
    seen_by: SeenBy::Loom,
    needs_fault: false,
    preemptions: 0,
    wrong: "says by a relaxed store that a block is there",
    right: "says by a release store that a block is there",
    planted: |heap| publish(heap, planted),
    near_miss: |heap| publish(heap, near_miss),
};

/// Where the block is put.
struct Place {
    block: AtomicPtr<u8>,
    is_there: AtomicBool,
}

impl Place {
    fn take(&self) -> Option<Block> {
        NonNull::new(self.block.load(Ordering::Relaxed)).map(Block)
    }
}

fn publish(heap: &Heap, put: fn(&Place, Block)) -> Result<usize, Oom> {
    let is_there = AtomicBool::new(false);
    let place = Arc::new(Place { block: AtomicPtr::new(ptr::null_mut()), is_there });
    let taker = {
        let (heap, place) = (heap.clone(), Arc::clone(&place));
        thread::spawn(move || {
            let taken = place.is_there.load(Ordering::Acquire);
            if taken && let Some(block) = place.take() {
                block.give_back(&heap);
            }
            taken
        })
    };
    let made = Block::new(heap);
    if let Ok(block) = made {
        put(&place, block);
    }
    // What wasn't taken is still here.
    if !join(taker)
        && let Some(block) = place.take()
    {
        block.give_back(heap);
    }
    made.map(|_| 1)
}

/// The bug: another thread may see the flag, and not the block yet.
fn planted(place: &Place, block: Block) {
    place.block.store(block.0.as_ptr(), Ordering::Relaxed);
    place.is_there.store(true, Ordering::Relaxed);
}

fn near_miss(place: &Place, block: Block) {
    place.block.store(block.0.as_ptr(), Ordering::Relaxed);
    place.is_there.store(true, Ordering::Release);
}
