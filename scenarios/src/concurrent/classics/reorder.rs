//! `reorder_k`: setters write `a = 1` and then `b = -1`; a checker reads both and expects to see
//! either both writes or none. Once a setter is done nothing can go wrong any more, so with more
//! setters fewer schedules show it. Paul Thomson, Alastair Donaldson and Adam Betts, Concurrency
//! Testing Using Schedule Bounding (SCTBench), 2014.
//!
//! The bug: nobody takes the lock that makes each pair of accesses one step.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::atomic::{AtomicIsize, Ordering};
use crate::sync::{Arc, Mutex};

pub(super) const THREE: Classic = Classic {
    name: "reorder-3",
    about: "setters write two variables, and a checker reads them in between",
    source: "Thomson, Donaldson and Betts, SCTBench, 2014",
    threads: 4,
    bug: || reorder(3, false),
    corrected: || reorder(3, true),
};

pub(super) const FOUR: Classic = Classic {
    name: "reorder-4",
    threads: 5,
    bug: || reorder(4, false),
    corrected: || reorder(4, true),
    ..THREE
};

pub(super) const FIVE: Classic = Classic {
    name: "reorder-5",
    threads: 6,
    bug: || reorder(5, false),
    corrected: || reorder(5, true),
    ..THREE
};

pub(super) const TEN: Classic = Classic {
    name: "reorder-10",
    threads: 11,
    bug: || reorder(10, false),
    corrected: || reorder(10, true),
    ..THREE
};

pub(super) const TWENTY: Classic = Classic {
    name: "reorder-20",
    threads: 21,
    bug: || reorder(20, false),
    corrected: || reorder(20, true),
    ..THREE
};

#[derive(Default)]
struct Variables {
    pair: Mutex<()>,
    a: AtomicIsize,
    b: AtomicIsize,
}

fn reorder(threads: usize, is_locked: bool) {
    let variables = Arc::new(Variables::default());
    let checker = threads - 1;
    together(&variables, threads, move |variables, number| {
        let _pair = is_locked.then(|| lock(&variables.pair));
        if number != checker {
            variables.a.store(1, Ordering::SeqCst);
            variables.b.store(-1, Ordering::SeqCst);
            return;
        }
        let read = (variables.a.load(Ordering::SeqCst), variables.b.load(Ordering::SeqCst));
        assert!(matches!(read, (0, 0) | (1, -1)), "the checker reads {read:?}");
    });
}
