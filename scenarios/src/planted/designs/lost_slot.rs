//! A pool with a fixed number of blocks, whose free ones are in a list.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind};

use super::DesignPair;
use crate::planted::pair::{self, Oom};

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/lost-slot",
    kind: Kind::SilentWrong,
    wrong: "has no room for a block in the list of free ones until the block comes back",
    right: "makes room in the list of free blocks before it hands a block out",
    planted: |sweep| pair::run(sweep, |heap| work(heap, planted)),
    near_miss: |sweep| pair::run(sweep, |heap| work(heap, near_miss)),
};

const BLOCKS: usize = 4;

/// The pool: blocks are named by their numbers.
struct Pool {
    /// Blocks that came back.
    free: Vec<usize, Heap>,
    /// Blocks that were handed out at least once: those with smaller numbers.
    used: usize,
}

impl Pool {
    fn next(&mut self) -> Option<usize> {
        let fresh = (self.used < BLOCKS).then_some(self.used);
        let block = self.free.pop().or(fresh)?;
        self.used = self.used.max(block + 1);
        Some(block)
    }

    /// A block comes back. This can't return an error, so one is ignored.
    fn release(&mut self, block: usize) {
        if self.free.try_reserve(1).is_ok() {
            self.free.push(block);
        }
    }
}

/// Takes as many blocks as there are, and releases them, three times; returns how many it got.
fn work(heap: &Heap, acquire: fn(&mut Pool) -> Result<Option<usize>, Oom>) -> Result<usize, Oom> {
    let mut pool = Pool { free: Vec::new_in(heap.clone()), used: 0 };
    let mut count = 0;
    for _ in 0..3 {
        let mut mine = [None; BLOCKS];
        for place in &mut mine {
            *place = acquire(&mut pool)?;
        }
        count += mine.iter().flatten().count();
        mine.into_iter().flatten().for_each(|block| pool.release(block));
    }
    Ok(count)
}

/// The bug: if there is no memory for the list when the block comes back, nobody finds it again.
fn planted(pool: &mut Pool) -> Result<Option<usize>, Oom> {
    Ok(pool.next())
}

fn near_miss(pool: &mut Pool) -> Result<Option<usize>, Oom> {
    pool.free.try_reserve(BLOCKS)?;
    Ok(pool.next())
}
