//! The page on programs prints an example as it is, and the report that it really gives.

use std::path::Path;

use crate::workshop::Workshop;

/// The fenced blocks of the page, without the word behind the fence.
fn blocks() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/exec.md");
    let text = std::fs::read_to_string(path).expect("there is a page");
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').map_or("", |(_, body)| body).to_owned()).collect()
}

#[test]
fn the_page_prints_its_program_and_the_report_of_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("exec/first.c");
    let source = std::fs::read_to_string(source).expect("the program is there");
    let report = Workshop::of("first").report(&[], &[], 1);
    let blocks = blocks();
    for (text, what) in [(source, "program"), (report, "report")] {
        let is_there = blocks.iter().any(|block| block.trim_end() == text.trim_end());
        assert!(is_there, "the page doesn't print the {what} as it is now:\n{text}");
    }
}

#[test]
fn the_file_on_the_page_is_one() {
    let file = blocks().into_iter().find(|block| block.contains("[exec.first]"));
    let program = Workshop::of("first");
    std::fs::write(program.folder().join("mallory.toml"), file.expect("there is one"))
        .expect("written");
    std::fs::create_dir(program.folder().join("data")).expect("made");
    std::fs::write(program.folder().join("data/small.txt"), "").expect("written");
    let report = program.report(&[], &[], 0);
    assert!(report.contains("1 seen: the program ends at once"), "{report}");
    assert!(report.contains("--only leaves out 1 of 3 requests"), "{report}");
}
