//! What goes wrong easily where a library takes the place of `malloc` in programs that were never built
//! for it: the functions that give memory out, what happens before `main` and after it, threads and forks,
//! thread-locals, and what the C library does by itself.

use std::fs;

use serde_json::Value;

use crate::workshop::Workshop;

/// The report of this program, which must be clean.
fn clean(name: &str) -> String {
    let report = Workshop::of(name).report(&[], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
    report
}

/// How many requests a report's first line counts.
fn requests(report: &str) -> &str {
    let words: Vec<&str> = report.lines().next().unwrap_or_default().split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with("request"));
    at.map_or("", |at| words[at - 1])
}

fn kinds(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("a report has findings");
    let mut kinds: Vec<&str> =
        findings.iter().filter_map(|finding| finding["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn every_function_of_the_family_keeps_its_contract_also_where_it_is_refused() {
    // The requests that no machine can serve are none that can be made to fail.
    assert_eq!(requests(&clean("family")), "14");
}

#[test]
fn a_request_through_the_c_library_counts_once() {
    let program = Workshop::of("library_requests");
    let runs = |function: &str| {
        program.json(&["--only", function], 0)["coverage"]["runs"].as_u64().expect("a number")
    };
    for function in ["by_strdup", "by_strndup", "by_array", "by_line"] {
        assert_eq!(runs(function), 2, "{function}: once alone, and once with all that follow");
    }
    // Older versions ask for a buffer and shorten it.
    assert!((2..=4).contains(&runs("by_print")));
}

#[test]
fn a_free_that_says_the_size_of_a_block_is_checked() {
    let program = Workshop::of("sized_free");
    assert_eq!(requests(&program.report(&[], &[], 0)), "2");
    let report = program.report(&[], &["wrong"], 1);
    assert!(report.contains("layout-mismatch M-") && report.contains("given 16"), "{report}");
}

#[test]
fn each_form_of_new_and_malloc_has_its_own_way_of_freeing() {
    let report = Workshop::of("mismatched_free").json(&[], 1);
    let mismatched = ["layout-mismatch", "mismatched-free", "mismatched-free", "mismatched-free"];
    assert_eq!(kinds(&report), mismatched, "{report}");
    let report = clean("mismatched_free_near_miss");
    // One for each block: what the C++ library asks for by `malloc` to serve `new` isn't another one.
    assert_eq!(requests(&report), "14");
}

#[test]
fn a_refused_new_calls_the_programs_handler_before_it_throws() {
    let report = clean("new_handler");
    assert!(report.contains("absorbed"), "the reserve serves the request: {report}");
}

#[test]
fn a_program_may_bring_a_new_of_its_own() {
    // Only the buffer of its output is a request.
    assert_eq!(requests(&clean("own_new")), "1");
}

#[test]
fn a_lookup_of_a_name_that_is_missing_asks_for_memory_and_ends() {
    clean("dl_error");
}

#[test]
fn what_was_requested_before_main_is_neither_counted_nor_checked() {
    assert_eq!(requests(&clean("before_main")), "1");
}

#[test]
fn libraries_that_the_user_preloads_are_there_and_begin_before_the_sweep() {
    let program = Workshop::of("before_main");
    program.add_library("plugin");
    let preload = ["--env", "LD_PRELOAD=./libplugin.so"];
    let report = program.report(&preload, &[], 0);
    // Its constructor and its destructor make no request of the program's.
    assert!(report.contains("✓ clean") && requests(&report) == "1", "{report}");
    let program = Workshop::of("sees_nothing");
    program.add_library("plugin");
    program.report(&[&preload[..], &["--no-faults", "--jobs", "1"]].concat(), &[], 0);
    let seen = fs::read_to_string(program.folder().join("seen.txt")).expect("it was written");
    assert!(seen.lines().any(|line| line == "LD_PRELOAD=./libplugin.so"), "{seen}");
}

#[test]
fn exit_handlers_are_part_of_a_run_and_may_ask_for_memory() {
    let report = Workshop::of("at_exit").report(&[], &[], 1);
    assert!(report.contains("✗ 1 finding") && report.contains("died  give_back"), "{report}");
    // Of which one is for the C library's list of the handlers.
    assert_eq!(requests(&report), "81");
}

#[test]
fn destructors_of_statics_are_part_of_a_run() {
    let program = Workshop::of("ends_late");
    let report = program.report(&["--compare", "words.txt"], &[], 1);
    assert!(report.contains("silent-wrong S-") && report.contains("\n  - hello\n"), "{report}");
    let report = program.report(&[], &["stream"], 1);
    assert!(report.contains("silent-wrong S-") && report.contains("\n  - hello\n"), "{report}");
    let report = program.report(&[], &["leaves"], 0);
    assert!(report.contains("✓ clean"), "what a static led to was not lost: {report}");
}

#[test]
fn blocks_of_a_library_are_freed_as_it_is_unloaded() {
    let report = Workshop::with_library("plugin").report(&[], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
    assert!(!report.contains("the C library's own"), "{report}");
}

#[test]
fn a_library_that_prefers_its_own_libraries_shares_the_heap() {
    let report = Workshop::with_library("deep_bind").report(&[], &[], 0);
    assert!(report.contains("✓ clean"), "{report}");
}

#[test]
fn what_only_an_unusual_place_leads_to_is_no_leak() {
    let program = Workshop::of("reached");
    for place in ["key", "late-key", "mapping", "break", "array", "middle", "stack", "local"] {
        let report = program.report(&[], &[place], 0);
        assert!(report.contains("✓ clean") || report.contains("✓ sampled"), "{place}: {report}");
    }
    assert!(program.report(&[], &["nothing"], 1).contains("leak L-"));
}

#[test]
fn threads_are_numbered_as_they_were_started() {
    let program = Workshop::of("thread_order");
    let report = program.report(&[], &[], 1);
    assert!(report.contains("✗ 1 finding") && report.contains("lost when T2#2 fails"), "{report}");
    assert_eq!(program.report(&["--jobs", "1"], &[], 1), report);
}

#[test]
fn a_thread_that_the_c_library_has_no_memory_for_is_an_error_of_the_call() {
    let report = Workshop::of("no_thread").report(&[], &[], 0);
    assert_eq!(requests(&report), "1", "{report}");
    assert!(report.contains("2 propagated"), "{report}");
}

#[test]
fn destructors_of_threads_are_part_of_a_run() {
    let report = Workshop::of("thread_ends").report(&[], &[], 1);
    assert!(report.contains("✗ 1 finding") && report.contains("died  end"), "{report}");
    let (program, c_library) = report.split_once("the C library's own").expect("listed apart");
    assert!(!program.contains("abort") && c_library.contains("register TLS destructor"));
}

#[test]
fn a_thread_that_was_started_before_main_is_not_passed_over_in_silence() {
    let report = Workshop::of("early_thread").report(&[], &[], 3);
    assert!(report.contains("… incomplete"), "{report}");
    assert!(report.contains("a thread that was started before `main`"), "{report}");
}

#[test]
fn a_child_that_a_program_with_threads_forks_may_ask_for_memory() {
    let report = Workshop::of("fork_in_threads").report(&["--limit", "20"], &[], 0);
    assert!(report.contains("✓ sampled") && requests(&report) == "4,002", "{report}");
}

#[test]
fn programs_that_are_started_by_any_way_are_left_alone() {
    let report = clean("starts");
    // The block between them, and those of `popen` and of the shell's words.
    assert!(report.contains("propagated"), "{report}");
    assert!(!report.contains("exits with status"), "{report}");
}

#[test]
fn thread_locals_of_libraries_that_are_loaded_later_are_not_mixed_up() {
    let program = Workshop::of("late_tls");
    program.add_library("late_tls");
    let library = program.folder().join("liblate_tls.so");
    // The table of a thread has room for some, and is then resized by requests.
    let copies: Vec<String> = (0..32).map(|n| format!("./{n}.so")).collect();
    for copy in &copies {
        fs::copy(&library, program.folder().join(copy)).expect("copied");
    }
    let words: Vec<&str> = copies.iter().map(String::as_str).collect();
    let report = program.report(&["--limit", "20"], &words, 0);
    let (program, c_library) = report.split_once("the C library's own").expect("listed apart");
    assert!(program.contains("✓ sampled"), "{report}");
    assert!(c_library.contains("ended the process with exit code 127"), "{report}");
}

#[test]
fn what_the_c_library_does_wrong_inside_of_a_call_is_its_own() {
    for name in ["user_database", "regular"] {
        let program = Workshop::of(name);
        let report = program.report(&[], &[], 0);
        assert!(report.contains("✓ clean"), "{report}");
        // What there is depends on its version.
        let has_any = program.exec(&["--libc"], &[]).status.code() == Some(1);
        assert_eq!(report.contains("the C library's own"), has_any, "{report}");
    }
}

#[test]
fn every_run_sees_the_same_surroundings() {
    let program = Workshop::of("surroundings");
    let report = program.report(&["--jobs", "2"], &["one", "two words"], 0);
    assert!(report.contains("✓ clean") && report.contains("2 absorbed"), "{report}");
}

#[test]
fn random_numbers_are_the_same_in_every_run() {
    let report = clean("random");
    assert!(!report.contains("fixed clock") && report.contains("2 absorbed"), "{report}");
}

#[test]
fn call_stacks_differ_without_frame_pointers() {
    for flags in [&[][..], &["-O2", "-fomit-frame-pointer"]] {
        let program = Workshop::built("call_paths", flags);
        let report = program.report(&["--per-site", "1"], &[], 1);
        assert!(report.contains("  3 sites        6 runs"), "{flags:?}: {report}");
        assert!(report.contains("died  unchecked"), "{flags:?}: {report}");
    }
}

#[test]
fn new_call_stacks_come_first_under_a_limit_and_last_requests_are_among_few() {
    let program = Workshop::of("starts_up");
    let report = program.report(&["--limit", "3"], &[], 1);
    assert!(report.contains("3 runs of 402") && report.contains("T0#201 fails"), "{report}");
    let report = program.report(&["--per-site", "2", "--limit", "4"], &["last"], 1);
    assert!(report.contains("T0#200 fails"), "{report}");
}

#[test]
fn a_crash_that_the_programs_handler_turns_into_something_else_is_one() {
    let program = Workshop::of("handles");
    for (how, kind, outcome) in [
        ("aborts", "abort A-", "2 aborted"),
        ("jumps", "crash Z-", "2 crashed"),
        ("fails", "crash Z-", "2 crashed"),
    ] {
        let report = program.report(&[], &[how], 1);
        assert!(report.contains(kind) && report.contains(outcome), "{how}: {report}");
        // The place is that of the access, and not the handler's.
        assert!(report.contains("died  main"), "{how}: {report}");
    }
    // It ends as it usually does.
    let report = program.report(&[], &["succeeds"], 0);
    assert!(report.contains("2 absorbed"), "{report}");
}

#[test]
fn a_program_that_fails_in_any_case_proves_little() {
    let report = clean("fails");
    assert!(report.contains("exits with status 3 without any fault"), "{report}");
    assert!(report.contains("proves little"), "{report}");
}

#[test]
fn a_program_for_another_c_library_is_refused() {
    for (loader, what) in [
        ("/lib/ld-musl-x86_64.so.1", "the program's C library is musl"),
        ("/lib/ld-uclibc.so.0", "not glibc's"),
        ("/no/such/ld-linux-x86-64.so.2", "the program's loader is missing"),
    ] {
        let program = Workshop::built("fails", &[&format!("-Wl,--dynamic-linker={loader}")]);
        let said = program.mistake(&[], &[]);
        assert!(said.contains(what) && said.contains("\nhelp: "), "{said}");
    }
}
