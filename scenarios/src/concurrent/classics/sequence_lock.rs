//! A sequence lock: a writer counts before and after it writes, and a reader reads again if the count
//! has changed or is odd. Hans Boehm, Can Seqlocks Get Along with Programming Language Memory
//! Models?, 2012.
//!
//! The bug: a reader that begins and ends within a write does not notice that the count is odd.

use super::Classic;
use super::shared::together;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

pub(super) const CLASSIC: Classic = Classic {
    name: "sequence-lock",
    about: "a reader doesn't check whether a write is under way",
    source: "Boehm, Can Seqlocks Get Along with Programming Language Memory Models?, 2012",
    threads: 3,
    bug: || read_and_write(|_| true),
    corrected: || read_and_write(|count| count.is_multiple_of(2)),
};

/// How often a reader tries.
const ATTEMPTS: usize = 3;

#[derive(Default)]
struct Pair {
    count: AtomicUsize,
    /// They are equal while nobody writes.
    values: [AtomicUsize; 2],
}

fn read_and_write(is_valid: fn(usize) -> bool) {
    let pair = Arc::new(Pair::default());
    let read = together(&pair, 2, move |pair, number| {
        if number == 0 {
            return (0..ATTEMPTS).find_map(|_| pair.read(is_valid));
        }
        pair.write();
        None
    });
    assert!(read[0].is_none_or(|[one, other]| one == other), "a reader reads {:?}", read[0]);
}

impl Pair {
    fn read(&self, is_valid: fn(usize) -> bool) -> Option<[usize; 2]> {
        let before = self.count.load(Ordering::SeqCst);
        let values = self.values.each_ref().map(|value| value.load(Ordering::SeqCst));
        let after = self.count.load(Ordering::SeqCst);
        (before == after && is_valid(before)).then_some(values)
    }

    fn write(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.values.iter().for_each(|value| value.store(1, Ordering::SeqCst));
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}
