//! Which requests are made to fail: those that the user names, and those of the C library's own.

use serde_json::Value;

use crate::workshop::Workshop;

fn runs(report: &Value) -> u64 {
    report["coverage"]["runs"].as_u64().expect("a report counts runs")
}

#[test]
fn a_name_of_a_function_or_a_module_chooses_requests() {
    let program = Workshop::of("first");
    for (options, chosen, note) in [
        (&["--only", "pair"][..], 4, "--only leaves out 1 of 3 requests"),
        (&["--skip", "pair"], 2, "--skip leaves out 2 of 3 requests"),
        (
            &["--only", "pair", "--skip", "libc.so"],
            4,
            "--only and --skip leave out 1 of 3 requests",
        ),
        (&["--only", "libc.so"], 2, "--only leaves out 2 of 3 requests"),
    ] {
        let code = i32::from(chosen == 4);
        assert_eq!(runs(&program.json(options, code)), chosen, "{options:?}");
        let report = program.report(options, &[], code);
        assert!(report.contains(note), "{report}");
    }
    // A module is part of each call site in it.
    assert_eq!(runs(&program.json(&["--only", "first"], 1)), 6);
}

#[test]
fn a_name_that_no_call_site_has_is_a_mistake() {
    let program = Workshop::of("first");
    let said = program.mistake(&["--only", "pairs"], &[]);
    assert!(said.contains("named `pairs`") && said.contains("\n  --> --only\n"), "{said}");
    assert!(said.contains("did you mean `pair`"), "{said}");
    let said = program.mistake(&["--skip", "main"], &[]);
    assert!(said.contains("leave no request to fail"), "{said}");
}

#[test]
fn what_the_c_library_does_wrong_is_no_finding_of_the_program() {
    let program = Workshop::of("c_library");
    let report = program.report(&[], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
    assert!(report.contains("the C library's own, and no finding of the program:\n"), "{report}");
    assert!(report.contains("all in one call of the C library's"), "{report}");
    let counted = program.report(&["--libc"], &[], 1);
    assert!(counted.contains("✗ 1 finding"), "{counted}");
    assert!(!counted.contains("no finding of the program"), "{counted}");
}

#[test]
fn what_the_program_passes_on_to_the_c_library_is_its_own_bug() {
    let report = Workshop::of("c_library").report(&[], &["reads"], 1);
    assert!(report.contains("crash Z-") && !report.contains("the C library's own"), "{report}");
}

#[test]
fn a_number_of_requests_is_chosen_of_each_call_stack() {
    // 120 requests of one call stack, and one of another.
    let program = Workshop::of("takes_its_time");
    assert_eq!(runs(&program.json(&["--per-site", "1"], 1)), 4);
    assert_eq!(runs(&program.json(&["--per-site", "3"], 1)), 8);
}
