//! Crates that know nothing of Mallory, through the program that a user runs: their sweeps are
//! clean, and the call sites that abort are the reviewed ones.
//!
//! The snapshots are of the development profile: call sites of other crates lose other frames to
//! the optimiser in each. In release builds the number alone is held.
#![cfg(feature = "foreign")]

use std::process::Command;

use mallory_scenarios::foreign::SUBJECTS;
use serde_json::Value;

/// What the program prints, as from a shell in which nothing of Mallory's is set.
fn printed(arguments: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mallory"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MALLORY_")) {
        program.env_remove(name);
    }
    let output = program.args(arguments).output().expect("the program starts");
    let (out, said) = (String::from_utf8(output.stdout), String::from_utf8_lossy(&output.stderr));
    let out = out.expect("reports are text");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}\n{out}");
    out
}

fn inventory_is_as_reviewed(package: &str) {
    let subject = SUBJECTS.iter().find(|subject| subject.package == package);
    let name = format!("foreign/{}", subject.expect("there is one").name());
    let report = printed(&["sweep", &name]);
    assert!(report.contains(" ✓ clean "), "{report}");
    if !cfg!(debug_assertions) {
        return;
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\.rs:[0-9]+", ".rs:LL");
    settings.bind(|| insta::assert_snapshot!(name.replace('/', "-"), report));
}

#[test]
fn serde_json() {
    inventory_is_as_reviewed("serde_json");
}

#[test]
fn regex() {
    inventory_is_as_reviewed("regex");
}

#[test]
fn axum() {
    inventory_is_as_reviewed("axum");
}

#[test]
fn every_run_of_axum_ends_in_an_abort_and_any_number_of_jobs_says_so() {
    let sweep = |jobs| printed(&["sweep", "foreign/axum", "--format", "json", "--jobs", jobs]);
    let one = sweep("1");
    assert_eq!(one, sweep("2"));
    let report: Value = serde_json::from_str(&one).expect("a line is an object");
    assert_eq!(report["verdict"], "clean", "{report:#}");
    assert_ne!(report["outcomes"]["aborted"], 0, "{report:#}");
    assert_eq!(report["outcomes"]["aborted"], report["coverage"]["runs"], "{report:#}");
}

#[test]
fn the_list_shows_them() {
    let list = printed(&["list", "foreign"]);
    for subject in SUBJECTS {
        assert!(list.contains(&format!("foreign/{} ", subject.name())), "{list}");
    }
}
