//! Other people's crates, swept by the command line: their sweeps are clean, and the call sites
//! that abort are the reviewed ones.
//!
//! The snapshots are of the development profile, because the optimiser drops different frames of
//! other crates in each profile. In release builds only their number is checked.

use mallory_scenarios::foreign::SUBJECTS;
use serde_json::Value;

use crate::program::{is_as_reviewed, printed};

fn inventory_is_as_reviewed(package: &str) {
    let subject = SUBJECTS.iter().find(|subject| subject.package == package);
    let name = format!("foreign/{}", subject.expect("there is one").name());
    let report = printed(&["sweep", &name], 0);
    assert!(report.contains(" ✓ clean "), "{report}");
    if !cfg!(debug_assertions) {
        return;
    }
    is_as_reviewed(&name, &report);
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
    let sweep = |jobs| printed(&["sweep", "foreign/axum", "--format", "json", "--jobs", jobs], 0);
    let one = sweep("1");
    assert_eq!(one, sweep("2"));
    let report: Value = serde_json::from_str(&one).expect("a line is an object");
    assert_eq!(report["verdict"], "clean", "{report:#}");
    assert_ne!(report["outcomes"]["aborted"], 0, "{report:#}");
    assert_eq!(report["outcomes"]["aborted"], report["coverage"]["runs"], "{report:#}");
}

#[test]
fn the_list_shows_them() {
    let list = printed(&["list", "foreign"], 0);
    for subject in SUBJECTS {
        assert!(list.contains(&format!("foreign/{} ", subject.name())), "{list}");
    }
}
