//! Faults × schedules, by shuttle: bugs that need an order of the threads, a failed request, or both
//! are found, and correct code is clean in every schedule.

use crate::common::{kinds, only};
use crate::{HeapVec, miscounted, push};
use allocator_api2::collections::TryReserveError;
use mallory::sync::{Arc, Mutex};
use mallory::thread;
use mallory::{Explore, Heap, Kind, Refused};

/// Two threads push onto one list behind a lock.
fn pushes(heap: &Heap) -> Result<usize, TryReserveError> {
    let list = Arc::new(Mutex::new(HeapVec::new_in(heap.clone())));
    let threads: Vec<_> = (0..2)
        .map(|n| {
            let list = Arc::clone(&list);
            thread::spawn(move || push(&mut list.lock().expect("no panic"), n))
        })
        .collect();
    let ended: Vec<_> =
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    ended.into_iter().collect::<Result<Vec<()>, _>>()?;
    let length = list.lock().expect("no panic").len();
    Ok(length)
}

#[test]
fn a_right_one_is_clean_in_every_schedule() {
    let report = Explore::new("pushes").shuttle().run(pushes);
    report.assert_clean();
    assert!(report.coverage().complete && report.coverage().schedules > 5, "{report}");
    assert!(report.to_string().contains("exhaustive, there is no other"), "{report}");
    let report = Explore::new("pushes").shuttle().preemptions(2).every_order().run(pushes);
    report.assert_clean();
    assert!(report.coverage().complete && report.coverage().schedules > 20, "{report}");
    assert!(report.to_string().contains("exhaustive to 2 preemptions"), "{report}");
}

/// Two threads that take two locks in opposite orders; with `on_failure` the second thread does so
/// only after a failure.
fn embrace(heap: &Heap, on_failure: bool) -> Result<(), TryReserveError> {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let (other, heap) = (Arc::clone(&locks), heap.clone());
    let thread = thread::spawn(move || {
        let failed = push(&mut HeapVec::new_in(heap), 1);
        if failed.is_err() || !on_failure {
            let _one = other.1.lock().expect("no panic");
            let _two = other.0.lock().expect("no panic");
        }
        failed
    });
    let one = locks.0.lock().expect("no panic");
    let two = locks.1.lock().expect("no panic");
    drop((two, one));
    thread.join().expect("no panic")
}

#[test]
fn a_deadlock_says_who_waits_for_whom() {
    let report = Explore::new("embrace").shuttle().run(|heap| embrace(heap, false));
    let finding = only(&report);
    assert_eq!((finding.kind(), finding.fault()), (Kind::Deadlock, None), "{report}");
    let text = report.to_string();
    for said in ["T0 waits for o1, which T1 holds", "T1 waits for o0, which T0 holds", "s=T0@"] {
        assert!(text.contains(said), "{said}: {report}");
    }
}

/// Two threads with a block each take two locks. With `crosses` the second thread takes them in the
/// opposite order, and with `loses` the first thread leaks its block.
fn held(heap: &Heap, crosses: bool, loses: bool) -> Result<(), TryReserveError> {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let (its, own) = (Arc::clone(&locks), heap.clone());
    let thread = thread::spawn(move || {
        let mut list = HeapVec::new_in(own);
        push(&mut list, 1)?;
        let (one, two) = if crosses { (&its.1, &its.0) } else { (&its.0, &its.1) };
        let _one = one.lock().expect("no panic");
        let _two = two.lock().expect("no panic");
        push(&mut list, 2)
    });
    let mut list = HeapVec::new_in(heap.clone());
    let mine = push(&mut list, 3);
    let one = locks.0.lock().expect("no panic");
    let two = locks.1.lock().expect("no panic");
    drop((two, one));
    if loses {
        std::mem::forget(list);
    }
    thread.join().expect("no panic").and(mine)
}

#[test]
fn what_threads_hold_that_wait_for_ever_is_no_leak() {
    let report = Explore::new("held").shuttle().run(|heap| held(heap, true, false));
    assert_eq!(kinds(&report), [Kind::Deadlock], "{report}");
    Explore::new("held").shuttle().run(|heap| held(heap, false, false)).assert_clean();
    let report = Explore::new("held").shuttle().run(|heap| held(heap, false, true));
    assert_eq!(kinds(&report), [Kind::Leak], "{report}");
}

/// One thread waits for another, which waits for a lock that it holds itself.
fn ring(_: &Heap) -> Result<(), TryReserveError> {
    let lock = Arc::new(Mutex::new(0));
    let its = Arc::clone(&lock);
    let other = thread::spawn(move || {
        let _one = its.lock().expect("no panic");
        let _again = its.lock().expect("no panic");
    });
    other.join().expect("no panic");
    Ok(())
}

#[test]
fn each_step_of_a_deadlock_names_its_thread_and_what_it_waits_for() {
    let report = Explore::new("ring").shuttle().run(ring);
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Deadlock, "{report}");
    let text = report.to_string();
    for said in [
        "T0 waits for the end of T1  findings::ring",
        "T1 waits for o0             findings::ring::{{closure}}",
        "T1 locked o0                findings::ring::{{closure}}",
        "T1 waits for o0, which it holds itself",
    ] {
        assert!(text.contains(said), "{said}: {report}");
    }
}

