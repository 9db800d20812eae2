//! C libraries on a heap, swept by the command line: all findings are known and explained.

use crate::program::{is_as_reviewed_but_for, printed};

/// Compares the whole report, which is the same in each profile: it has no call sites of C.
fn is_as_reviewed(scenario: &str) {
    let report = printed(&["sweep", scenario], 0);
    // The optimiser merges frames of C, so the number of call sites differs.
    is_as_reviewed_but_for(&[(r" +[0-9,]+ sites?", "  N sites")], scenario, &report);
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

#[test]
fn tasks_in_a_database_are_updated_where_their_version_matches() {
    is_as_reviewed("task-repository-sqlite");
}

/// Replays a token of FOREIGN.md, which must find this kind.
fn finds(token: &str, kind: &str) {
    let report = printed(&["replay", token], 1);
    assert!(report.contains(" reproduced"), "{report}");
    assert!(report.lines().any(|line| line.starts_with(kind)), "{report}");
}

#[test]
fn replay_lines_of_known_findings_reproduce_them() {
    let page = include_str!("../../FOREIGN.md");
    let lines: Vec<&str> = page.lines().filter(|line| line.contains("replay 'v1 ")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let token = line.split('\'').nth(1).expect("a token in quotes");
        let kind = line.split('`').nth(1).expect("the kind before it");
        finds(token, kind);
    }
}
