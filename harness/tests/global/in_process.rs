//! Runs in this process under the global allocator: the requests of which threads are watched, and
//! that one run is made at a time. Children of other tests would inherit such a run, so each of
//! these tests runs in a process of its own.

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::again::alone;
use crate::common::{bytes, kinds};
use crate::sweep;

/// In the same process other threads are not the subject's: their requests are let through, and the
/// report says so.
#[test]
fn in_process_only_the_runs_own_threads_are_watched() {
    alone(in_process_only_the_runs_own_threads_are_watched, beside_another_thread);
}

fn beside_another_thread() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let other = std::thread::spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            drop(bytes(100).expect("it is not failed"));
        }
    });
    let own = |_: &mallory::Heap| {
        let here = bytes(16)?;
        // The other thread makes requests meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(1));
        let there = mallory::thread::spawn(|| bytes(24)).join().expect("it does not panic")?;
        Ok::<_, TryReserveError>(here.len() + there.len())
    };
    let once = mallory::Faults::Transient;
    let report = sweep("in-process").in_process().faults(once).limit(1).run(own);
    assert_eq!(kinds(&report), [], "{report}");
    assert!(report.coverage().requests >= 2, "{report}");
    assert!(report.to_string().contains("unattributed"), "{report}");
    assert!(!report.coverage().complete, "{report}");
    STOP.store(true, Ordering::Relaxed);
    other.join().expect("it does not panic");
}

/// Two sweeps in one process take turns.
#[test]
fn in_process_one_run_is_made_at_a_time() {
    alone(in_process_one_run_is_made_at_a_time, two_sweeps_at_once);
}

fn two_sweeps_at_once() {
    let one = |name: &'static str, size: usize| {
        let report = sweep(name).in_process().run(move |_| bytes(size).map(|list| list.len()));
        assert_eq!(kinds(&report), [], "{report}");
        assert_eq!(report.coverage().requests, 1, "{report}");
    };
    std::thread::scope(|scope| {
        for name in ["left", "right"] {
            scope.spawn(move || (1..20).for_each(|size| one(name, size)));
        }
    });
}
