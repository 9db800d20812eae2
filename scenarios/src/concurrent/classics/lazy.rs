//! Lazy initialisation of a value that is made once.
//!
//! - Without the second check: a thread that waited for the lock makes the value again. Douglas
//!   Schmidt and Tim Harrison, Double-Checked Locking, 1997.
//! - With the flag set too early: the first check, which takes no lock, sees the flag before the
//!   value is there. Compilers and processors make this order of a correct program; here it is
//!   written down. David Bacon and others, The "Double-Checked Locking is Broken" Declaration, 2000.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

pub(super) const SECOND_CHECK: Classic = Classic {
    name: "lazy-second-check",
    about: "a value is made lazily under a lock, without a check under that lock",
    source: "Schmidt and Harrison, Double-Checked Locking, 1997",
    threads: 3,
    bug: || get_twice(Lazy::get_without_second_check),
    corrected: || get_twice(|lazy| lazy.get(true)),
};

pub(super) const EARLY_FLAG: Classic = Classic {
    name: "lazy-early-flag",
    about: "double-checked locking sets the flag before the value",
    source: "Bacon and others, The \"Double-Checked Locking is Broken\" Declaration, 2000",
    threads: 3,
    bug: || get_twice(|lazy| lazy.get(false)),
    corrected: || get_twice(|lazy| lazy.get(true)),
};

const VALUE: usize = 42;

#[derive(Default)]
struct Lazy {
    is_made: AtomicBool,
    value: AtomicUsize,
    making: Mutex<()>,
    /// How often the value was made.
    made: AtomicUsize,
}

fn get_twice(get: fn(&Lazy) -> usize) {
    let lazy = Arc::new(Lazy::default());
    let values = together(&lazy, 2, move |lazy, _| get(lazy));
    assert_eq!(values, [VALUE; 2], "a thread got a value that was not made yet");
    assert_eq!(lazy.made.load(Ordering::SeqCst), 1, "the value was made more than once");
}

impl Lazy {
    fn get(&self, value_first: bool) -> usize {
        if !self.is_made.load(Ordering::SeqCst) {
            let _making = lock(&self.making);
            if !self.is_made.load(Ordering::SeqCst) {
                self.make(value_first);
            }
        }
        self.value.load(Ordering::SeqCst)
    }

    fn get_without_second_check(&self) -> usize {
        if !self.is_made.load(Ordering::SeqCst) {
            let _making = lock(&self.making);
            self.make(true);
        }
        self.value.load(Ordering::SeqCst)
    }

    fn make(&self, value_first: bool) {
        self.made.fetch_add(1, Ordering::SeqCst);
        if value_first {
            self.value.store(VALUE, Ordering::SeqCst);
            self.is_made.store(true, Ordering::SeqCst);
        } else {
            self.is_made.store(true, Ordering::SeqCst);
            self.value.store(VALUE, Ordering::SeqCst);
        }
    }
}
