//! The examples of the README: each is a file that is compiled and run exactly as the README prints it,
//! and the finding that it shows is what its code really gives.

mod allocator;
mod existing;
mod finding {
    //! The README shows this function beside what a sweep says of it.

    include!("finding.rs");

    pub(crate) fn report() -> mallory::Report {
        Sweep::new("count").run(|heap| count(heap, &["to", "be", "or"]))
    }
}
mod function;
#[cfg(feature = "proptest")]
mod system;
#[cfg(feature = "shuttle")]
mod threads;

use std::path::Path;

/// The README, and the fenced blocks in it.
fn readme() -> (String, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(path).expect("there is a README");
    let blocks = text.split("\n```").skip(1).step_by(2);
    let blocks = blocks.map(|block| block.split_once('\n').map_or("", |(_, body)| body).to_owned());
    let blocks = blocks.collect();
    (text, blocks)
}

#[test]
fn the_readme_prints_the_examples_as_they_are_tested() {
    let (_, blocks) = readme();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "tests/tidy/readme/finding.rs",
        "tests/tidy/readme/function.rs",
        "tests/tidy/readme/existing.rs",
        "tests/tidy/readme/allocator.rs",
        "tests/tidy/readme/threads.rs",
        "tests/tidy/readme/system.rs",
        "examples/c/first.c",
    ] {
        let example = std::fs::read_to_string(folder.join(file)).expect("the example is there");
        let is_there = blocks.iter().any(|block| block.trim_end() == example.trim_end());
        assert!(is_there, "the README doesn't print {file} as it is");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = readme().0.lines().count();
    assert!(lines <= 200, "the README has {lines} lines: move some to docs/");
}

#[test]
fn the_readme_prints_the_finding_that_its_code_gives() {
    let report = finding::report().to_string();
    let (_, blocks) = readme();
    let printed = blocks.iter().find(|block| block.starts_with("silent-wrong"));
    let printed = printed.expect("the README shows a finding").trim_end();
    assert!(report.contains(printed), "the report is now:\n{report}");
}
