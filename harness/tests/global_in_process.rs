//! Runs in process under the global allocator: whose requests are watched, and that one run is made
//! at a time.

mod common;

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{bytes, kinds};
use mallory::{GlobalHeap, Sweep};

#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap::system();

fn sweep(name: &str) -> Sweep {
    Sweep::new(name).global(&HEAP)
}

/// In process other threads are not the subject's: their requests pass, and the report says so.
#[test]
fn in_process_only_the_runs_own_threads_are_watched() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let other = std::thread::spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            drop(bytes(100).expect("nobody fails it"));
        }
    });
    let own = |_: &mallory::Heap| {
        let here = bytes(16)?;
        // Time for the other thread.
        std::thread::sleep(std::time::Duration::from_millis(1));
        let there = mallory::thread::spawn(|| bytes(24)).join().expect("it does not panic")?;
        Ok::<_, TryReserveError>(here.len() + there.len())
    };
    let none = mallory::Faults::Transient;
    let report = sweep("in-process").in_process().faults(none).limit(1).run(own);
    assert_eq!(kinds(&report), [], "{report}");
    assert!(report.coverage().requests >= 2, "{report}");
    assert!(report.to_string().contains("unattributed"), "{report}");
    assert!(!report.coverage().complete, "{report}");
    STOP.store(true, Ordering::Relaxed);
    other.join().expect("it does not panic");
}

/// Two sweeps at once in one process take turns.
#[test]
fn in_process_one_run_is_made_at_a_time() {
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
