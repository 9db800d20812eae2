//! C libraries on a heap, through the program that a user runs: swept to completion, with findings
//! that are known and explained, and none besides.
#![cfg(feature = "foreign")]

use std::process::Command;

/// What the program prints, as from a shell in which nothing of Mallory's is set.
fn printed(arguments: &[&str], code: i32) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mallory"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MALLORY_")) {
        program.env_remove(name);
    }
    let output = program.args(arguments).output().expect("the program starts");
    let (out, said) = (String::from_utf8(output.stdout), String::from_utf8_lossy(&output.stderr));
    let out = out.expect("reports are text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}\n{out}");
    out
}

/// The whole report, which holds in each profile: call sites of C are not in it.
fn is_as_reviewed(scenario: &str) {
    let report = printed(&["sweep", scenario], 0);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // The optimiser joins frames of C as well.
    settings.add_filter(r" +[0-9,]+ sites?", "  N sites");
    settings.bind(|| insta::assert_snapshot!(scenario.replace('/', "-"), report));
}

#[test]
fn sqlite_survives_but_for_what_is_known() {
    is_as_reviewed("foreign/sqlite");
}

#[test]
fn lua_survives() {
    is_as_reviewed("foreign/lua");
}

#[test]
fn batches_in_a_database_are_all_or_nothing() {
    is_as_reviewed("lfs-batch-sqlite");
}

/// A coordinate at which something is found, from FOREIGN.md's replay lines.
fn finds(token: &str, kind: &str) {
    let report = printed(&["replay", token], 1);
    assert!(report.contains(" reproduced"), "{report}");
    assert!(report.lines().any(|line| line.starts_with(kind)), "{report}");
}

#[test]
fn replay_lines_of_known_findings_reproduce_them() {
    let page = include_str!("../FOREIGN.md");
    let lines: Vec<&str> = page.lines().filter(|line| line.contains("replay 'v1 ")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let token = line.split('\'').nth(1).expect("a token stands in quotes");
        let kind = line.split('`').nth(1).expect("the kind stands before it");
        finds(token, kind);
    }
}
