//! The planted bugs that need weak memory, explored by loom from the command line; `racy` has those
//! that only need an order of threads.

use mallory_scenarios::planted::racy::{PAIRS, SeenBy};

use crate::pairs::{is_clean, is_found_and_its_report_is_as_reviewed, pair};
use crate::program::{findings, replays, report};

const NAME: &str = "racy/publication";

#[test]
fn a_relaxed_publication_is_found_and_its_report_is_as_reviewed() {
    is_found_and_its_report_is_as_reviewed("loom", NAME);
}

#[test]
fn its_token_is_small_and_replays() {
    let found = report("loom", &[NAME], 1);
    let token = replays(&findings(&found)[0]);
    assert!(!token.contains(" f="), "{token}");
}

#[test]
fn a_release_store_is_clean() {
    is_clean("loom", &[&pair(NAME).near_miss_name()]);
}

#[test]
fn every_pair_that_only_loom_sees_has_its_tests() {
    let seen = PAIRS.iter().filter(|pair| pair.seen_by == SeenBy::Loom);
    assert!(seen.map(|pair| pair.name).eq([NAME]));
}
