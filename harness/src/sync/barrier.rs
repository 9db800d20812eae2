//! A barrier as std's, of a mutex and a condition variable of ours.

use std::sync::PoisonError;

use crate::sync::{Condvar, Mutex};

/// A place where threads wait for each other, as [`std::sync::Barrier`].
#[derive(Debug)]
pub struct Barrier {
    /// Threads that wait, and how often all were there.
    there: Mutex<(usize, usize)>,
    all: Condvar,
    threads: usize,
}

/// Whether a thread was the last one to come, as [`std::sync::BarrierWaitResult`].
#[derive(Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether it was.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// One for so many threads.
    #[must_use]
    pub const fn new(threads: usize) -> Self {
        Barrier { there: Mutex::new((0, 0)), all: Condvar::new(), threads }
    }

    /// Waits until all are there.
    pub fn wait(&self) -> BarrierWaitResult {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let time = there.1;
        there.0 += 1;
        if there.0 >= self.threads {
            *there = (0, time.wrapping_add(1));
            self.all.notify_all();
            return BarrierWaitResult(true);
        }
        while there.1 == time {
            there = self.all.wait(there).unwrap_or_else(PoisonError::into_inner);
        }
        BarrierWaitResult(false)
    }
}
