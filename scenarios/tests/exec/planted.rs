//! Each planted bug is found as what it is, and no near miss of one.

use crate::program::{is_as_reviewed_but_for, mallory_command};
use crate::workshop::Workshop;

/// Compares the report of a program with the reviewed one.
fn is_as_reviewed(name: &str, options: &[&str]) {
    let program = Workshop::of(name);
    let report = program.report(options, &[], 1);
    // What the C++ library has inside differs by its version.
    let inside =
        [(r"libstdc\+\+\.so\.6\+0x[0-9a-f]+", "libstdc++.so.6+0xNN"), ("bits/.*", "bits/…")];
    is_as_reviewed_but_for(&inside, &format!("exec-{}", name.replace('_', "-")), &report);
    assert_eq!(program.report(&[options, &["--jobs", "1"]].concat(), &[], 1), report, "{name}");
}

macro_rules! bugs {
    ($($name:ident $(($($option:literal),*))?;)*) => {$(
        #[test]
        fn $name() {
            is_as_reviewed(stringify!($name), &[$($($option),*)?]);
        }
    )*};
}

bugs! {
    leak;
    double_free;
    invalid_free;
    overflow;
    underflow;
    use_after_free;
    silent_wrong;
    crash;
    null_call;
    own_handler;
    recursion;
    uncaught;
    assertion;
    retries;
    endless ("--timeout", "1");
    degraded ("--strict");
    stray_reads ("--guard");
}

#[test]
fn a_strict_programs_handler_follows_ours() {
    // In such a program `signal` is another function of the C library's.
    let strict = ["-std=c99", "-D_XOPEN_SOURCE=700"];
    let report = Workshop::built("own_handler", &strict).report(&[], &[], 1);
    assert!(report.contains("died  main  exec/own_handler.c:14"), "{report}");
}

#[test]
fn near_misses_are_clean() {
    for name in ["leak_near_miss", "double_free_near_miss", "overflow_near_miss", "degraded"] {
        let report = Workshop::of(name).report(&[], &[], 0);
        assert!(report.contains("✓ clean"), "{report}");
    }
}

#[test]
fn guarded_memory_shows_no_near_miss() {
    let report = Workshop::of("stray_reads_near_miss").report(&["--guard"], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
    // Without guards a stray read is not seen: that is what they are for.
    let report = Workshop::of("stray_reads").report(&[], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
}

#[test]
fn a_finding_on_guarded_memory_replays() {
    let report = Workshop::of("stray_reads").report(&["--guard"], &[], 1);
    let line = report.lines().find(|line| line.contains("replay") && line.contains("f=T0#"));
    let line = line.expect("one needs a fault");
    assert!(line.contains("mallory exec --guard --replay"), "{line}");
    let token = line.split('\'').nth(1).expect("a token");
    let again = Workshop::of("stray_reads").report(&["--guard", "--replay", token], &[], 1);
    assert!(again.contains(" reproduced") && again.contains("heap-buffer-underflow"), "{again}");
}

#[test]
fn a_command_judges_whether_results_mean_the_same() {
    let program = Workshop::of("less_exact");
    let report = program.report(&[], &[], 1);
    assert!(report.contains("silent-wrong"), "{report}");
    let judged = program.report(&["--compare-with", "diff -b"], &[], 0);
    assert!(judged.contains("4 absorbed"), "{judged}");
    // One that takes nothing for equal is no judge.
    let said = program.mistake(&["--compare-with", "false"], &[]);
    assert!(said.contains("`false` doesn't take the result for equal to itself"), "{said}");
}

#[test]
fn a_finding_replays_in_another_folder() {
    let first = Workshop::of("leak").json(&[], 1);
    let finding = &first["findings"][0];
    let token = finding["replay"].as_str().expect("a finding has a token");
    let again = Workshop::of("leak").report(&["--replay", token], &[], 1);
    assert!(again.lines().next().is_some_and(|row| row.ends_with(" reproduced")), "{again}");
    assert!(again.contains(finding["id"].as_str().expect("an id")), "{again}");
}

#[test]
fn a_finding_replays_in_a_folder_with_a_longer_path() {
    let program = Workshop::of("keeps_folder");
    let found = program.json(&[], 1);
    let token = found["findings"][0]["replay"].as_str().expect("a finding has a token");
    let longer = program.folder().join("longer");
    std::fs::create_dir(&longer).expect("a folder");
    let mut command = mallory_command(&longer);
    let output = command.args(["exec", "--replay", token, "--", "../keeps_folder"]).output();
    let report = String::from_utf8(output.expect("it starts").stdout).expect("reports are text");
    assert!(report.lines().next().is_some_and(|row| row.ends_with(" reproduced")), "{report}");
}

#[test]
fn without_faults_only_what_shows_by_itself_is_reported() {
    let report = Workshop::of("leak").report(&["--no-faults"], &[], 0);
    assert!(report.contains("nothing was made to fail"), "{report}");
    let report = Workshop::of("exits").report(&["--no-faults"], &[], 1);
    assert!(report.contains("seen without any fault"), "{report}");
}

#[test]
fn a_lost_list_is_one_finding() {
    // How many of its nodes a stale word on the stack still leads to depends on the compiler.
    let report = Workshop::of("leak_list").report(&[], &[], 1);
    assert!(report.contains("✗ 1 finding") && report.contains("leak L-"), "{report}");
}
