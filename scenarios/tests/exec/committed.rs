//! What a project has committed on its programs: `mallory.toml`, or a part of `Cargo.toml`.

use std::fs;

use crate::workshop::Workshop;

/// Writes the file into the program's folder.
fn commit(program: &Workshop, name: &str, text: &str) {
    fs::write(program.folder().join(name), text).expect("written");
}

const ALLOWED: &str = r#"
[[exec.leak.allow]]
kind = "leak"
site = "SITE"
reason = "it ends soon"
"#;

#[test]
fn an_accepted_finding_is_noted_with_its_reason() {
    let program = Workshop::of("leak");
    let site = "main";
    commit(&program, "mallory.toml", &ALLOWED.replace("SITE", site));
    let report = program.report(&[], &[], 0);
    assert!(report.contains("✓ clean") && report.contains("seen: it ends soon"), "{report}");
    fs::remove_file(program.folder().join("mallory.toml")).expect("removed");
    let manifest = ALLOWED.replace("SITE", site).replace("exec.", "package.metadata.mallory.exec.");
    commit(&program, "Cargo.toml", &manifest);
    assert_eq!(program.report(&[], &[], 0), report);
    commit(&program, "mallory.toml", &format!("{}max = 0\n", ALLOWED.replace("SITE", site)));
    let report = program.report(&[], &[], 1);
    assert!(report.contains("at most 0 allowed"), "{report}");
}

#[test]
fn one_that_matches_nothing_is_a_mistake_of_a_complete_sweep() {
    let program = Workshop::of("leak");
    commit(&program, "mallory.toml", &ALLOWED.replace("SITE", "no_such_function"));
    let said = program.mistake(&[], &[]);
    assert!(said.contains("nothing of the kind was found"), "{said}");
    assert!(said.contains("\n  --> mallory.toml:3:8\n"), "{said}");
    // The rest may be where it shows.
    program.report(&["--limit", "2"], &[], 0);
}

#[test]
fn options_hold_until_the_command_line_says_otherwise() {
    let program = Workshop::of("never_ends");
    commit(&program, "mallory.toml", "[exec.never_ends]\nmax-output = 3\n");
    let said = program.mistake(&[], &["floods"]);
    assert!(said.contains("writes more than 3 MiB"), "{said}");
    let said = program.mistake(&["--max-output", "2"], &["floods"]);
    assert!(said.contains("writes more than 2 MiB"), "{said}");
    let program = Workshop::of("reads");
    let without = program.report(&[], &[], 0);
    fs::create_dir(program.folder().join("data")).expect("made");
    commit(&program, "data/input", &"0123456789".repeat(900));
    commit(&program, "mallory.toml", "[exec.reads]\nstdin = \"data/input\"\n");
    assert_ne!(program.report(&[], &[], 0), without);
}

#[test]
fn a_mistake_in_the_file_is_said_with_its_place() {
    let program = Workshop::of("leak");
    commit(&program, "mallory.toml", "[exec.leak]\nlimt = 3\n");
    let said = program.mistake(&[], &[]);
    assert!(said.contains("unknown field `limt`"), "{said}");
    assert!(said.contains("\n  --> mallory.toml:2:1\n") && said.contains("\nhelp: "), "{said}");
}
