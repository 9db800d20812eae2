//! Faults × schedules, by loom: bugs that only weak memory ordering shows are found, limits are kept,
//! and a schedule is replayed by its number.

use crate::common::only;
use crate::{HeapVec, push};
use allocator_api2::collections::TryReserveError;
use mallory::sync::atomic::{AtomicUsize, Ordering};
use mallory::sync::{Arc, Mutex};
use mallory::{Explore, Heap, Kind, Verdict, thread};

type Outcome = Result<u64, TryReserveError>;

/// One thread writes a value and then sets a flag; the other one reads the value if the flag is set.
fn publish(heap: &Heap, store: Ordering, load: Ordering) -> Outcome {
    let place = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut list = HeapVec::new_in(heap.clone());
    push(&mut list, 1)?;
    let its = Arc::clone(&place);
    let other = thread::spawn(move || {
        its.0.store(7, Ordering::Relaxed);
        its.1.store(1, store);
    });
    if place.1.load(load) == 1 {
        assert_eq!(place.0.load(Ordering::Relaxed), 7, "it is said to be full");
    }
    other.join().expect("no panic");
    Ok(0)
}

#[test]
fn a_publication_without_an_order_is_found_and_replayed() {
    let run = |heap: &Heap| publish(heap, Ordering::Relaxed, Ordering::Relaxed);
    let explore = || Explore::new("published").loom();
    let report = explore().run(run);
    println!("{report}");
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Panic);
    let token = finding.token().to_string();
    // Found with two preemptions, and shrunk.
    assert!(token.contains(" s=loom.1."), "{token}");
    assert!(report.to_string().contains("needs 1 preemption: with fewer, it is not seen"));
    assert!(report.to_string().contains("it is said to be full"), "{report}");
    assert!(token.len() <= 100, "{token}");
    let again = explore().replay(token.parse().expect("a token")).run(run);
    println!("{again}");
    assert!(again.row().contains("reproduced"), "{again}");
}

#[test]
fn a_publication_in_order_is_clean_exhaustively() {
    let run = |heap: &Heap| publish(heap, Ordering::Release, Ordering::Acquire);
    let report = Explore::new("published").loom().run(run);
    println!("{report}");
    assert_eq!(report.verdict(), Verdict::Clean);
    assert!(report.to_string().contains("exhaustive to 2 preemptions"), "{report}");
}

/// Each of two threads makes two requests, and adds to a sum behind a lock.
fn both(heap: &Heap) -> Outcome {
    let all = Arc::new(Mutex::new(0));
    let (its, heap) = (Arc::clone(&all), heap.clone());
    let work = move || -> Outcome {
        let mut list = HeapVec::new_in(heap.clone());
        for n in 0..2 {
            push(&mut list, n)?;
            *its.lock().expect("no panic") += n;
        }
        Ok(list.len() as u64)
    };
    let other = thread::spawn(work.clone());
    let mine = work();
    let its = other.join().expect("no panic");
    Ok(mine? + its?)
}

#[test]
fn every_fault_is_made_in_every_order() {
    let report = Explore::new("both").loom().run(both);
    println!("{report}");
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.requests >= 4, "{report}");
    assert!(
        coverage.runs > 8,
        "each of four requests, once and for good, in some orders: {report}"
    );
}

#[test]
fn a_limit_limits_and_the_report_says_so() {
    let explore =
        |schedules| Explore::new("both").loom().preemptions(3).schedules(schedules).run(both);
    let cut = explore(3);
    println!("{cut}");
    assert!(!cut.coverage().complete, "{cut}");
    let said = "6 schedules: all of those to 0 preemptions, and a part of those to 3 preemptions";
    assert!(cut.to_string().contains(said), "{cut}");
    let whole = explore(1_000_000);
    println!("{whole}");
    assert!(whole.coverage().complete, "{whole}");
    assert!(whole.coverage().runs > cut.coverage().runs);
}

/// Two threads take two locks; with `crosses` one of them takes them in the opposite order if its
/// request fails.
fn crossed(heap: &Heap, crosses: bool) -> Outcome {
    let locks = Arc::new((Mutex::new(0_u64), Mutex::new(0_u64)));
    let (its, own) = (Arc::clone(&locks), heap.clone());
    let other = thread::spawn(move || -> Outcome {
        let mut list = HeapVec::new_in(own);
        let asked = push(&mut list, 1);
        if asked.is_err() {
            let (one, two) = if crosses { (&its.1, &its.0) } else { (&its.0, &its.1) };
            let one = one.lock().expect("no panic");
            let two = two.lock().expect("no panic");
            drop((two, one));
        }
        asked.map(|()| 1)
    });
    let one = locks.0.lock().expect("no panic");
    let two = locks.1.lock().expect("no panic");
    drop((two, one));
    other.join().expect("no panic")
}

