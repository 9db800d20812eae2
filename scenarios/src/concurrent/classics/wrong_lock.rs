//! `wronglock_k`: a checker counts under the lock of the data and expects that nobody else does.
//! Eitan Farchi, Yarden Nir and Shmuel Ur, Concurrent Bug Patterns and How to Test Them, 2003 (wrong
//! lock or no lock); with several threads in Paul Thomson, Alastair Donaldson and Adam Betts,
//! SCTBench, 2014.
//!
//! The bug: all others count under another lock.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

pub(super) const THREE: Classic = Classic {
    name: "wrong-lock-3",
    about: "all threads but one count under a lock that is not the counter's",
    source: "Farchi, Nir and Ur, Concurrent Bug Patterns and How to Test Them, 2003",
    threads: 4,
    bug: || count_with_locks(3, [0, 1]),
    corrected: || count_with_locks(3, [0, 0]),
};

pub(super) const EIGHT: Classic = Classic {
    name: "wrong-lock-8",
    threads: 9,
    bug: || count_with_locks(8, [0, 1]),
    corrected: || count_with_locks(8, [0, 0]),
    ..THREE
};

#[derive(Default)]
struct Counter {
    count: AtomicUsize,
    locks: [Mutex<()>; 2],
}

/// The checker takes the first of these locks, and all others take the second.
fn count_with_locks(threads: usize, [checkers, others]: [usize; 2]) {
    let counter = Arc::new(Counter::default());
    let checker = threads - 1;
    together(&counter, threads, move |counter, number| {
        if number != checker {
            let _other = lock(&counter.locks[others]);
            counter.count.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let _own = lock(&counter.locks[checkers]);
        let before = counter.count.fetch_add(1, Ordering::SeqCst);
        let after = counter.count.load(Ordering::SeqCst);
        assert_eq!(after, before + 1, "somebody else counted at the same time");
    });
    assert_eq!(counter.count.load(Ordering::SeqCst), threads);
}
