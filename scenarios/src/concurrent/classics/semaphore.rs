//! A general semaphore made of two binary ones: one protects the count, the other is for threads that
//! wait. David Hemmendinger, A Correct Implementation of General Semaphores, 1988.
//!
//! The bug, which textbooks had: a thread that has to wait releases the count before it waits. Two
//! releases in between signal twice, but a binary semaphore keeps only one signal. In the corrected
//! one a release hands the count on to the thread that it wakes.

use super::Classic;
use super::shared::{BinarySemaphore, together};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicIsize, Ordering};

pub(super) const CLASSIC: Classic = Classic {
    name: "semaphore-lost-signal",
    about: "two signals of a semaphore come before the two threads that need them wait",
    source: "Hemmendinger, A Correct Implementation of General Semaphores, 1988",
    threads: 5,
    bug: || acquire_and_release(false),
    corrected: || acquire_and_release(true),
};

struct Semaphore {
    counting: BinarySemaphore,
    waiting: BinarySemaphore,
    /// If it is negative, this number of threads wait. Changed by the thread that has `counting`.
    count: AtomicIsize,
    hands_on: bool,
}

fn acquire_and_release(hands_on: bool) {
    let (counting, waiting) = (BinarySemaphore::new(true), BinarySemaphore::new(false));
    let semaphore = Semaphore { counting, waiting, count: AtomicIsize::new(0), hands_on };
    together(&Arc::new(semaphore), 4, |semaphore, number| match number {
        0 | 1 => semaphore.acquire(),
        _ => semaphore.release(),
    });
}

impl Semaphore {
    fn acquire(&self) {
        self.counting.acquire();
        let has_to_wait = self.count.fetch_sub(1, Ordering::SeqCst) <= 0;
        if has_to_wait {
            self.counting.release();
            self.waiting.acquire();
        }
        if !has_to_wait || self.hands_on {
            self.counting.release();
        }
    }

    fn release(&self) {
        self.counting.acquire();
        let wakes = self.count.fetch_add(1, Ordering::SeqCst) < 0;
        if wakes {
            self.waiting.release();
        }
        if !wakes || !self.hands_on {
            self.counting.release();
        }
    }
}
