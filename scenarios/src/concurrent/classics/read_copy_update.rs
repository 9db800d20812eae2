//! Read-copy-update: a writer swaps the index of the current version, and frees the old version once
//! no reader can have it. Paul McKenney and John Slingwine, Read-Copy Update: Using Execution History
//! to Solve Concurrency Problems, 1998.
//!
//! The bug: the writer does not wait for the readers. Versions are slots of an array, and *free* is a
//! mark of theirs, so a reader can notice.

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "read-copy-update",
    about: "a writer frees the old version while a reader reads it",
    source: "McKenney and Slingwine, Read-Copy Update, 1998",
    threads: 3,
    bug: || read_and_update(false),
    corrected: || read_and_update(true),
};

#[derive(Default)]
struct Versions {
    current: AtomicUsize,
    are_free: [AtomicBool; 2],
    readers: Mutex<usize>,
    left: Condvar,
}

fn read_and_update(waits: bool) {
    let versions = Arc::new(Versions::default());
    let met_free = together(&versions, 2, move |versions, number| {
        if number == 0 {
            return versions.read();
        }
        versions.update(waits);
        false
    });
    assert!(!met_free[0], "a reader reads a version that is free");
}

impl Versions {
    /// Returns whether the version that was read is free.
    fn read(&self) -> bool {
        *lock(&self.readers) += 1;
        let current = self.current.load(Ordering::SeqCst);
        let is_free = self.are_free[current].load(Ordering::SeqCst);
        *lock(&self.readers) -= 1;
        self.left.notify_all();
        is_free
    }

    fn update(&self, waits: bool) {
        let old = self.current.swap(1, Ordering::SeqCst);
        if waits {
            drop(wait_while(&self.left, lock(&self.readers), |readers| *readers != 0));
        }
        self.are_free[old].store(true, Ordering::SeqCst);
    }
}
