//! The planted bugs that need weak memory, through the program that a user runs, as `explore_racy.rs`
//! has those that need an order of threads only.
#![cfg(feature = "loom")]

mod program;

use mallory_scenarios::planted::racy::{PAIRS, Pair, Seen};
use program::{findings, is_as_reviewed, printed, replays, report};
use serde_json::Value;

fn pair(name: &str) -> &'static Pair {
    PAIRS.iter().find(|pair| pair.name == name).expect("there is a pair of this name")
}

const NAME: &str = "racy/publication";

#[test]
fn a_relaxed_publication_is_found_and_its_report_is_as_reviewed() {
    let found = report("loom", &[NAME], 1);
    let kinds: Vec<&Value> = findings(&found).iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, [pair(NAME).kind.name()], "{found:#}");
    is_as_reviewed(NAME, &printed(&["loom", NAME], 1));
}

#[test]
fn its_token_is_small_and_replays() {
    let found = report("loom", &[NAME], 1);
    let token = replays(&findings(&found)[0]);
    assert!(!token.contains(" f="), "{token}");
}

#[test]
fn a_release_store_is_clean() {
    let clean = report("loom", &[&pair(NAME).near_miss_name()], 0);
    assert_eq!(clean["verdict"], "clean", "{clean:#}");
    assert_eq!(clean["coverage"]["complete"], true, "{clean:#}");
}

#[test]
fn every_pair_that_only_loom_sees_has_its_tests() {
    let seen = PAIRS.iter().filter(|pair| pair.seen == Seen::ByLoom);
    assert!(seen.map(|pair| pair.name).eq([NAME]));
}
