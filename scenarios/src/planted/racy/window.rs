//! A place for a spare block, with a version: a thread that ran out of memory reads both, cleans
//! up, and leaves its block there if the version is still the same.

use mallory::{Heap, Kind};

use super::block::{Block, lock};
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/window",
    kind: Kind::Leak,
    seen_by: SeenBy::Shuttle,
    needs_fault: true,
    preemptions: 2,
    wrong: "leaves a spare block, unlocks, and then says that there is another version",
    right: "leaves a spare block and says that there is another version under one lock",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

#[derive(Default)]
struct Spare {
    place: Mutex<Option<Block>>,
    /// Goes up whenever a block is put there.
    version: AtomicUsize,
}

impl Spare {
    /// The version, if the place is empty.
    fn look(&self) -> Option<usize> {
        let place = lock(&self.place);
        place.is_none().then(|| self.version.load(Ordering::SeqCst))
    }

    /// Leaves a block in the empty place of this version; returns it if the version has changed.
    fn leave(&self, block: Block, version: usize) -> Option<Block> {
        let mut place = lock(&self.place);
        if self.version.load(Ordering::SeqCst) != version {
            return Some(block);
        }
        *place = Some(block);
        None
    }
}

/// Allocates two blocks; if there is no memory for the second, the first becomes the spare one.
fn make(heap: &Heap, spare: &Spare) -> Result<(), Oom> {
    let first = Block::new(heap)?;
    let second = Block::new(heap);
    let left = match (second, spare.look()) {
        (Err(Oom), Some(version)) => spare.leave(first, version),
        _ => Some(first),
    };
    left.into_iter().for_each(|block| block.give_back(heap));
    second.map(|second| second.give_back(heap))
}

/// Puts a block there; returns the one that was there before.
type Put = fn(&Spare, Block) -> Option<Block>;

fn work(heap: &Heap, put: Put) -> Result<usize, Oom> {
    let spare = Arc::new(Spare::default());
    let block = Block::new(heap)?;
    let other = {
        let spare = Arc::clone(&spare);
        thread::spawn(move || put(&spare, block))
    };
    let made = make(heap, &spare);
    let old = join(other);
    let left = lock(&spare.place).take();
    old.into_iter().chain(left).for_each(|block| block.give_back(heap));
    made.map(|()| 2)
}

/// The bug: for a moment the block is there, and the version is still the old one.
fn planted(spare: &Spare, block: Block) -> Option<Block> {
    let mut place = lock(&spare.place);
    let old = place.replace(block);
    drop(place);
    spare.version.fetch_add(1, Ordering::SeqCst);
    old
}

fn near_miss(spare: &Spare, block: Block) -> Option<Block> {
    let mut place = lock(&spare.place);
    let old = place.replace(block);
    spare.version.fetch_add(1, Ordering::SeqCst);
    drop(place);
    old
}
