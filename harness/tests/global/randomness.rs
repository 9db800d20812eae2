//! Code whose runs differ for reasons outside of it: hash seeds, clocks, addresses, and state that
//! statics keep. It is swept, and nothing is held against it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::common::again::{report_of, this_program};
use crate::common::kinds;
use crate::common::shared::SharedCounter;
use crate::{boxed, sweep};
use mallory::{Kind, Report};

const APART: &str = "each run was made in a process of its own";
const UNORDERED: &str = "results are compared in any order";
const NOT_COMPARED: &str = "results are not compared";

/// Clean, with every request failed.
fn is_swept(report: &Report) {
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.runs == 2 * coverage.requests, "{report}");
    assert!(coverage.requests > 0, "{report}");
}

fn map_of(entries: u32) -> HashMap<u32, Vec<u8>> {
    (0..entries).map(|n| (n, vec![1; n as usize + 1])).collect()
}

#[test]
fn a_map_as_the_result_is_compared_in_any_order() {
    let report = sweep("map").allow_aborts(2).run(|_| Ok::<_, String>(map_of(20)));
    is_swept(&report);
    assert!(report.to_string().contains(UNORDERED), "{report}");
}

/// Two runs give the same order by luck every other time.
#[test]
fn a_map_of_two_entries_is_never_accused() {
    for nth in 0..8 {
        let report = sweep("two").seed(nth).run(|_| {
            let mut map = HashMap::new();
            map.try_reserve(2).map_err(|_| "oom")?;
            map.insert("left", 1);
            map.insert("right", 2);
            Ok::<_, &str>(map)
        });
        is_swept(&report);
    }
}

/// A reserve that fails quietly, beside a map.
fn forgetful(remembers: bool) -> Result<(Vec<u8>, HashSet<u32>), &'static str> {
    let mut bytes = Vec::new();
    match bytes.try_reserve(8) {
        Ok(()) => bytes.push(1),
        Err(_) if remembers => return Err("oom"),
        Err(_) => {}
    }
    let mut set = HashSet::new();
    set.try_reserve(9).map_err(|_| "oom")?;
    set.extend(0..9);
    Ok((bytes, set))
}

#[test]
fn a_wrong_result_is_found_beside_a_map() {
    let report = sweep("forgetful").oom(|_| true).run(|_| forgetful(false));
    assert_eq!(kinds(&report), [Kind::SilentWrong], "{report}");
    is_swept(&sweep("forgetful").oom(|_| true).run(|_| forgetful(true)));
}

#[test]
fn requests_in_the_order_of_a_map_are_swept() {
    let report = sweep("order").allow_aborts(3).run(|_| {
        let copies: Vec<Vec<u8>> = map_of(20).values().cloned().collect();
        Ok::<_, String>(black_box(copies).len())
    });
    is_swept(&report);
    assert!(report.to_string().contains(APART), "{report}");
}

/// The maps of hashbrown are seeded by the clock and by addresses.
#[test]
fn requests_in_the_order_of_hashbrowns_map_are_swept() {
    let report = sweep("hashbrown").allow_aborts(2).run(|_| {
        let map: hashbrown::HashMap<u32, Vec<u8>> =
            (0..20).map(|n| (n, vec![1; n as usize + 1])).collect();
        let copies: Vec<Vec<u8>> = map.values().cloned().collect();
        Ok::<_, String>(black_box(copies).len())
    });
    is_swept(&report);
}

#[test]
fn clocks_and_thread_ids_in_a_result_are_not_compared() {
    let report = sweep("clock").allow_aborts(1).run(|_| {
        let bytes = black_box(vec![1_u8; 9]);
        Ok::<_, String>((bytes, SystemTime::now(), Instant::now(), std::thread::current().id()))
    });
    is_swept(&report);
    assert!(report.to_string().contains(NOT_COMPARED), "{report}");
}

#[test]
fn state_that_statics_keep_is_reset_from_run_to_run() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OF_THREAD: Cell<usize> = const { Cell::new(0) });
    let report = sweep("state").allow_aborts(1).run(|_| {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        OF_THREAD.set(OF_THREAD.get() + 1);
        Ok::<_, String>(black_box(vec![1_u8; 16 + run + OF_THREAD.get()]).len())
    });
    is_swept(&report);
    assert!(report.to_string().contains(APART), "{report}");
}

#[test]
fn what_differs_in_fresh_processes_too_is_nondeterminism() {
    let counter = SharedCounter::new();
    let report = sweep("counted")
        .run(|_| Ok::<_, String>(black_box(vec![1_u8; 16 + counter.next() as usize]).is_empty()));
    assert_eq!(kinds(&report), [Kind::Nondeterminism], "{report}");
    let text = report.to_string();
    assert!(text.contains(APART) && text.contains("no faulted run was made"), "{text}");
    assert!(text.contains("differ at event 1") && text.contains("randomness::"), "{text}");
}

/// Another process has other seeds and other addresses.
#[test]
fn another_process_prints_the_same_bytes() {
    const IS_CHILD: &str = "TEST_PRINTS_REPORT";
    if std::env::var_os(IS_CHILD).is_some() {
        let report = sweep("bytes").run(|_| {
            let copies: Vec<Vec<u8>> = map_of(20).values().cloned().collect();
            Ok::<_, String>(black_box(copies).len())
        });
        println!("<{report}>");
        return;
    }
    let print = || {
        let mut child = this_program(another_process_prints_the_same_bytes);
        report_of(&child.env(IS_CHILD, "1").output().expect("it starts"))
    };
    let first = print();
    assert!(first.contains("abort"), "{first}");
    for _ in 0..4 {
        assert_eq!(print(), first);
    }
}

/// A thread draws its seeds when it makes its first map. Mallory makes none in the process of the
/// test, or the later sweeps of the thread would depend on seeds that no run drew.
#[test]
fn another_process_prints_the_same_bytes_for_a_second_sweep() {
    const IS_CHILD: &str = "TEST_PRINTS_SECOND_REPORT";
    if std::env::var_os(IS_CHILD).is_some() {
        let first = sweep("first").run(|_| Ok::<_, String>(boxed(7)));
        let second = sweep("second").run(|_| {
            let count = 1 + RandomState::new().hash_one(7) % 64;
            Ok::<_, String>((0..count).map(boxed).min())
        });
        println!("<{first}{second}>");
        return;
    }
    let print = || {
        let mut child = this_program(another_process_prints_the_same_bytes_for_a_second_sweep);
        report_of(&child.env(IS_CHILD, "1").output().expect("it starts"))
    };
    let first = print();
    assert!(first.contains("second"), "{first}");
    for _ in 0..3 {
        assert_eq!(print(), first);
    }
}

#[inline(never)]
fn spins() -> ! {
    loop {
        black_box(());
    }
}

/// A death in a process of its own is the same as one in a worker, with its place.
#[test]
fn deaths_in_processes_of_their_own_are_told() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let report = sweep("deaths").patience(Duration::from_millis(400)).run(|_| {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let mut first = Vec::<u8>::new();
        if first.try_reserve_exact(16 + run).is_err() {
            std::process::exit(7);
        }
        let mut second = Vec::<u8>::new();
        if second.try_reserve_exact(8).is_err() {
            spins();
        }
        Ok::<_, String>(black_box((first, second)).0.len())
    });
    assert_eq!(kinds(&report), [Kind::NoProgress, Kind::Exit], "{report}");
    let text = report.to_string();
    assert!(text.contains(APART) && text.contains("exit code 7"), "{text}");
    assert!(text.contains("hung") && text.contains("randomness::spins"), "{text}");
}
