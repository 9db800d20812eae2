//! What a program does to its surroundings, and sees of them.

use std::process::{Command, Stdio};

use crate::program::mallory_command;
use crate::workshop::Workshop;

#[test]
fn every_way_of_ending_is_the_programs_end() {
    let program = Workshop::of("exits");
    for how in ["exit", "quick", "at-once", "thread-exit", "thread-quick", "thread-at-once"] {
        let report = program.report(&[], &[how], 1);
        assert!(report.contains("leak L-") && report.contains("✗ 1 finding"), "{how}: {report}");
        assert!(!report.contains("exited") && !report.contains("crashed"), "{how}: {report}");
    }
}

#[test]
fn a_program_sees_nothing_of_who_watches() {
    let program = Workshop::of("sees_nothing");
    let seen =
        || std::fs::read_to_string(program.folder().join("seen.txt")).expect("it was written");
    let mut alone = Command::new(program.file());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MALLORY_")) {
        alone.env_remove(name);
    }
    let ended = alone.current_dir(program.folder()).stdin(Stdio::null()).status();
    assert!(ended.is_ok_and(|status| status.success()));
    let usual = seen();
    program.report(&["--no-faults", "--jobs", "1"], &[], 0);
    assert_eq!(without_high(&seen()), without_high(&usual));
}

/// What a program sees, without the descriptors that are as high as the harness's: they are open, but
/// nobody comes upon them.
fn without_high(seen: &str) -> Vec<&str> {
    let is_high = |line: &&str| {
        let number = line.strip_prefix("open: ").and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number > 900)
    };
    let mut lines: Vec<&str> = seen.lines().filter(|line| !is_high(line)).collect();
    // Whoever starts a program chooses the order of its variables.
    lines.sort_unstable();
    lines
}

#[test]
fn a_program_may_close_every_descriptor() {
    let report = Workshop::of("closes_all").report(&[], &[], 1);
    assert!(report.contains("leak L-") && report.contains("24 bytes"), "{report}");
    assert!(report.contains("2 propagated"), "{report}");
}

#[test]
fn what_a_program_starts_goes_its_own_way() {
    let report = Workshop::of("children").report(&[], &[], 0);
    assert!(report.contains("✓ clean") && report.contains("1 request "), "{report}");
    assert!(!report.contains("exits with status"), "{report}");
}

#[test]
fn threads_are_a_sample_and_one_that_still_runs_loses_nothing() {
    let report = Workshop::of("threads").report(&[], &[], 0);
    assert!(report.contains("✓ sampled"), "{report}");
    assert!(!report.contains("leaks unknown"), "{report}");
}

#[test]
fn each_run_works_in_a_fresh_copy_of_a_folder() {
    let program = Workshop::of("writes_file");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("in"), "text\n").expect("it is written");
    let folder = folder.path().to_string_lossy().into_owned();
    let mut command = mallory_command(program.folder());
    command.args(["exec", "--dir", &folder, "--"]).arg(program.file());
    let output = command.output().expect("it starts");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("✓ clean") && report.contains(" propagated"), "{report}");
    let files = std::fs::read_dir(&folder).expect("the folder").count();
    assert_eq!(files, 1, "the folder itself stays as it is");
}
