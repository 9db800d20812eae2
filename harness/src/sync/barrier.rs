//! The twin of std's barrier. Under shuttle the lock table knows how many threads have arrived;
//! elsewhere it is built of our mutex and condition variable.

use std::sync::PoisonError;

#[cfg(feature = "shuttle")]
use crate::rt::{self, CurrentEngine, Object, ObjectId};
use crate::sync::condvar::Condvar;
use crate::sync::mutex::Mutex;

/// A place where threads wait for each other, as [`std::sync::Barrier`].
#[derive(Debug)]
pub struct Barrier {
    state: Mutex<BarrierState>,
    all_arrived: Condvar,
    threads: usize,
    #[cfg(feature = "shuttle")]
    id: ObjectId,
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
pub struct BarrierWaitResult {
    is_leader: bool,
    /// The run, and the arrivals of which it was the last.
    #[cfg(feature = "shuttle")]
    arrivals: Option<(u64, Object)>,
}

impl BarrierWaitResult {
    fn new(is_leader: bool) -> BarrierWaitResult {
        BarrierWaitResult {
            is_leader,
            #[cfg(feature = "shuttle")]
            arrivals: None,
        }
    }

    /// Whether the thread was the last one to arrive.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        // Until somebody asks, the order in which the threads arrived makes no difference.
        #[cfg(feature = "shuttle")]
        if let Some((run, arrivals)) = self.arrivals
            && run == rt::run()
            && rt::engine() == CurrentEngine::Shuttle
        {
            rt::log_ordered(arrivals);
        }
        self.is_leader
    }
}

impl Barrier {
    /// A barrier that `threads` threads wait at together.
    #[must_use]
    pub const fn new(threads: usize) -> Self {
        Barrier {
            state: Mutex::new(BarrierState { waiting: 0, generation: 0 }),
            all_arrived: Condvar::new(),
            threads,
            #[cfg(feature = "shuttle")]
            id: ObjectId::new(),
        }
    }

    /// Waits until all threads have arrived.
    pub fn wait(&self) -> BarrierWaitResult {
        #[cfg(feature = "shuttle")]
        if rt::engine() == CurrentEngine::Shuttle {
            let (is_leader, arrivals) = rt::arrive(&self.id, self.threads);
            return BarrierWaitResult { is_leader, arrivals: Some((rt::run(), arrivals)) };
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = state.generation;
        state.waiting += 1;
        if state.waiting >= self.threads {
            *state = BarrierState { waiting: 0, generation: generation.wrapping_add(1) };
            self.all_arrived.notify_all();
            return BarrierWaitResult::new(true);
        }
        while state.generation == generation {
            state = self.all_arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        BarrierWaitResult::new(false)
    }
}
