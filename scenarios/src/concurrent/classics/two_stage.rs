//! `twostage_k`: writers set one variable under its lock, and a second one, which depends on the
//! first, under another lock. A reader that comes in between sees only the first. Eitan Farchi,
//! Yarden Nir and Shmuel Ur, Concurrent Bug Patterns and How to Test Them, 2003 (two-stage access);
//! with many writers in Paul Thomson, Alastair Donaldson and Adam Betts, SCTBench, 2014.
//!
//! The bug: the first lock is released before the second is taken. The corrected ones hold both.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::{Arc, Mutex};

pub(super) const TWO: Classic = Classic {
    name: "two-stage-2",
    about: "two variables that belong together are set under one lock each",
    source: "Farchi, Nir and Ur, Concurrent Bug Patterns and How to Test Them, 2003",
    threads: 3,
    bug: || two_stage(2, false),
    corrected: || two_stage(2, true),
};

pub(super) const TWENTY: Classic = Classic {
    name: "two-stage-20",
    threads: 21,
    bug: || two_stage(20, false),
    corrected: || two_stage(20, true),
    ..TWO
};

pub(super) const HUNDRED: Classic = Classic {
    name: "two-stage-100",
    threads: 101,
    bug: || two_stage(100, false),
    corrected: || two_stage(100, true),
    ..TWO
};

#[derive(Default)]
struct Stages {
    first: Mutex<usize>,
    second: Mutex<usize>,
}

fn two_stage(threads: usize, holds_both: bool) {
    let stages = Arc::new(Stages::default());
    let reader = threads - 1;
    together(&stages, threads, move |stages, number| {
        let mut first = lock(&stages.first);
        if number != reader {
            *first = 1;
        }
        let value = *first;
        let _first = holds_both.then_some(first);
        let mut second = lock(&stages.second);
        if number != reader {
            *second = value + 1;
        } else if value != 0 {
            assert_eq!(*second, value + 1, "the second variable belongs to the first");
        }
    });
}