#[test]
fn a_deadlock_that_needs_a_failed_request_names_both() {
    let explore = || Explore::new("embrace-oom").shuttle();
    let report = explore().run(|heap| embrace(heap, true));
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Deadlock, "{report}");
    assert_eq!(finding.fault().map(|at| at.to_string()).as_deref(), Some("T1#1"));
    let text = report.to_string();
    assert!(text.contains("needs the failure of T1#1 and T"), "{report}");
    assert!(text.contains("  first T") && text.contains("  then  T"), "{report}");
    let again = explore().replay(finding.token().clone()).run(|heap| embrace(heap, true));
    assert!(again.row().contains("reproduced"), "{again}");
}

#[test]
fn a_leak_that_needs_a_preemption_names_the_two_operations_and_replays() {
    let explore = || Explore::new("miscounted").shuttle();
    let report = explore().run(miscounted);
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Leak);
    let text = report.to_string();
    assert!(text.contains("first T1 loads o1") && text.contains("then  T0 stores o1"), "{report}");
    let token = finding.token().to_string();
    assert!(token.len() <= 100 && token.contains("s=T"), "{token}");
    let again = explore().replay(token.parse().expect("a token")).run(miscounted);
    assert!(again.row().contains("reproduced"), "{again}");
    let without = explore().preemptions(0).run(miscounted);
    without.assert_clean();
}

#[test]
fn chance_finds_it_too_and_its_schedule_is_made_as_small() {
    let bounded = Explore::new("miscounted").shuttle().run(miscounted);
    for random in [
        Explore::new("miscounted").shuttle().seed(3).random(300),
        Explore::new("miscounted").shuttle().seed(3).pct(3, 300),
    ] {
        let report = random.run(miscounted);
        let finding = only(&report);
        assert_eq!(finding.id(), bounded.findings()[0].id());
        let token = finding.token().to_string();
        assert_eq!(token.matches('@').count(), 1, "one preemption is enough: {token}");
    }
}

#[test]
fn any_number_of_jobs_says_the_same() {
    let of = |jobs| {
        let explore = Explore::new("embrace-oom").shuttle().jobs(jobs);
        explore.run(|heap| embrace(heap, true)).to_string()
    };
    assert_eq!(of(1), of(3));
}

/// A thread that aborts if its request fails while the other thread has set a flag.
fn aborting(heap: &Heap) -> Result<(), TryReserveError> {
    let flag = Arc::new(Mutex::new(false));
    let (other, heap) = (Arc::clone(&flag), heap.clone());
    let thread = thread::spawn(move || {
        let pushed = push(&mut HeapVec::new_in(heap), 1);
        if pushed.is_err() && *other.lock().expect("no panic") {
            std::process::abort();
        }
        pushed
    });
    *flag.lock().expect("no panic") = true;
    *flag.lock().expect("no panic") = false;
    thread.join().expect("no panic")
}

#[test]
fn a_death_is_told_with_its_fault_and_its_schedule() {
    let report = Explore::new("aborting").shuttle().run(aborting);
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Abort, "{report}");
    let token = finding.token().to_string();
    assert!(token.contains("f=T1#1") && token.contains("s=T0@"), "{token}");
    let again = Explore::new("aborting").shuttle().replay(finding.token().clone()).run(aborting);
    assert!(again.row().contains("reproduced"), "{again}");
}

/// A thread that panics if its request fails, and another one that ignores the panic.
fn panicking(heap: &Heap) -> Result<(), TryReserveError> {
    let heap = heap.clone();
    let thread = thread::spawn(move || {
        push(&mut HeapVec::new_in(heap), 1).expect("there is memory");
    });
    let _ = thread.join();
    Ok(())
}

#[test]
fn a_panic_in_a_thread_is_the_subjects_outcome() {
    let report = Explore::new("panicking").shuttle().run(panicking);
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Panic, "{report}");
    assert!(report.to_string().contains("there is memory"), "{report}");
}

/// One thread waits for a flag, which the other thread does not set if its request fails.
fn waiting(heap: &Heap) -> Result<(), TryReserveError> {
    use mallory::sync::atomic::{AtomicBool, Ordering};
    let done = Arc::new(AtomicBool::new(false));
    let (other, heap) = (Arc::clone(&done), heap.clone());
    let thread = thread::spawn(move || {
        push(&mut HeapVec::new_in(heap), 1)?;
        other.store(true, Ordering::SeqCst);
        Ok(())
    });
    while !done.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    thread.join().expect("no panic")
}

#[test]
fn threads_that_never_end_once_a_request_has_failed_make_no_progress() {
    let report = Explore::new("waiting").shuttle().run(waiting);
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::NoProgress, "{report}");
    assert_eq!(finding.fault().map(|at| at.to_string()).as_deref(), Some("T1#1"));
}

/// A subject that locks more often the longer its process lives, without a request that would differ.
/// In random walks no schedule is run twice, so only the first runs can show it.
#[test]
fn threads_that_do_something_else_in_the_next_run_are_nondeterministic() {
    static RUNS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn locked(times: usize) -> Result<(), Refused> {
        let lock = Arc::new(Mutex::new(0));
        let cloned = Arc::clone(&lock);
        let other = thread::spawn(move || {
            for _ in 0..times {
                *cloned.lock().expect("no panic") += 1;
            }
        });
        other.join().expect("no panic");
        Ok(())
    }
    let runs = || RUNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let counting = Explore::new("counting").shuttle().random(10).in_process();
    let report = counting.run(|_| locked(runs()));
    assert_eq!(kinds(&report), [Kind::Nondeterminism], "{report}");
    assert!(report.to_string().contains("two runs of one schedule differ: T"), "{report}");
    let same = Explore::new("same").shuttle().random(10).in_process();
    let report = same.run(|_| locked(3));
    assert_eq!(kinds(&report), [], "{report}");
}
