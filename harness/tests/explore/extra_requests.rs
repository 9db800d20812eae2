//! Requests that only some orders of the threads make are failed as well; and a finding of a request
//! that fails for good is reduced to one that fails once. By each model checker of the build.

use crate::common::only;
use crate::{HeapVec, push};
use allocator_api2::collections::TryReserveError;
use mallory::sync::Arc;
use mallory::sync::atomic::{AtomicBool, Ordering};
use mallory::{Explore, Faults, Heap, Kind, thread};

/// The same exploration by each model checker.
fn each() -> Vec<Explore> {
    let new = || Explore::new("hasty");
    vec![
        #[cfg(feature = "shuttle")]
        new().shuttle(),
        #[cfg(feature = "loom")]
        new().loom(),
    ]
}

/// Makes a second request if the other thread was faster, and with `loses` leaks its list if that one
/// fails.
fn hasty(heap: &Heap, loses: bool) -> Result<(), TryReserveError> {
    let there = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&there);
    let other = thread::spawn(move || its.store(true, Ordering::SeqCst));
    let mut list = HeapVec::new_in(heap.clone());
    let mut pushed = push(&mut list, 1);
    if pushed.is_ok() && there.load(Ordering::SeqCst) {
        pushed = push(&mut HeapVec::new_in(heap.clone()), 2);
        if pushed.is_err() && loses {
            std::mem::forget(list);
        }
    }
    other.join().expect("no panic");
    pushed
}

#[test]
fn a_request_that_only_some_orders_make_fails_as_well() {
    for explore in each() {
        let report = explore.run(|heap| hasty(heap, true));
        let finding = only(&report);
        assert_eq!(finding.kind(), Kind::Leak, "{report}");
        assert!(finding.token().to_string().contains(" f=T0#2@"), "{report}");
        assert_eq!(report.coverage().requests, 2, "{report}");
    }
    for explore in each() {
        let report = explore.run(|heap| hasty(heap, false));
        report.assert_clean();
        assert_eq!(report.coverage().requests, 2, "{report}");
    }
}

#[test]
fn where_failing_once_is_enough_that_is_what_is_told() {
    for explore in each() {
        let report = explore.faults(Faults::Persistent).run(|heap| hasty(heap, true));
        let finding = only(&report);
        let token = finding.token().to_string();
        assert!(token.contains(" f=T0#2@"), "{report}");
        assert!(
            report.to_string().contains("once is enough, it need not fail for good"),
            "{report}"
        );
    }
}

/// Leaks its list only if two requests in a row fail.
fn stubborn(heap: &Heap) -> Result<(), TryReserveError> {
    thread::spawn(|| ()).join().expect("no panic");
    let mut list = HeapVec::new_in(heap.clone());
    push(&mut list, 1)?;
    let again = || push(&mut HeapVec::new_in(heap.clone()), 2);
    let pushed = again().or_else(|_| again());
    if pushed.is_err() {
        std::mem::forget(list);
    }
    pushed
}

#[test]
fn what_has_to_fail_for_good_stays_so() {
    for explore in each() {
        let report = explore.run(stubborn);
        let leak = report.findings().iter().find(|found| found.kind() == Kind::Leak);
        let token = leak.unwrap_or_else(|| panic!("{report}")).token().to_string();
        assert!(token.contains(" f=T0#2..@"), "{report}");
        assert!(!report.to_string().contains("once is enough"), "{report}");
    }
}
