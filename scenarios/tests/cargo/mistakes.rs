//! Mistakes of the caller's: each is an error that says what to do.

use crate::workshop::{Workshop, row};

fn fails(workshop: &Workshop, words: &[&str], expected: &[&str]) {
    let printed = workshop.run(words);
    assert_eq!(printed.code, Some(2), "{words:?}: {printed:?}");
    for text in expected {
        assert!(printed.err.contains(text), "{words:?}: no `{text}` in\n{}", printed.err);
    }
}

#[test]
fn a_test_that_fails_without_a_fault() {
    let workshop = Workshop::new();
    let words = ["test", "--features", "failing", "--", "fails", "clean"];
    let expected =
        ["the test fails without any fault", "what it says", "left: 1", "help: make it pass"];
    fails(&workshop, &words, &expected);
    let out = workshop.run(&words).out;
    assert_eq!(row(&out, "tests::fails"), "! error");
    assert_eq!(row(&out, "tests::clean"), "✓ clean 3 requests 1 site 6 runs");
}

#[test]
fn no_test_is_selected() {
    let workshop = Workshop::new();
    fails(&workshop, &["test", "--", "no_such_test"], &["error: no test was selected", "help:"]);
    fails(&workshop, &["test", "--", "ignored"], &["all that match are ignored"]);
}

#[test]
fn words_that_are_wrong() {
    let workshop = Workshop::new();
    fails(&workshop, &["tset"], &["error: ", "help: did you mean `test`?"]);
    fails(&workshop, &["test", "--limit", "0"], &["--limit"]);
    fails(&workshop, &["test", "--replay", "v9"], &["--replay"]);
    let token = "v1 fixture/tests/gone fp=000001";
    fails(&workshop, &["test", "--replay", token], &["no test is named as in the token"]);
    fails(&workshop, &["test", "--no-such-flag"], &["`cargo test` ended with exit status 1"]);
    fails(&workshop, &["test", "--", "--no-such-flag"], &["doesn't list its tests"]);
    let help = workshop.printed(&["--help"], 0);
    assert!(help.contains("EXAMPLES:") && help.contains("cargo mallory nextest"), "{help}");
}

#[test]
fn no_crate() {
    let workshop = Workshop::new();
    std::fs::remove_file(workshop.folder().join("Cargo.toml")).expect("removed");
    fails(&workshop, &["test"], &["could not find `Cargo.toml`", "help: go into the folder"]);
}

#[test]
fn a_crate_that_does_not_build() {
    let workshop = Workshop::new();
    std::fs::write(workshop.folder().join("src/lib.rs"), "fn wrong(").expect("written");
    fails(&workshop, &["test"], &["before any test ran", "it has to build"]);
}