#[test]
fn a_deadlock_that_only_a_failed_request_makes_is_found() {
    let report = Explore::new("crossed").loom().run(|heap| crossed(heap, true));
    println!("{report}");
    let finding = only(&report);
    assert_eq!(finding.kind(), Kind::Deadlock);
    let text = report.to_string();
    for said in
        ["T0 waits for o", "T1 waits for o", "needs 1 preemption: with fewer, it is not seen"]
    {
        assert!(text.contains(said), "{said}: {report}");
    }
    assert!(text.contains("loom ends its search at a run that gets stuck"), "{report}");
    // Each step names the call site of its own thread.
    let site = |step: &str| text.lines().find(|line| line.contains(step)).unwrap_or_default();
    for (step, is_inside) in [
        ("T0 waits for o", false),
        ("T1 locked o", true),
        ("T1 waits for o", true),
        ("T0 locked o", false),
    ] {
        assert_eq!(site(step).contains("{{closure}}"), is_inside, "{step}: {report}");
    }
    // Failing once is enough.
    assert!(finding.token().to_string().contains(" f=T1#1@"), "{report}");
    Explore::new("crossed").loom().run(|heap| crossed(heap, false)).assert_clean();
}

#[test]
fn a_leak_on_the_way_out_of_one_thread_is_found() {
    let report = Explore::new("lost").loom().run(|heap| {
        let heap = heap.clone();
        let other = thread::spawn(move || -> Outcome {
            let mut list = HeapVec::new_in(heap.clone());
            push(&mut list, 1)?;
            let mut next = HeapVec::new_in(heap);
            if let Err(error) = push(&mut next, 2) {
                std::mem::forget(list);
                return Err(error);
            }
            Ok(list.len() as u64)
        });
        other.join().expect("no panic")
    });
    println!("{report}");
    assert_eq!(report.findings().len(), 1, "{report}");
    assert_eq!(report.findings()[0].kind(), Kind::Leak);
}

#[test]
fn more_threads_than_loom_has_are_refused() {
    let report = Explore::new("crowd").loom().run(|_| {
        let threads: Vec<_> = (0..5).map(|_| thread::spawn(|| ())).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        Ok::<(), TryReserveError>(())
    });
    assert!(report.to_string().contains("more than 5 threads"), "{report}");
}

#[test]
fn what_loom_does_not_do_is_refused() {
    let random = Explore::new("both").loom().random(10).run(both);
    assert!(random.to_string().contains("loom explores only all schedules"), "{random}");
    let token = "v1 both s=T1@2>T0 fp=000000".parse().expect("a token");
    let other = Explore::new("both").loom().replay(token).run(both);
    assert!(other.to_string().contains("a schedule of shuttle's"), "{other}");
    let token = "v1 both s=loom.2.999999 fp=000000".parse().expect("a token");
    let beyond = Explore::new("both").loom().replay(token).run(both);
    println!("{beyond}");
    assert!(beyond.to_string().contains("diverged"), "{beyond}");
}

/// Two threads add to a sum behind a lock.
fn add(sum: &'static Mutex<u64>) -> Outcome {
    *sum.lock().expect("nobody panics with it") = 0;
    let other = thread::spawn(|| *sum.lock().expect("nobody panics with it") += 1);
    *sum.lock().expect("nobody panics with it") += 2;
    other.join().expect("no panic");
    let sum = *sum.lock().expect("nobody panics with it");
    assert_eq!(sum, 3);
    Ok(sum)
}

#[test]
fn a_static_lock_is_a_fresh_one_in_each_run() {
    static SUM: Mutex<u64> = Mutex::new(0);
    let lasting = Explore::new("static").loom().in_process().run(|_| add(&SUM));
    let fresh = Explore::new("static").loom().in_process();
    let fresh = fresh.run(|_| add(Box::leak(Box::new(Mutex::new(0)))));
    for report in [&lasting, &fresh] {
        assert_eq!(report.verdict(), Verdict::Clean, "{report}");
    }
    assert!(lasting.coverage().schedules > 1, "{lasting}");
    assert_eq!(lasting.coverage().schedules, fresh.coverage().schedules);
}
