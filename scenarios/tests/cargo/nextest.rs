//! The same by `cargo nextest run`, whose runners work at the same time.

use std::process::Command;

use crate::workshop::{Workshop, row};

/// Whether nextest is installed here.
fn has_nextest() -> bool {
    let output = Command::new("cargo").args(["nextest", "--version"]).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn nextest_shows_the_same() {
    if !has_nextest() {
        return;
    }
    let workshop = Workshop::new();
    let printed = workshop.run(&["nextest", "--", "clean", "leaks", "aborts", "prints"]);
    let (out, err) = (&printed.out, &printed.err);
    assert_eq!(printed.code, Some(1), "{out}\n{err}");
    assert_eq!(row(out, "tests::clean"), "✓ clean 3 requests 1 site 6 runs");
    assert_eq!(row(out, "tests::leaks"), "✗ 1 finding 2 requests 1 site 4 runs");
    assert_eq!(row(out, "tests::aborts"), "✗ 1 abort 1 request 1 site 2 runs");
    assert_eq!(row(out, "tests::prints"), "✓ clean 1 request 1 site 2 runs");
    // To nextest a test fails that has to be looked into, and its output is the report.
    assert!(err.contains("FAIL") && err.contains("leak L-"), "{err}");
    assert!(err.contains("3 passed"), "{err}");
    let again = workshop.run(&["nextest", "-j1", "--", "clean", "leaks", "aborts", "prints"]);
    let without_replay = |out: &str| {
        let lines = out.lines().filter(|line| !line.contains("replay  "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_replay(out), without_replay(&again.out));
    assert!(again.out.contains("replay  cargo mallory nextest -j1 --replay"), "{}", again.out);
    let printed = workshop.run(&["nextest", "--", "no_such_test"]);
    assert_eq!(printed.code, Some(2), "{}", printed.err);
    assert!(printed.err.contains("error: no test was selected"), "{}", printed.err);
}
