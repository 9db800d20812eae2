//! Shelves with planted bugs: a property test finds each one and shrinks it to its committed case.

use std::path::Path;

use mallory::proptest::property;
use mallory::script::Script;
use mallory_scenarios::planted::shelf::{
    Aborts, Bug, Forgets, Leaks, Mistakes, Op, Overruns, Panics, Shelf, Shortens, Swallows,
};

/// Finds a shelf's bug, and shrinks it to the committed case.
fn finds<F: Bug>(operations: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let report = property::<Shelf<F>>().cases(4000).cases_in(folder.path()).run();
    let [finding] = report.findings() else { panic!("one finding: {report}") };
    assert_eq!(Some(finding.kind()), F::KIND, "{report}");
    // A property test has no command line: the case is replayed as a test.
    let (runner, id) =
        (std::env::var_os("NEXTEST").map_or("test", |_| "nextest run"), finding.id());
    let again = |line: &str| {
        line.trim().starts_with(&format!("replay  cargo {runner} "))
            && line.ends_with(&format!(" {id}"))
    };
    assert!(report.to_string().lines().any(again), "{report}");
    let name = format!("{}.ron", finding.id());
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}: {report}"));
        Script::<Op>::read(&text, &name).expect("a case")
    };
    let mut found = read(&folder.path().join(&name));
    let named = found.threads[0].iter().map(|op| format!("{op:?}"));
    let named: Vec<String> = named.map(|op| op.split(' ').next().unwrap_or("").into()).collect();
    assert_eq!(named, operations, "{report}");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut committed = read(&cases.join(&name));
    assert!(committed.expect.reproduces, "a planted bug stays");
    committed.expect.reproduces = false;
    // It may name a line of the source, which changes.
    found.about.clone_from(&committed.about);
    assert_eq!(found, committed, "{report}");
}

#[test]
fn each_planted_bug_shrinks_to_its_case() {
    finds::<Leaks>(&["Put", "Put", "Join"]);
    finds::<Forgets>(&["Put", "Put", "Join"]);
    finds::<Shortens>(&["Put"]);
    finds::<Mistakes>(&["Put", "Put", "Join"]);
    finds::<Panics>(&["Put", "Put", "Join"]);
    // The damaged block is freed by `Take`, whose call site is part of the finding.
    finds::<Overruns>(&["Put", "Put", "Join", "Take"]);
    finds::<Swallows>(&["Put", "Join"]);
}

#[test]
fn one_that_kills_its_process_is_a_case_as_well() {
    finds::<Aborts>(&["Put", "Put", "Join"]);
}
