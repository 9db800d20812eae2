//! A table and a log with a lock each: entries are moved from the table to the log, and what could
//! not be moved is noted in the table.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind};

use super::block::lock;
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/lock-order",
    kind: Kind::Deadlock,
    seen_by: SeenBy::Shuttle,
    needs_fault: true,
    preemptions: 1,
    wrong: "locks the table with the log still locked if the log can't grow",
    right: "unlocks the log before it locks the table if the log can't grow",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

struct Shared {
    /// Entries that wait.
    table: Mutex<usize>,
    log: Mutex<Vec<usize, Heap>>,
}

/// Logs how many entries wait: the table first, then the log, as everybody does.
fn survey(shared: &Shared) {
    let table = lock(&shared.table);
    let mut log = lock(&shared.log);
    if log.len() < log.capacity() {
        log.push(*table);
    }
}

fn work(heap: &Heap, append: fn(&Shared) -> Result<(), Oom>) -> Result<usize, Oom> {
    let (table, log) = (Mutex::new(0), Mutex::new(Vec::new_in(heap.clone())));
    let shared = Arc::new(Shared { table, log });
    let appender = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || append(&shared))
    };
    survey(&shared);
    join(appender).map(|()| 1)
}

/// The bug: this is the only place that locks the log first.
fn planted(shared: &Shared) -> Result<(), Oom> {
    let mut log = lock(&shared.log);
    if log.try_reserve_exact(2).is_err() {
        *lock(&shared.table) += 1;
        return Err(Oom);
    }
    log.push(0);
    Ok(())
}

fn near_miss(shared: &Shared) -> Result<(), Oom> {
    let mut log = lock(&shared.log);
    if log.try_reserve_exact(2).is_err() {
        drop(log);
        *lock(&shared.table) += 1;
        return Err(Oom);
    }
    log.push(0);
    Ok(())
}
