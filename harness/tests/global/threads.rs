//! Threads under the global allocator: coordinates of the threads that a subject starts, and what
//! they do after the end of the run.
#![allow(unsafe_code, reason = "the subjects fork and misuse memory")]

use std::cell::RefCell;
use std::collections::TryReserveError;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::common::shared::SharedCounter;
use crate::common::{bytes, kinds, the};
use crate::sweep;
use mallory::{Faults, Finding, Kind, Outcome, Report, Token, Verdict};

/// Leaks its first list if the second one is refused.
fn loses() -> Result<usize, TryReserveError> {
    let first = std::mem::ManuallyDrop::new(bytes(64)?);
    let second = bytes(32)?;
    drop(std::mem::ManuallyDrop::into_inner(first));
    Ok(second.len())
}

/// Runs the work on a new thread. Starting it makes requests as well, whose failure aborts.
fn elsewhere<T: Send + 'static>(work: fn() -> T) -> T {
    std::thread::spawn(work).join().expect("it does not panic")
}

#[test]
fn the_requests_of_other_threads_have_coordinates_of_their_own() {
    let report = sweep("elsewhere").run(|_| elsewhere(loses));
    let leak = the(&report, Kind::Leak);
    let at = leak.fault().expect("a fault").to_string();
    assert!(at.starts_with("T1#"), "{report}");
    assert!(leak.to_string().contains("threads::loses"), "{report}");
    assert!(leak.token().to_string().contains(&format!(" f={at}")), "{report}");
    let clean = sweep("elsewhere").run(|_| elsewhere(|| bytes(50).map(drop)));
    assert!(kinds(&clean).iter().all(|kind| *kind == Kind::Abort), "{clean}");
    assert!(clean.outcomes(Outcome::Propagated) >= 2, "the fault reaches the thread: {clean}");
    let mut verdict = sweep("elsewhere");
    verdict = verdict.allow_aborts(clean.findings().len() as u64);
    let sampled = verdict.run(|_| elsewhere(|| bytes(50).map(drop)));
    assert_eq!(sampled.verdict(), Verdict::Sampled, "{sampled}");
}

/// Real threads make some requests in some runs only: to wait, for instance, if they have to. A death
/// at such a request can't be seen again in each run, which proves nothing wrong.
#[test]
fn a_request_that_only_some_orders_of_threads_make_is_no_nondeterminism() {
    // Every third run makes it once the fault-free runs are over, from either place on.
    for third in 0..3 {
        let runs = SharedCounter::new();
        let report = sweep("sometimes").run(|_| {
            elsewhere(|| bytes(50).map(drop))?;
            let run = runs.next();
            if run < 32 || run % 3 == third {
                black_box(Box::new(run));
            }
            Ok::<(), TryReserveError>(())
        });
        assert!(kinds(&report).iter().all(|kind| *kind == Kind::Abort), "{report}");
    }
}

#[test]
fn a_token_with_another_threads_coordinate_is_read_and_replayed() {
    let run = |token: Option<Token>| match token {
        Some(token) => sweep("tokens").replay(token).run(|_| elsewhere(loses)),
        None => sweep("tokens").run(|_| elsewhere(loses)),
    };
    let found = run(None);
    let leak = the(&found, Kind::Leak);
    let token: Token = leak.token().to_string().parse().expect("a token is read back");
    assert_eq!(&token, leak.token());
    let again = run(Some(token));
    let ids: Vec<&str> = again.findings().iter().map(Finding::id).collect();
    assert!(ids.contains(&leak.id()), "{again}");
    let beyond: Token = "v1 tokens f=T1#999 fp=000000".parse().expect("of the right shape");
    let nobody: Token = "v1 tokens f=T9#1 fp=000000".parse().expect("of the right shape");
    for (token, why) in [(beyond, "T1#999 never came"), (nobody, "T9#1 never came: T9 makes 0")] {
        let report = run(Some(token));
        assert!(report.row().ends_with("no failure"), "{report}");
        assert!(report.to_string().contains(why), "{report}");
    }
}

#[test]
fn threads_are_numbered_in_the_order_in_which_they_come() {
    // Each thread may reuse the memory of the previous one, but has a number of its own.
    let report = sweep("numbers").faults(Faults::Transient).run(|_| {
        for _ in 0..3 {
            elsewhere(|| bytes(50)).map(drop)?;
        }
        elsewhere(loses)
    });
    let at = the(&report, Kind::Leak).fault().expect("a fault").to_string();
    assert!(at.starts_with("T4#"), "{report}");
}

