//! Sweeps in processes of their own: the environment, and a sweep that is killed and resumed.
//!
//! The subjects are tests of this file, run by name in a child.
#![cfg(unix)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Oom, Owned};
use mallory::sweep::Strategy;
use mallory::{Heap, Sweep};

/// Tells the sweep below where to keep its journal, and that it is to be slow.
const FOLDER: &str = "TEST_JOURNAL_FOLDER";
const RESUME: &str = "TEST_JOURNAL_RESUME";
/// Tells the sweep below to go on beside a thread that prints.
const NOISE: &str = "TEST_NOISE";

fn lossy(heap: &Heap) -> Result<(), Oom> {
    let kept = Owned::new(heap, 16)?;
    for _ in 0..60 {
        if Owned::new(heap, 32).is_err() {
            kept.lose();
            return Err(Oom);
        }
    }
    Ok(())
}

/// This test's own binary, told to run one test and nothing else.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test has a program"));
    command.args(["--exact", name, "--nocapture"]);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("MALLORY_") {
            command.env_remove(key);
        }
    }
    command
}

/// What stands between the brackets in a child's output.
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let all = String::from_utf8(output.stdout.clone()).expect("reports are text");
    let (_, rest) = all.split_once('<').expect("the report begins");
    let (report, _) = rest.rsplit_once('>').expect("the report ends");
    report.to_owned()
}

#[test]
fn prints_a_report() {
    println!("<{}>", Sweep::new("printed").run(lossy));
}

/// What the test above prints with this in its environment.
fn with(variable: &str, value: &str) -> String {
    text(&this_test("prints_a_report").env(variable, value).output().expect("it starts"))
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
    assert_eq!(with("MALLORY_REPLAY", &elsewhere), swept, "other sweeps go on as ever");
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
        assert!(told.contains(variable) && told.contains("mend:"), "{told}");
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
            println!("a turn");
            lossy(heap)
        });
        done.store(true, Ordering::Relaxed);
        report
    });
    println!("<{report}>");
}

#[test]
fn a_child_never_waits_for_what_another_thread_held_at_the_fork() {
    let output = this_test("sweeps_while_others_print").env(NOISE, "1").output();
    let report = text(&output.expect("it starts"));
    assert!(report.contains("✗ 1 finding ") && report.contains("122 runs"), "{report}");
}

#[test]
fn keeps_a_journal() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runs = Path::new(&folder).join("runs");
    let report = Sweep::new("journalled")
        .strategy(Strategy::Rerun)
        .journal(&folder, std::env::var_os(RESUME).is_some())
        .run(move |heap| {
            let file = std::fs::File::options().create(true).append(true).open(&runs);
            file.and_then(|mut file| file.write_all(b".")).expect("the folder is ours");
            std::thread::sleep(Duration::from_millis(5));
            lossy(heap)
        });
    println!("<{report}>");
}

fn journalled(folder: &Path) -> Command {
    let mut command = this_test("keeps_a_journal");
    command.env(FOLDER, folder);
    command
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

#[test]
fn a_sweep_that_was_killed_is_resumed_to_the_same_report() {
    let whole = tempfile::tempdir().expect("a folder");
    let expected = text(&journalled(whole.path()).output().expect("it starts"));
    assert!(expected.contains("1 finding"), "{expected}");

    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journalled.journal");
    let mut sweep = journalled(folder.path()).stdout(Stdio::null()).spawn().expect("it starts");
    let started = Instant::now();
    let enough = || std::fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 2);
    while !enough() && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let runs = folder.path().join("runs");
    sweep.kill().expect("it is still at work");
    sweep.wait().expect("it was killed");

    // Its workers end with it.
    std::thread::sleep(Duration::from_millis(50));
    let at_the_kill = size(&runs);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(size(&runs), at_the_kill, "a worker outlived its sweep");
    assert!(at_the_kill < size(&whole.path().join("runs")), "it was killed half-way");

    let resumed = journalled(folder.path()).env(RESUME, "1").output().expect("it starts");
    assert_eq!(text(&resumed), expected);
}

#[test]
fn a_finished_sweep_is_resumed_without_its_clean_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let first = text(&journalled(folder.path()).output().expect("it starts"));
    let made = size(&runs);
    let again = journalled(folder.path()).env(RESUME, "1").output().expect("it starts");
    assert_eq!(text(&again), first);
    assert!(size(&runs) - made < made, "what was clean was not run again");
}
