//! Sweeps beside other threads of the same process, as under `cargo test`: a lock that another
//! thread holds at the fork stays locked in the child, and no report may depend on it.
//!
//! The sweeps are tests of this file, started by name in a process of their own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::again::{report_of, this_program};
use crate::common::{Oom, Owned};
use mallory::{Heap, Sweep};

/// Set in the child processes: whether there are other threads, `none` or `many`.
const THREADS: &str = "TEST_OTHER_THREADS";

static OFTEN_HELD: Mutex<()> = Mutex::new(());
static HELD_AT_FIRST: Mutex<()> = Mutex::new(());

fn hold(lock: &Mutex<()>, time: Duration) {
    let _held = lock.lock().expect("nobody panics with it");
    std::thread::sleep(time);
}

/// Takes a lock in every run, leaks if one request fails, and aborts if another one does.
fn shares(heap: &Heap) -> Result<usize, Oom> {
    drop(OFTEN_HELD.lock().expect("nobody panics with it"));
    println!("a run");
    let first = Owned::new(heap, 16)?;
    if Owned::new(heap, 32).is_err() {
        first.lose();
        return Err(Oom);
    }
    if Owned::new(heap, 64).is_err() {
        std::process::abort();
    }
    Ok(first.layout().size())
}

#[test]
fn sweeps_in_company() {
    let Ok(threads) = std::env::var(THREADS) else { return };
    let done = AtomicBool::new(false);
    let is_many = threads == "many";
    let goes_on = || is_many && !done.load(Ordering::Relaxed);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while goes_on() {
                println!("noise");
            }
        });
        scope.spawn(|| {
            while goes_on() {
                let _ = std::panic::catch_unwind(|| panic!("noise"));
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        scope.spawn(|| {
            while goes_on() {
                // Its lock is held while the closure runs.
                backtrace::resolve(sweeps_in_company as *mut _, |_| {
                    std::thread::sleep(Duration::from_millis(3));
                });
            }
        });
        scope.spawn(|| {
            while goes_on() {
                hold(&OFTEN_HELD, Duration::from_millis(1));
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        // The first child is forked while the lock is held, however the other threads are scheduled.
        let (held, is_held) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let _first = OFTEN_HELD.lock().expect("nobody panics with it");
            held.send(()).expect("the other thread waits");
            std::thread::sleep(Duration::from_millis(if is_many { 250 } else { 0 }));
        });
        is_held.recv().expect("the lock is held");
        let report = Sweep::new("company").run(shares);
        done.store(true, Ordering::Relaxed);
        report
    });
    println!("<{report}>");
}

/// Takes the lock only after a failure, so that the runs without a fault do not show it.
fn shares_late(heap: &Heap) -> Result<(), Oom> {
    Owned::new(heap, 16).map(drop).map_err(|_| {
        drop(HELD_AT_FIRST.lock().expect("nobody panics with it"));
        Oom
    })
}

#[test]
fn sweeps_with_a_late_lock() {
    let Ok(threads) = std::env::var(THREADS) else { return };
    let held = Duration::from_millis(if threads == "many" { 700 } else { 0 });
    let report = std::thread::scope(|scope| {
        scope.spawn(|| hold(&HELD_AT_FIRST, held));
        std::thread::sleep(Duration::from_millis(20));
        let patience = Duration::from_millis(1000);
        Sweep::new("company").patience(patience).run(shares_late)
    });
    println!("<{report}>");
}

/// The report of one of the tests above.
fn report<T: Fn()>(test: T, threads: &str) -> String {
    let mut command = this_program(test);
    // So that the child knows that other threads may run beside the test.
    command.env(THREADS, threads).env_remove("NEXTEST");
    report_of(&command.output().expect("it starts")).replace("noise\n", "")
}

#[test]
fn a_report_is_the_same_beside_threads_that_print_panic_lock_and_resolve() {
    let alone = report(sweeps_in_company, "none");
    assert!(alone.contains("leak") && alone.contains("abort"), "{alone}");
    assert_eq!(report(sweeps_in_company, "many"), alone);
}

#[test]
fn a_hang_that_another_child_does_not_have_is_no_finding() {
    let started = Instant::now();
    let alone = report(sweeps_with_a_late_lock, "none");
    assert!(alone.contains("clean"), "{alone}");
    assert_eq!(report(sweeps_with_a_late_lock, "many"), alone);
    assert!(started.elapsed() < Duration::from_secs(60), "the sweep waited for the lock");
}
