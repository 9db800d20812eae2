//! A sweep that is killed leaves no process behind, and ends in the same report when it is resumed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::program::mallory_command;
use crate::workshop::Workshop;

/// How long what must happen may take on a busy machine.
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until this holds.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < WAIT, "{what}");
        std::thread::sleep(PAUSE);
    }
}

/// The processes that run this program, zombies left out.
fn processes(program: &Path) -> usize {
    let all = std::fs::read_dir("/proc").expect("Linux has it").flatten();
    let of = |folder: PathBuf| std::fs::read_link(folder.join("exe")).ok();
    all.filter(|process| of(process.path()).is_some_and(|file| file == program)).count()
}

/// The journal of the sweep of a program of this name.
fn journal(name: &str) -> PathBuf {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_mallory"));
    let is_target = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    let target = own.ancestors().find(is_target).expect("cargo has built it");
    target.join("mallory").join(format!("{name}.journal"))
}

#[test]
fn a_killed_sweep_leaves_no_process_and_is_resumed_to_the_same_bytes() {
    let program = Workshop::of("takes_its_time");
    let whole = program.report(&["--jobs", "2"], &[], 1);
    let journal = journal("takes_its_time");
    std::fs::remove_file(&journal).expect("that sweep has left one");
    let file = program.file().canonicalize().expect("it is there");
    let mut sweep = mallory_command(program.folder())
        .args(["exec", "--jobs", "2", "--", "./takes_its_time"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let lines = || std::fs::read_to_string(&journal).unwrap_or_default().lines().count();
    wait_until("points are written down", || lines() > 20);
    assert_ne!(processes(&file), 0);
    sweep.kill().expect("it was running");
    sweep.wait().expect("it has ended");
    wait_until("no process is left", || processes(&file) == 0);
    let done = lines();
    assert!(done > 20, "the journal has {done} lines");

    let resumed = program.report(&["--jobs", "2", "--resume"], &[], 1);
    assert_eq!(resumed, whole);
}
