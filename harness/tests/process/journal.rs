//! Journals: a sweep that was killed is resumed to the same report, and a finished one repeats nothing
//! that was clean.
//!
//! The sweep is a test of this file, started by name in a child process.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::again::{report_of, this_program_without_settings};
use crate::subject::lossy;
use mallory::Sweep;
use mallory::sweep::Strategy;

/// Set in the child process: where the sweep keeps its journal.
const FOLDER: &str = "TEST_JOURNAL_FOLDER";
/// Set in a child process that resumes the sweep.
const RESUME: &str = "TEST_JOURNAL_RESUME";

#[test]
fn keeps_a_journal() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runs = Path::new(&folder).join("runs");
    let report = Sweep::new("journalled")
        .strategy(Strategy::Rerun)
        .journal(&folder, std::env::var_os(RESUME).is_some())
        .run(move |heap| {
            let file = std::fs::File::options().create(true).append(true).open(&runs);
            file.and_then(|mut file| file.write_all(b".")).expect("it can be written");
            std::thread::sleep(Duration::from_millis(5));
            lossy(heap)
        });
    println!("<{report}>");
}

fn journalled(folder: &Path) -> Command {
    let mut command = this_program_without_settings(keeps_a_journal);
    command.env(FOLDER, folder);
    command
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

#[test]
fn a_sweep_that_was_killed_is_resumed_to_the_same_report() {
    let whole = tempfile::tempdir().expect("a folder");
    let expected = report_of(&journalled(whole.path()).output().expect("it starts"));
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
    sweep.kill().expect("it is still running");
    sweep.wait().expect("it was killed");

    // Its workers must end with it.
    std::thread::sleep(Duration::from_millis(50));
    let at_the_kill = size(&runs);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(size(&runs), at_the_kill, "a worker outlived its sweep");
    assert!(at_the_kill < size(&whole.path().join("runs")), "it was killed before its end");

    let resumed = journalled(folder.path()).env(RESUME, "1").output().expect("it starts");
    assert_eq!(report_of(&resumed), expected);
}

#[test]
fn a_finished_sweep_is_resumed_without_its_clean_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let first = report_of(&journalled(folder.path()).output().expect("it starts"));
    let made = size(&runs);
    let again = journalled(folder.path()).env(RESUME, "1").output().expect("it starts");
    assert_eq!(report_of(&again), first);
    assert!(size(&runs) - made < made, "what was clean was not run again");
}
