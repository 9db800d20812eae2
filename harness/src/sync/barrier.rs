//! The twin of std's barrier, built of our mutex and condition variable.

use std::sync::PoisonError;

use crate::sync::condvar::Condvar;
use crate::sync::mutex::Mutex;

/// A place where threads wait for each other, as [`std::sync::Barrier`].
#[derive(Debug)]
pub struct Barrier {
    state: Mutex<BarrierState>,
    all_arrived: Condvar,
    threads: usize,
}

#[derive(Debug)]
struct BarrierState {
    /// Threads that wait at present.
    waiting: usize,
    /// How often all threads have arrived; it wraps around.
    generation: usize,
}

/// Whether a thread was the last one to arrive, as [`std::sync::BarrierWaitResult`].
#[derive(Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether the thread was the last one to arrive.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier that `threads` threads wait at together.
    #[must_use]
    pub const fn new(threads: usize) -> Self {
        let state = Mutex::new(BarrierState { waiting: 0, generation: 0 });
        Barrier { state, all_arrived: Condvar::new(), threads }
    }

    /// Waits until all threads have arrived.
    pub fn wait(&self) -> BarrierWaitResult {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = state.generation;
        state.waiting += 1;
        if state.waiting >= self.threads {
            *state = BarrierState { waiting: 0, generation: generation.wrapping_add(1) };
            self.all_arrived.notify_all();
            return BarrierWaitResult(true);
        }
        while state.generation == generation {
            state = self.all_arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        BarrierWaitResult(false)
    }
}