#[test]
fn a_block_may_be_freed_by_another_thread() {
    let report = sweep("handed-over").run(|_| {
        let list = bytes(40)?;
        let length = std::thread::scope(|scope| {
            scope.spawn(move || drop(list));
            40
        });
        Ok::<_, TryReserveError>(length)
    });
    assert!(kinds(&report).iter().all(|kind| *kind == Kind::Abort), "{report}");
    let twice = sweep("handed-over").run(|_| {
        let list = std::mem::ManuallyDrop::new(bytes(40)?);
        // SAFETY: none, the list is freed twice.
        let copies = unsafe { [std::ptr::read(&*list), std::ptr::read(&*list)] };
        std::thread::scope(|scope| copies.map(|copy| drop(scope.spawn(move || drop(copy)))));
        Ok::<_, TryReserveError>(())
    });
    let found: Vec<Kind> = kinds(&twice).into_iter().filter(|kind| *kind != Kind::Abort).collect();
    assert_eq!(found, [Kind::DoubleFree], "{twice}");
}

/// A death that real threads show once need not come again, and is no less one.
#[test]
fn a_death_that_does_not_come_again_keeps_its_kind() {
    let counter = SharedCounter::new();
    let report = sweep("once").run(|_| {
        let list = bytes(64);
        if list.is_err() && counter.next() == 0 {
            std::process::exit(7);
        }
        elsewhere(|| ());
        list.map(drop)
    });
    let found = the(&report, Kind::Exit);
    assert!(found.to_string().contains("exit code 7"), "{report}");
    assert!(!kinds(&report).contains(&Kind::Nondeterminism), "{report}");
}

struct Noisy(Vec<u8>);

impl Drop for Noisy {
    fn drop(&mut self) {
        // Allocates and frees while its thread ends.
        drop(black_box(self.0.clone()));
    }
}

#[test]
fn thread_locals_that_go_with_their_thread_are_in_order() {
    thread_local! {
        static LOCAL: RefCell<Option<Noisy>> = const { RefCell::new(None) };
    }
    let local = || {
        LOCAL.set(Some(Noisy(bytes(33)?)));
        Ok::<_, TryReserveError>(())
    };
    for scoped in [true, false] {
        let report = sweep("locals").run(|_| match scoped {
            true => std::thread::scope(|scope| scope.spawn(local).join().expect("no panic")),
            false => std::thread::spawn(local).join().expect("no panic"),
        });
        assert!(kinds(&report).iter().all(|kind| *kind == Kind::Abort), "{report}");
    }
}

/// Threads that are still running at the end of the run, and free, resize and allocate after it.
#[test]
fn a_thread_may_outlive_the_run() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let report: Report = sweep("detached").plan(mallory::Plan::none()).run(|_| {
        let (send, receive) = mpsc::channel::<Vec<u8>>();
        STARTED.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            while let Ok(list) = receive.recv() {
                kept.push(list);
            }
            for turn in 0..2000 {
                kept.push(vec![1; 10 + turn % 300]);
                if let Some(mut list) = kept.pop() {
                    list.reserve(500);
                }
                kept.truncate(100);
            }
        });
        for size in 1..200 {
            let _ = send.send(bytes(size)?);
        }
        Ok::<_, TryReserveError>(())
    });
    // Their requests come at any time, so runs differ; but nothing else may be found.
    let fine = |kind: &Kind| matches!(kind, Kind::Nondeterminism | Kind::Leak);
    assert!(kinds(&report).iter().all(fine), "{report}");
}

/// Forks while other threads allocate: no lock of the heap may stay locked in the child.
#[test]
#[cfg(unix)]
fn a_subject_may_fork_beside_threads_that_ask() {
    const FORKS: u32 = 50;
    let report = sweep("forks").plan(mallory::Plan::none()).run(|_| {
        static BEGUN: AtomicU32 = AtomicU32::new(0);
        BEGUN.store(0, Ordering::Relaxed);
        // As many requests for each fork, so that their number is the same on every machine.
        let allocate = || {
            for fork in 1..=FORKS {
                while BEGUN.load(Ordering::Relaxed) < fork {
                    std::thread::yield_now();
                }
                (0..100).for_each(|_| drop(bytes(100)));
            }
        };
        let ended = std::thread::scope(|scope| {
            scope.spawn(allocate);
            scope.spawn(allocate);
            let ended = (0..FORKS).map(|_| {
                BEGUN.fetch_add(1, Ordering::Relaxed);
                // SAFETY: the child uses memory and ends.
                unsafe {
                    let child = libc::fork();
                    if child == 0 {
                        libc::alarm(10);
                        drop(bytes(77));
                        libc::_exit(0);
                    }
                    let mut status = -1;
                    libc::waitpid(child, &raw mut status, 0);
                    status == 0
                }
            });
            ended.filter(|ended| !ended).count() == 0
        });
        Ok::<_, TryReserveError>(ended)
    });
    assert!(kinds(&report).iter().all(|kind| *kind == Kind::Nondeterminism), "{report}");
    assert!(!report.to_string().contains("false"), "a child hung: {report}");
}
