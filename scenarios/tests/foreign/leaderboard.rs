//! The leaderboard is swept without a finding; the call sites that abort are those in the committed
//! file, and one that is missing there is found.

use mallory::{Kind, Outcome, Sweep};
use mallory_scenarios::foreign::leaderboard::sweep::{ALLOWED, sweep};

use crate::program::printed;

#[test]
fn only_the_committed_call_sites_abort() {
    let report = printed(&["sweep", "foreign/leaderboard"], 0);
    assert!(report.contains(" ✓ clean "), "{report}");
    assert!(!report.contains("counted:"), "{report}");
}

#[test]
fn what_is_not_in_the_file_is_found() {
    let text = std::fs::read_to_string(ALLOWED).expect("the file is there");
    let is_site = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let gone = text.lines().find(is_site).expect("the file has a line");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("allowed.txt");
    std::fs::write(&file, text.replace(gone, "")).expect("the file is written");
    let file = file.to_str().expect("the path is text");
    let report = sweep(Sweep::new("foreign/leaderboard"), &crate::HEAP, file);
    let [finding] = report.findings() else { panic!("{report}") };
    assert_eq!(finding.kind(), Kind::Abort);
    assert_eq!(gone.split_whitespace().nth(1), Some(finding.id()));
    // The requests of SQLite and of the contexts are fallible: these runs ended in an error.
    assert!(report.outcomes(Outcome::Propagated) > report.outcomes(Outcome::Aborted), "{report}");
}
