//! Programs that don't end, write too much, or do something else each time: each has a clear answer, and
//! soon.

use std::fs;

use crate::workshop::Workshop;

#[test]
fn a_program_that_never_ends_is_stopped_and_help_is_given() {
    let program = Workshop::of("never_ends");
    for how in ["waits", "computes"] {
        let report = program.report(&["--timeout", "1"], &[how], 1);
        assert!(report.contains("no-progress H-") && report.contains("hung  main"), "{report}");
        assert!(report.contains("give it a task that ends"), "{report}");
        assert!(report.contains("--timeout SECONDS"), "{report}");
    }
}

#[test]
fn a_program_that_asks_without_end_is_stopped() {
    let said = Workshop::of("never_ends").mistake(&[], &["asks"]);
    assert!(said.contains("it makes more than 5,000,000 requests"), "{said}");
    assert!(said.contains("\nhelp: give it a task that ends"), "{said}");
}

#[test]
fn a_program_that_floods_its_output_is_stopped() {
    let program = Workshop::of("never_ends");
    for how in ["floods", "ignores"] {
        let said = program.mistake(&[], &[how]);
        assert!(said.contains("writes more than 32 MiB"), "{said}");
        assert!(said.contains("\nhelp: ") && said.contains("--max-output MIB"), "{said}");
        let said = program.mistake(&["--max-output", "2"], &[how]);
        assert!(said.contains("writes more than 2 MiB"), "{said}");
    }
}

#[test]
fn a_flood_after_a_refused_request_is_a_finding() {
    let report = Workshop::of("floods_when_refused").report(&["--max-output", "1"], &[], 1);
    assert!(report.contains("no-progress H-"), "{report}");
    assert!(report.contains("it wrote a file beyond the limit (--max-output)"), "{report}");
}

#[test]
fn a_result_that_differs_each_time_is_not_compared_and_never_clean() {
    let report = Workshop::of("differs").report(&[], &["process"], 3);
    assert!(report.contains("… incomplete"), "{report}");
    assert!(report.contains("differs in line 2 of standard output, after `process`"), "{report}");
    assert_eq!(Workshop::of("differs").report(&[], &["process"], 3), report, "the next time");
}

#[test]
fn a_program_that_prints_the_time_has_a_fixed_clock() {
    let program = Workshop::of("differs");
    for how in ["nanoseconds", "status"] {
        let report = program.report(&[], &[how], 0);
        assert!(report.contains("✓ clean"), "{report}");
        assert!(report.contains("made with a fixed clock"), "{report}");
    }
}

#[test]
fn a_program_whose_requests_depend_on_the_second_has_a_fixed_clock() {
    let report = Workshop::of("seeded_by_time").report(&[], &[], 0);
    assert!(report.contains("✓ clean") && report.contains("made with a fixed clock"), "{report}");
}

#[test]
fn a_signal_that_a_program_sends_itself_is_its_end() {
    let program = Workshop::of("kills_itself");
    for signal in ["KILL", "TERM"] {
        let report = program.report(&[], &[signal], 1);
        assert!(report.contains(&format!("it died of SIG{signal}")), "{report}");
        assert!(report.contains("no faulted run was made"), "{report}");
    }
}

#[test]
fn standard_input_is_the_file_that_is_named_in_whatever_folder_the_program_is() {
    let program = Workshop::of("reads");
    fs::write(program.folder().join("input"), "0123456789".repeat(900)).expect("written");
    let read = program.report(&["--stdin", "input"], &[], 0);
    assert!(read.contains("✓ clean"), "{read}");
    let empty = program.report(&[], &[], 0);
    assert_ne!(read, empty, "without the option there is nothing to read");
    let said = program.mistake(&["--stdin", "nothing"], &[]);
    assert!(said.contains("there is no such file"), "{said}");
}

#[test]
fn a_program_that_becomes_another_one_is_told_so() {
    let program = Workshop::of("becomes");
    for (how, other) in [("execl", "/bin/echo"), ("execlp", "echo"), ("execle", "/usr/bin/env")] {
        let report = program.report(&[], &[how], 1);
        assert!(report.contains("it became another program (exec)"), "{report}");
        assert!(report.contains(&format!("mallory exec -- {other}\n")), "{report}");
    }
    let report = program.report(&[], &["missing"], 0);
    assert!(report.contains("✓ clean"), "one that isn't there changes nothing: {report}");
}

#[test]
fn what_is_left_on_the_stack_is_the_same_each_time() {
    let report = Workshop::of("unset").report(&[], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
    let printed = |program: &Workshop| {
        let report = program.report(&["--compare-with", "sh -c 'cat $1 > kept; true' sh"], &[], 0);
        assert!(report.contains("✓ clean"), "{report}");
        fs::read_to_string(program.folder().join("kept")).expect("the judge has kept it")
    };
    assert_eq!(printed(&Workshop::of("unset")), printed(&Workshop::of("unset")));
}
