//! Dining philosophers: each needs the forks on both sides. Edsger Dijkstra, Hierarchical Ordering of
//! Sequential Processes, 1971.
//!
//! The bug: each philosopher takes the left fork first. When all of them hold their left fork, none
//! gets the right one. The corrected ones take the fork with the lower number first.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::{Arc, Mutex};

pub(super) const TWO: Classic = Classic {
    name: "dining-philosophers-2",
    about: "each philosopher takes the left fork and then the right one",
    source: "Dijkstra, Hierarchical Ordering of Sequential Processes, 1971",
    threads: 3,
    bug: || dine(2, left_first),
    corrected: || dine(2, lower_first),
};

pub(super) const THREE: Classic = Classic {
    name: "dining-philosophers-3",
    threads: 4,
    bug: || dine(3, left_first),
    corrected: || dine(3, lower_first),
    ..TWO
};

pub(super) const FIVE: Classic = Classic {
    name: "dining-philosophers-5",
    threads: 6,
    bug: || dine(5, left_first),
    corrected: || dine(5, lower_first),
    ..TWO
};

pub(super) const SEVEN: Classic = Classic {
    name: "dining-philosophers-7",
    threads: 8,
    bug: || dine(7, left_first),
    corrected: || dine(7, lower_first),
    ..TWO
};

fn left_first(left: usize, right: usize) -> [usize; 2] {
    [left, right]
}

fn lower_first(left: usize, right: usize) -> [usize; 2] {
    [left.min(right), left.max(right)]
}

/// A fork counts how often it was used.
fn dine(philosophers: usize, order: fn(usize, usize) -> [usize; 2]) {
    let forks: Vec<Mutex<usize>> = (0..philosophers).map(|_| Mutex::new(0)).collect();
    let forks = Arc::new(forks);
    together(&forks, philosophers, move |forks, left| {
        let right = (left + 1) % forks.len();
        for mut fork in order(left, right).map(|fork| lock(&forks[fork])) {
            *fork += 1;
        }
    });
    assert!(forks.iter().all(|fork| *lock(fork) == 2), "each fork is used from both sides");
}
