//! What a sweep of tests shows, by `cargo test`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::workshop::{Printed, Workshop, row};

#[test]
fn each_test_shows_what_it_is_and_the_bytes_are_equal_for_any_jobs() {
    let workshop = Workshop::new();
    let out = workshop.printed(&["test", "--jobs", "1"], 1);
    for (test, expected) in [
        ("tests::clean", "✓ clean 3 requests 1 site 6 runs"),
        ("tests::propagates", "✓ clean 1 request 1 site 2 runs"),
        ("tests::aborts", "✗ 1 abort 1 request 1 site 2 runs"),
        ("tests::leaks", "✗ 1 finding 2 requests 1 site 4 runs"),
        ("tests::try_copy_breaks_its_promise", "✗ 1 finding 1 request 1 site 2 runs"),
        ("tests::gives_up_after_a_promise_was_kept", "✗ 1 abort 1 request 1 site 2 runs"),
        ("tests::try_to_format", "✗ 1 abort 1 request 1 site 2 runs"),
        // A thread's start is not the test's request, what the thread asks for is.
        ("tests::starts_threads", "✓ clean 2 requests 1 site 4 runs"),
        ("tests::prints", "✓ clean 1 request 1 site 2 runs"),
        ("tests::asks_for_nothing", "✓ clean 0 requests 0 sites 0 runs"),
        ("tests::sees_nothing", "✓ clean 0 requests 0 sites 0 runs"),
        ("tests::panics", "✓ clean 0 requests 0 sites 0 runs"),
        ("tests::ignored", "- ignored"),
    ] {
        assert_eq!(row(&out, test), expected, "{out}");
    }
    // What has to be looked into comes before what is only counted.
    let at = |text: &str| out.find(text).unwrap_or_else(|| panic!("no `{text}` in\n{out}"));
    assert!(at("\nleak L-") < at("\nabort A-"), "{out}");
    assert!(at("\nabort A-") < at("\naborts for want of memory"), "{out}");
    assert!(out.contains("lost when T1#") && out.contains("fixture::buffers"), "{out}");
    assert!(out.contains("2 findings, and aborts in "), "{out}");
    assert!(out.contains("1 doctest ran without a fault: doctests are not swept"), "{out}");
    assert_eq!(out, workshop.printed(&["test", "--jobs", "2"], 1));
}

#[test]
fn without_faults_only_what_is_wrong_by_itself_shows() {
    let workshop = Workshop::new();
    let out = workshop.printed(&["test", "--no-faults"], 0);
    assert!(out.contains("0 findings\n"), "{out}");
    let out = workshop.printed(&["test", "--features", "losing", "--no-faults"], 1);
    assert_eq!(row(&out, "tests::loses"), "✗ 1 finding 1 request 1 site 0 runs");
    assert!(out.contains("seen without any fault") && out.contains("tests::loses"), "{out}");
}

#[test]
fn a_finding_is_replayed_by_the_line_that_it_prints() {
    let workshop = Workshop::new();
    let out = workshop.printed(&["test", "--lib", "--", "tests::leaks"], 1);
    let line = out.lines().find_map(|line| line.trim().strip_prefix("replay  cargo mallory "));
    let line = line.unwrap_or_else(|| panic!("{out}"));
    let (before, token) = line.split_once(" '").expect("a token in quotes");
    let (token, behind) = token.split_once('\'').expect("it ends");
    assert_eq!((before, behind), ("test --lib --replay", " -- tests::leaks"));
    let out = workshop.printed(&["test", "--replay", token], 1);
    assert!(out.contains(" reproduced\n") && out.contains("leak L-"), "{out}");
}

#[test]
fn a_line_of_json_for_each_test_and_one_for_all() {
    let workshop = Workshop::new();
    let words = ["test", "--format", "json", "--limit", "1", "--seed", "7", "--", "leaks", "clean"];
    let out = workshop.printed(&words, 0);
    let lines: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let [clean, leaks, all] = &lines[..] else { panic!("{out}") };
    assert_eq!((&clean["test"], &clean["result"]), (&"tests::clean".into(), &"swept".into()));
    assert_eq!(clean["report"]["coverage"]["runs"], 1);
    assert_eq!(leaks["report"]["seed"], 7);
    assert_eq!((&all["tests"], &all["runs"], &all["exit_code"]), (&2.into(), &2.into(), &0.into()));
}

#[test]
fn junit_has_a_case_for_each_test() {
    let workshop = Workshop::new();
    workshop.printed(&["test", "--junit", "out.xml", "--", "leaks", "clean", "ignored"], 1);
    let text = std::fs::read_to_string(workshop.folder().join("out.xml")).expect("written");
    for expected in [
        "<testsuite name=\"fixture\" tests=\"3\" disabled=\"1\" errors=\"0\" failures=\"1\">",
        "<testcase name=\"tests::clean\" classname=\"fixture\"/>",
        "type=\"leak\">leak L-",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn the_compiler_is_not_watched() {
    let workshop = Workshop::new();
    let wrapper = workshop.folder().join("wrapper");
    let text = "#!/bin/sh\ntest -z \"$LD_PRELOAD\" || exit 77\necho >> \"$0.calls\"\nexec \"$@\"\n";
    std::fs::write(&wrapper, text).expect("written");
    std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = workshop.command(&["test", "--", "clean"]);
    let printed = Printed::of(command.env("RUSTC_WRAPPER", &wrapper).output().expect("it starts"));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(row(&printed.out, "tests::clean"), "✓ clean 3 requests 1 site 6 runs");
    assert!(workshop.folder().join("wrapper.calls").exists(), "cargo called the wrapper");
}

#[test]
fn an_allocator_that_counts_changes_nothing() {
    let workshop = Workshop::new();
    let out = workshop.printed(&["test", "--features", "counting", "--", "clean", "prints"], 0);
    assert_eq!(row(&out, "tests::clean"), "✓ clean 3 requests 1 site 6 runs");
    assert_eq!(row(&out, "tests::prints"), "✓ clean 1 request 1 site 2 runs");
}

#[test]
fn what_cannot_be_watched_is_never_clean() {
    let workshop = Workshop::new();
    let out = workshop.printed(&["test", "--features", "known", "--", "clean"], 3);
    let expected = "fixture  … not watched: its allocator is mimalloc, whose blocks";
    assert!(out.contains(expected) && !out.contains("✓"), "{out}");
    let out = workshop.printed(&["test", "--features", "hiding", "--", "clean"], 3);
    assert!(out.contains("not watched: its requests don't reach the C library"), "{out}");
}
