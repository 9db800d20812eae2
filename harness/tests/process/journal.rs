//! Journals: a sweep that was killed is resumed to the same report, and a finished one repeats nothing
//! that was clean.
//!
//! The sweep is a test of this file, started by name in a child process.
#![allow(unsafe_code, reason = "a subject forks")]

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::again::{report_of, this_program_without_settings};
use crate::subject::lossy;
use mallory::Sweep;
use mallory::sweep::Strategy;

/// Set in the child process: where the sweep keeps its journal.
const FOLDER: &str = "TEST_JOURNAL_FOLDER";
/// Set in a child process that resumes the sweep.
const RESUME: &str = "TEST_JOURNAL_RESUME";
/// Set in a child process whose subject leaves a process behind.
const LEAVES: &str = "TEST_JOURNAL_LEAVES";
/// Set in a child process whose subject waits in the tenth faulted run for the file `go` in the folder.
const WAITS: &str = "TEST_JOURNAL_WAITS";

#[test]
fn keeps_a_journal() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runs = Path::new(&folder).join("runs");
    let report = Sweep::new("journalled")
        .strategy(Strategy::Rerun)
        .patience(Duration::from_secs(600))
        .journal(&folder, std::env::var_os(RESUME).is_some())
        .run(move |heap| {
            let file = std::fs::File::options().create(true).append(true).open(&runs);
            file.and_then(|mut file| file.write_all(b".")).expect("it can be written");
            let folder = Path::new(&folder);
            if std::env::var_os(LEAVES).is_some() {
                leave_behind(folder);
            }
            if std::env::var_os(WAITS).is_some() {
                wait_in_the_tenth(folder);
            }
            std::thread::sleep(Duration::from_millis(5));
            lossy(heap)
        });
    println!("<{report}>");
}

/// Waits once there is a journal, and a few points can be in it.
fn wait_in_the_tenth(folder: &Path) {
    static FAULTED: AtomicU32 = AtomicU32::new(0);
    let is_faulted = size(&folder.join("journalled.journal")) > 0;
    if is_faulted && FAULTED.fetch_add(1, Ordering::Relaxed) >= 10 {
        while !folder.join("go").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Starts a process with all open files of this one, outside of its group and session, once there is a
/// journal. It ends itself when the folder is removed. Its number is in the file `left`.
fn leave_behind(folder: &Path) {
    let mark = folder.join("left");
    if mark.exists() || size(&folder.join("journalled.journal")) == 0 {
        return;
    }
    let path = std::ffi::CString::new(mark.to_string_lossy().as_bytes()).expect("a path");
    std::fs::write(&mark, "").expect("it can be written");
    // SAFETY: the fork makes no request. It leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: no call has a precondition but that `path` is a C string.
        unsafe {
            libc::setsid();
            while libc::access(path.as_ptr(), libc::F_OK) == 0 {
                libc::usleep(5_000);
            }
            libc::_exit(0);
        }
    }
    std::fs::write(&mark, pid.to_string()).expect("it can be written");
}

fn journalled(folder: &Path) -> Command {
    let mut command = this_program_without_settings(keeps_a_journal);
    command.env(FOLDER, folder);
    command
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

/// Starts the sweep, and waits until it has made a few runs.
fn started(command: &mut Command, folder: &Path) -> Child {
    let journal = folder.join("journalled.journal");
    let mut sweep = command.stdout(Stdio::null()).spawn().expect("it starts");
    let started = Instant::now();
    let enough = || std::fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 2);
    while !enough() && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(sweep.try_wait(), Ok(None)), "it is still running");
    sweep
}

#[test]
fn a_second_sweep_of_the_same_name_is_refused_and_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = started(journalled(folder.path()).env(WAITS, "1"), folder.path());
    for resume in [None, Some("1")] {
        let mut second = journalled(folder.path());
        second.envs(resume.map(|resume| (RESUME, resume)));
        let said = report_of(&second.output().expect("it starts"));
        assert!(said.contains("another sweep of `journalled` is running"), "{said}");
        assert!(said.contains("--> ") && said.contains("help: "), "{said}");
    }
    std::fs::write(folder.path().join("go"), "").expect("written");
    assert!(first.wait().expect("it ends").success());
    let resumed = journalled(folder.path()).env(RESUME, "1").output().expect("it starts");
    assert!(report_of(&resumed).contains("1 finding"), "the journal is whole: {resumed:?}");
}

#[test]
fn a_process_that_a_killed_sweep_left_behind_does_not_keep_the_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = journalled(folder.path());
    let mut sweep = started(command.env(LEAVES, "1").env(WAITS, "1"), folder.path());
    sweep.kill().expect("it is still running");
    sweep.wait().expect("it was killed");
    let left = std::fs::read_to_string(folder.path().join("left")).expect("a process was left");
    let left: i32 = left.parse().expect("its number");
    let is_there = || {
        // SAFETY: signal 0 is none, it only asks whether the process is there.
        unsafe { libc::kill(left, 0) == 0 }
    };
    assert!(is_there(), "it outlived the sweep");
    let resumed = journalled(folder.path()).env(RESUME, "1").output().expect("it starts");
    assert!(report_of(&resumed).contains("1 finding"), "{resumed:?}");
    assert!(is_there(), "it was there all the time");
}

#[test]
fn a_sweep_that_was_killed_is_resumed_to_the_same_report() {
    let whole = tempfile::tempdir().expect("a folder");
    let expected = report_of(&journalled(whole.path()).output().expect("it starts"));
    assert!(expected.contains("1 finding"), "{expected}");

    let folder = tempfile::tempdir().expect("a folder");
    let mut sweep = started(&mut journalled(folder.path()), folder.path());
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
