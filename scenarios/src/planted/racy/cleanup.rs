//! A block that two threads work on: if either runs out of memory, the first to notice frees the
//! block, otherwise the thread that allocated it.

use mallory::{Heap, Kind};

use super::block::Block;
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/cleanup",
    kind: Kind::DoubleFree,
    seen_by: SeenBy::Shuttle,
    needs_fault: true,
    preemptions: 1,
    wrong: "checks whether the block was freed, and sets the flag afterwards",
    right: "checks the flag and sets it in one step",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

/// The state of the common work.
struct Job {
    block: Block,
    failed: AtomicBool,
    is_back: AtomicBool,
}

/// Does its part, which takes a block of its own, and cleans up if the job has failed.
fn part(heap: &Heap, job: &Job, claim: fn(&AtomicBool) -> bool) -> Result<(), Oom> {
    let mine = Block::new(heap).inspect_err(|Oom| job.failed.store(true, Ordering::SeqCst));
    if job.failed.load(Ordering::SeqCst) && claim(&job.is_back) {
        job.block.give_back(heap);
    }
    mine.map(|mine| mine.give_back(heap))
}

fn work(heap: &Heap, claim: fn(&AtomicBool) -> bool) -> Result<usize, Oom> {
    let (failed, is_back) = (AtomicBool::new(false), AtomicBool::new(false));
    let job = Arc::new(Job { block: Block::new(heap)?, failed, is_back });
    let threads = [(), ()].map(|()| {
        let (heap, job) = (heap.clone(), Arc::clone(&job));
        thread::spawn(move || part(&heap, &job, claim))
    });
    let done = threads.map(join);
    if claim(&job.is_back) {
        job.block.give_back(heap);
    }
    let [one, other] = done;
    one.and(other).map(|()| 2)
}

/// The bug: both threads may load the flag before either stores it.
fn planted(is_back: &AtomicBool) -> bool {
    let mine = !is_back.load(Ordering::SeqCst);
    is_back.store(true, Ordering::SeqCst);
    mine
}

fn near_miss(is_back: &AtomicBool) -> bool {
    !is_back.swap(true, Ordering::SeqCst)
}
