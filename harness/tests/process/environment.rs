//! The `MALLORY_*` variables: what each one changes, and that values which cannot be read are
//! mistakes. And a child that is forked while another thread prints.
//!
//! The sweeps are tests of this file, started by name in a child process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::again::{report_of, this_program_without_settings};
use crate::subject::lossy;
use mallory::Sweep;

/// Set in the child process that sweeps beside a thread that prints.
const NOISE: &str = "TEST_NOISE";

#[test]
fn prints_a_report() {
    println!("<{}>", Sweep::new("printed").run(lossy));
}

/// What the test above prints if this variable has this value.
fn with(variable: &str, value: &str) -> String {
    let mut command = this_program_without_settings(prints_a_report);
    report_of(&command.env(variable, value).output().expect("it starts"))
}

#[test]
fn oom_after_n_makes_one_run() {
    let one = with("MALLORY_OOM_AFTER", "3");
    assert!(one.contains("61 requests") && one.contains(" 1 run\n"), "{one}");
    assert!(one.contains("T0#4 fails for good: 32 bytes"), "{one}");
    let first = with("MALLORY_OOM_AFTER", "0");
    assert!(first.contains("clean") && first.contains(" 1 run\n"), "{first}");
    assert!(with("MALLORY_OOM_AFTER", "60").contains("T0#61 fails for good"));
}

#[test]
fn oom_after_more_than_there_is_is_a_mistake() {
    for beyond in ["61", "99999", "18446744073709551615"] {
        let told = with("MALLORY_OOM_AFTER", beyond);
        assert!(told.contains(&format!("MALLORY_OOM_AFTER={beyond}")), "{told}");
        assert!(told.contains("makes only 61 requests") && told.contains("from 0 to 60"), "{told}");
    }
}

#[test]
fn the_seed_and_the_jobs_come_from_the_environment() {
    assert!(with("MALLORY_SEED", "9").contains(" r=9 "));
    assert_eq!(with("MALLORY_JOBS", "2"), with("MALLORY_JOBS", "1"));
}

#[test]
fn a_token_in_the_environment_is_replayed_by_the_sweep_that_it_names() {
    let swept = with("MALLORY_SEED", "0");
    let token = swept.split('\'').nth(1).expect("a finding prints its token");
    assert!(with("MALLORY_REPLAY", token).contains("printed           reproduced"));
    let elsewhere = token.replace("printed", "other");
    assert_eq!(with("MALLORY_REPLAY", &elsewhere), swept, "other sweeps are not affected");
}

#[test]
fn a_variable_that_cannot_be_read_is_a_mistake() {
    for (variable, value) in [
        ("MALLORY_OOM_AFTER", "soon"),
        ("MALLORY_SEED", "-1"),
        ("MALLORY_JOBS", "0"),
        ("MALLORY_HISTOGRAM", "maybe"),
        ("MALLORY_DISABLE_CUSTOM_ALLOCATORS", "yes"),
        ("MALLORY_REPLAY", "v1 printed f=T0#"),
    ] {
        let told = with(variable, value);
        assert!(told.contains("printed           ! error"), "{told}");
        assert!(told.contains(variable) && told.contains("help:"), "{told}");
    }
}

#[test]
fn sweeps_while_others_print() {
    if std::env::var_os(NOISE).is_none() {
        return;
    }
    let done = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                println!("noise");
            }
        });
        let report = Sweep::new("printing").run(|heap| {
            println!("a run");
            lossy(heap)
        });
        done.store(true, Ordering::Relaxed);
        report
    });
    println!("<{report}>");
}

#[test]
fn a_child_never_waits_for_what_another_thread_held_at_the_fork() {
    let mut command = this_program_without_settings(sweeps_while_others_print);
    let report = report_of(&command.env(NOISE, "1").output().expect("it starts"));
    assert!(report.contains("✗ 1 finding ") && report.contains("122 runs"), "{report}");
}
