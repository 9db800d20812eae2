//! Sweeps beside other threads of the same process, as under `cargo test`: what those hold in the
//! moment of a fork stays held in the child, and no report may show it.
//!
//! The sweeps are tests of this file, run by name in a process of their own.
#![cfg(unix)]

mod common;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Oom, Owned};
use mallory::{Heap, Sweep};

/// Tells the sweeps below to run, and whether other threads shall.
const COMPANY: &str = "TEST_COMPANY";

static OFTEN: Mutex<()> = Mutex::new(());
static AT_FIRST: Mutex<()> = Mutex::new(());

fn hold(lock: &Mutex<()>, time: Duration) {
    let _held = lock.lock().expect("nobody panics with it");
    std::thread::sleep(time);
}

/// Needs a lock in every run, leaks where one request fails, and aborts where another does.
fn shares(heap: &Heap) -> Result<usize, Oom> {
    drop(OFTEN.lock().expect("nobody panics with it"));
    println!("a turn");
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
    let Ok(company) = std::env::var(COMPANY) else { return };
    let done = AtomicBool::new(false);
    let is_many = company == "many";
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
                hold(&OFTEN, Duration::from_millis(1));
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        // The first child is made while it is held, whatever the others come upon.
        let (held, is_held) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let _first = OFTEN.lock().expect("nobody panics with it");
            held.send(()).expect("it is waited for");
            std::thread::sleep(Duration::from_millis(if is_many { 250 } else { 0 }));
        });
        is_held.recv().expect("it is held");
        let report = Sweep::new("company").run(shares);
        done.store(true, Ordering::Relaxed);
        report
    });
    println!("<{report}>");
}

/// Needs the lock only after a failure, so that nothing shows it before.
fn shares_late(heap: &Heap) -> Result<(), Oom> {
    Owned::new(heap, 16).map(drop).map_err(|_| {
        drop(AT_FIRST.lock().expect("nobody panics with it"));
        Oom
    })
}

#[test]
fn sweeps_with_a_late_lock() {
    let Ok(company) = std::env::var(COMPANY) else { return };
    let held = Duration::from_millis(if company == "many" { 700 } else { 0 });
    let report = std::thread::scope(|scope| {
        scope.spawn(|| hold(&AT_FIRST, held));
        std::thread::sleep(Duration::from_millis(20));
        let patience = Duration::from_millis(1000);
        Sweep::new("company").patience(patience).run(shares_late)
    });
    println!("<{report}>");
}

/// The report of one of the tests above.
fn report(test: &str, company: &str) -> String {
    let mut command = Command::new(std::env::current_exe().expect("a test has a program"));
    command.args(["--exact", test, "--nocapture"]).env(COMPANY, company).env_remove("NEXTEST");
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let all = String::from_utf8(output.stdout).expect("reports are text");
    let (_, rest) = all.split_once('<').expect("the report begins");
    let (report, _) = rest.rsplit_once('>').expect("the report ends");
    report.replace("noise\n", "")
}

#[test]
fn a_report_is_the_same_beside_threads_that_print_panic_and_lock() {
    let alone = report("sweeps_in_company", "none");
    assert!(alone.contains("leak") && alone.contains("abort"), "{alone}");
    assert_eq!(report("sweeps_in_company", "many"), alone);
}

#[test]
fn a_hang_that_another_child_does_not_have_is_no_finding() {
    let started = Instant::now();
    let alone = report("sweeps_with_a_late_lock", "none");
    assert!(alone.contains("clean"), "{alone}");
    assert_eq!(report("sweeps_with_a_late_lock", "many"), alone);
    assert!(started.elapsed() < Duration::from_secs(60), "it was waited for");
}
