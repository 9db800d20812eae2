//! The two operations on which a finding of loom's depends: exchanged ones, and a load that sees
//! another store. What shows in every order depends on none.

use crate::common::only;
use crate::{HeapVec, miscounted, push};
use allocator_api2::collections::TryReserveError;
use mallory::sync::atomic::{AtomicUsize, Ordering};
use mallory::sync::{Arc, Mutex};
use mallory::{Explore, Heap, Kind, Report, thread};

type Outcome = Result<(), TryReserveError>;

/// The lines of a report that say which schedule its finding needs.
fn schedule_lines(report: &Report) -> String {
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("  first "));
    let end = lines.iter().position(|line| line.starts_with("  seen "));
    let (Some(first), Some(end)) = (first, end) else { panic!("no pair: {report}") };
    lines[first - 1..end].join("\n")
}

#[test]
fn also_the_first_order_has_a_load_that_sees_an_older_value() {
    let report = Explore::new("miscounted").loom().preemptions(1).run(miscounted);
    assert_eq!(only(&report).kind(), Kind::Leak, "{report}");
    insta::assert_snapshot!("first_order", schedule_lines(&report));
}

/// A turnstile: whoever comes second, by a counter that is right, pushes. The bug: if it is the other
/// thread, the list is lost.
fn turnstile(heap: &Heap) -> Outcome {
    let turn = Arc::new(AtomicUsize::new(0));
    let (its, own) = (Arc::clone(&turn), heap.clone());
    let other = thread::spawn(move || {
        let mut list = HeapVec::new_in(own);
        let pushed = push(&mut list, 1);
        if its.fetch_add(1, Ordering::SeqCst) == 0 {
            std::mem::forget(list);
        }
        pushed
    });
    turn.fetch_add(1, Ordering::SeqCst);
    other.join().expect("no panic")
}

#[test]
fn exchanged_operations_are_named_as_under_shuttle() {
    let pair = |explore: Explore| {
        let report = explore.preemptions(1).run(turnstile);
        assert_eq!(only(&report).kind(), Kind::Leak, "{report}");
        let lines = schedule_lines(&report);
        let is_pair = |line: &&str| line.starts_with("  first") || line.starts_with("  then");
        lines.lines().filter(is_pair).map(str::to_owned).collect::<Vec<String>>()
    };
    let lines = pair(Explore::new("turnstile").loom());
    assert!(lines[0].starts_with("  first T1 updates o0  "), "{lines:?}");
    assert!(lines[1].starts_with("  then  T0 updates o0  "), "{lines:?}");
    #[cfg(feature = "shuttle")]
    assert_eq!(pair(Explore::new("turnstile").shuttle()), lines);
}

/// One thread writes a value and then sets a flag; the other one reads the value if the flag is set.
fn publish(store: Ordering, load: Ordering) -> Outcome {
    let place = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let its = Arc::clone(&place);
    let other = thread::spawn(move || {
        its.0.store(7, Ordering::Relaxed);
        its.1.store(1, store);
    });
    let is_full = place.1.load(load) == 1;
    let value = place.0.load(Ordering::Relaxed);
    other.join().expect("no panic");
    assert!(!is_full || value == 7, "it is said to be full");
    Ok(())
}

#[test]
fn a_load_that_sees_an_older_value_is_named_with_the_store_that_it_misses() {
    let explore = || Explore::new("published").loom();
    let report = explore().run(|_| publish(Ordering::Relaxed, Ordering::Relaxed));
    assert_eq!(only(&report).kind(), Kind::Panic, "{report}");
    insta::assert_snapshot!("older_value", schedule_lines(&report));
    explore().run(|_| publish(Ordering::Release, Ordering::Acquire)).assert_clean();
}

/// A flag that is only a hint, since a lock guards the value. The bug: it is taken for the truth.
fn hinted(trusts: bool) -> Outcome {
    let hint = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&hint);
    let other = thread::spawn(move || its.store(1, Ordering::Relaxed));
    let seen = hint.load(Ordering::Relaxed);
    other.join().expect("no panic");
    assert!(!trusts || seen == 0, "nobody is there yet");
    Ok(())
}

#[test]
fn a_load_that_sees_a_store_too_early_is_named_with_it() {
    let report = Explore::new("hinted").loom().run(|_| hinted(true));
    assert_eq!(only(&report).kind(), Kind::Panic, "{report}");
    insta::assert_snapshot!("seen", schedule_lines(&report));
    Explore::new("hinted").loom().run(|_| hinted(false)).assert_clean();
}

/// Two threads that take two locks in opposite orders.
fn embrace(_: &Heap) -> Outcome {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let other = Arc::clone(&locks);
    let thread = thread::spawn(move || {
        let one = other.1.lock().expect("no panic");
        let two = other.0.lock().expect("no panic");
        drop((two, one));
    });
    let one = locks.0.lock().expect("no panic");
    let two = locks.1.lock().expect("no panic");
    drop((two, one));
    thread.join().expect("no panic");
    Ok(())
}

#[test]
fn a_deadlock_names_the_lock_that_is_taken_too_early() {
    let explore = |jobs| Explore::new("embrace").loom().jobs(jobs).run(embrace);
    let report = explore(1);
    assert_eq!(only(&report).kind(), Kind::Deadlock, "{report}");
    insta::assert_snapshot!("deadlock", schedule_lines(&report));
    assert_eq!(explore(3).to_string(), report.to_string());
}

/// Two threads meet, and then a block is lost; with `on_failure` only if the next request fails.
fn lost(heap: &Heap, on_failure: bool) -> Outcome {
    let total = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&total);
    let other = thread::spawn(move || its.fetch_add(1, Ordering::SeqCst));
    total.fetch_add(1, Ordering::SeqCst);
    other.join().expect("no panic");
    let mut list = HeapVec::new_in(heap.clone());
    push(&mut list, 1)?;
    let next = push(&mut HeapVec::new_in(heap.clone()), 2);
    if next.is_err() || !on_failure {
        std::mem::forget(list);
    }
    next
}

#[test]
fn what_shows_in_every_order_depends_on_none() {
    for on_failure in [false, true] {
        let report = Explore::new("lost").loom().run(|heap| lost(heap, on_failure));
        let finding = only(&report);
        assert_eq!((finding.kind(), finding.fault().is_some()), (Kind::Leak, on_failure));
        let text = report.to_string();
        assert_eq!(text.contains("needs no preemption"), on_failure, "{report}");
        assert!(!text.contains("  first T"), "{report}");
    }
}
