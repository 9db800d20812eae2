//! Barriers that are used in several rounds.
//!
//! - Without a generation: the last thread to arrive sets the count back, and the others wait for
//!   that. The bug: a fast thread arrives again before a slow one has seen it, so the slow one goes
//!   on waiting, and nobody is left to come. Allen Downey, The Little Book of Semaphores, 2008.
//! - With a sense that each round reverses. The bug: the last thread lets the others go before it
//!   sets the count back, and what they count in the next round is lost. Debra Hensgen, Raphael
//!   Finkel and Udi Manber, Two Algorithms for Barrier Synchronization, 1988. Here waiting threads
//!   sleep on a condition variable.

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex};
use crate::thread;

pub(super) const GENERATION: Classic = Classic {
    name: "barrier-generation",
    about: "a barrier is used again before all threads have left it",
    source: "Downey, The Little Book of Semaphores, 2008",
    threads: 3,
    bug: || meet_twice(Counting::wait_for_zero),
    corrected: || meet_twice(Counting::wait_for_generation),
};

pub(super) const SENSE: Classic = Classic {
    name: "barrier-sense",
    about: "a sense-reversing barrier is opened before its count is set back",
    source: "Hensgen, Finkel and Manber, Two Algorithms for Barrier Synchronization, 1988",
    threads: 3,
    bug: || meet_in_turns(false),
    corrected: || meet_in_turns(true),
};

const THREADS: usize = 2;
const ROUNDS: usize = 2;

#[derive(Default)]
struct Counting {
    state: Mutex<Arrivals>,
    all_arrived: Condvar,
}

#[derive(Default)]
struct Arrivals {
    count: usize,
    generation: usize,
}

fn meet_twice(wait: fn(&Counting)) {
    let barrier = Arc::new(Counting::default());
    together(&barrier, THREADS, move |barrier, _| {
        for _ in 0..ROUNDS {
            wait(barrier);
            // Usually the other thread has left the barrier before this one returns to it.
            thread::yield_now();
        }
    });
}

impl Counting {
    /// Waits while this is true, unless the thread is the last one.
    fn wait_while(&self, is_closed: impl Fn(&Arrivals, usize) -> bool) {
        let mut arrivals = lock(&self.state);
        let generation = arrivals.generation;
        arrivals.count += 1;
        if arrivals.count == THREADS {
            *arrivals = Arrivals { count: 0, generation: generation + 1 };
            self.all_arrived.notify_all();
            return;
        }
        drop(wait_while(&self.all_arrived, arrivals, |arrivals| is_closed(arrivals, generation)));
    }

    fn wait_for_zero(&self) {
        self.wait_while(|arrivals, _| arrivals.count != 0);
    }

    fn wait_for_generation(&self) {
        self.wait_while(|arrivals, generation| arrivals.generation == generation);
    }
}

struct Reversing {
    missing: AtomicUsize,
    sense: Mutex<bool>,
    reversed: Condvar,
}

fn meet_in_turns(counts_first: bool) {
    let missing = AtomicUsize::new(THREADS);
    let barrier = Reversing { missing, sense: Mutex::new(false), reversed: Condvar::new() };
    together(&Arc::new(barrier), THREADS, move |barrier, _| {
        let senses = [true, false].into_iter().cycle();
        senses.take(ROUNDS).for_each(|sense| barrier.wait(sense, counts_first));
    });
}

impl Reversing {
    fn wait(&self, sense: bool, counts_first: bool) {
        if self.missing.fetch_sub(1, Ordering::SeqCst) != 1 {
            drop(wait_while(&self.reversed, lock(&self.sense), |current| *current != sense));
        } else if counts_first {
            self.missing.store(THREADS, Ordering::SeqCst);
            self.reverse(sense);
        } else {
            self.reverse(sense);
            self.missing.store(THREADS, Ordering::SeqCst);
        }
    }

    fn reverse(&self, sense: bool) {
        *lock(&self.sense) = sense;
        self.reversed.notify_all();
    }
}
