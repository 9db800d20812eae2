//! What a program does to its surroundings, and sees of them.

use std::process::Command;

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
    let alone = Command::new(program.file()).env_clear().output().expect("it starts");
    assert_eq!(alone.status.code(), Some(0), "{}", String::from_utf8_lossy(&alone.stdout));
    let report = program.report(&["--no-faults"], &[], 0);
    assert!(!report.contains("exits with status"), "{report}");
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
