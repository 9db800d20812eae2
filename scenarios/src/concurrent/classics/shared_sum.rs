//! Sums over several threads.
//!
//! - The missing lock: three threads add to one sum, and one of them does so without the lock.
//!   Eitan Farchi, Yarden Nir and Shmuel Ur, Concurrent Bug Patterns and How to Test Them, 2003
//!   (wrong lock or no lock).
//! - `sigma`: each thread marks a place of its own, and all marks are added up. The bug: the threads
//!   read their place from the loop variable of the thread that starts them. Paul Thomson, Alastair
//!   Donaldson and Adam Betts, SCTBench, 2014.

use super::Classic;
use super::shared::{lock, together};
use crate::concurrent::join::join;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const MISSING_LOCK: Classic = Classic {
    name: "shared-sum",
    about: "one of three threads adds to a sum without its lock",
    source: "Farchi, Nir and Ur, Concurrent Bug Patterns and How to Test Them, 2003",
    threads: 4,
    bug: || add(2),
    corrected: || add(3),
};

pub(super) const SIGMA: Classic = Classic {
    name: "sigma",
    about: "threads read their place from the loop variable of the thread that starts them",
    source: "Thomson, Donaldson and Betts, SCTBench, 2014",
    threads: 5,
    bug: || mark(false),
    corrected: || mark(true),
};

#[derive(Default)]
struct Sum {
    adding: Mutex<()>,
    sum: AtomicUsize,
}

/// The threads below this number lock.
fn add(locking: usize) {
    let sum = Arc::new(Sum::default());
    together(&sum, 3, move |sum, number| {
        let _adding = (number < locking).then(|| lock(&sum.adding));
        let read = sum.sum.load(Ordering::SeqCst);
        sum.sum.store(read + 1, Ordering::SeqCst);
    });
    assert_eq!(sum.sum.load(Ordering::SeqCst), 3, "what a thread added is lost");
}

const PLACES: usize = 4;

#[derive(Default)]
struct Marks {
    next: AtomicUsize,
    places: [AtomicUsize; PLACES],
}

fn mark(by_value: bool) {
    let marks = Arc::new(Marks::default());
    let start = |number| {
        let shared = Arc::clone(&marks);
        let started = thread::spawn(move || {
            let place = if by_value { number } else { shared.next.load(Ordering::SeqCst) };
            // The loop variable is one too large when the loop is over.
            if let Some(place) = shared.places.get(place) {
                place.store(1, Ordering::SeqCst);
            }
        });
        // Usually the thread has read its place before the loop goes on.
        thread::yield_now();
        marks.next.store(number + 1, Ordering::SeqCst);
        started
    };
    let started: Vec<_> = (0..PLACES).map(start).collect();
    started.into_iter().for_each(join);
    let sum: usize = marks.places.iter().map(|place| place.load(Ordering::SeqCst)).sum();
    assert_eq!(sum, PLACES, "a place was left out");
}
