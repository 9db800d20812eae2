//! The planted bugs that need an order of threads, through the program that a user runs: each found,
//! as small as it can be, and replayed from its token in a fresh process; no near miss reported; the
//! reports' text reviewed in `snapshots/`.
#![cfg(feature = "shuttle")]

mod program;

use mallory::{Explore, Faults};
use mallory_scenarios::planted::racy::{PAIRS, Pair, Seen};
use program::{findings, is_as_reviewed, printed, replays, report};
use serde_json::Value;

fn pair(name: &str) -> &'static Pair {
    PAIRS.iter().find(|pair| pair.name == name).expect("there is a pair of this name")
}

/// Found, as what it is, and as nothing else; the report is the reviewed one.
fn is_found_and_its_report_is_as_reviewed(name: &str) {
    let found = report("explore", &[name], 1);
    let kinds: Vec<&Value> = findings(&found).iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, [pair(name).kind.name()], "{found:#}");
    is_as_reviewed(name, &printed(&["explore", name], 1));
}

/// The token is short, holds as many faults and preemptions as are needed, and shows the same in a
/// fresh process.
fn token_is_small_and_replays(name: &str) {
    let pair = pair(name);
    let found = report("explore", &[name], 1);
    let token = replays(&findings(&found)[0]);
    assert_eq!(token.contains(" f="), pair.needs_fault, "{token}");
    let schedule = token.split(' ').find_map(|part| part.strip_prefix("s="));
    let turns = schedule.map_or(0, |turns| turns.split(',').count());
    assert_eq!(turns as u32, pair.preemptions, "{token}");
}

/// With one preemption less than it needs, or without a fault where it needs one, it isn't there.
fn needs_what_it_is_said_to_need(name: &str) {
    let pair = pair(name);
    let fewer = (pair.preemptions - 1).to_string();
    let clean = report("explore", &[name, "--preemptions", &fewer], 0);
    assert_eq!(clean["verdict"], "clean", "{clean:#}");
    let explore = Explore::new(name).shuttle().faults(Faults::None);
    let faultless = explore.oom(|_| true).run(pair.planted);
    assert!(faultless.error().is_none(), "{faultless}");
    assert_eq!(faultless.findings().is_empty(), pair.needs_fault, "{faultless}");
}

fn near_miss_is_clean(name: &str) {
    let clean = report("explore", &[&pair(name).near_miss_name()], 0);
    assert_eq!(clean["verdict"], "clean", "{clean:#}");
    assert_eq!(clean["coverage"]["complete"], true, "{clean:#}");
}

/// The tests that each bug gets.
macro_rules! each {
    ($($module:ident $name:literal;)*) => {
        $(mod $module {
            #[test]
            fn is_found_and_its_report_is_as_reviewed() {
                super::is_found_and_its_report_is_as_reviewed($name);
            }

            #[test]
            fn token_is_small_and_replays() {
                super::token_is_small_and_replays($name);
            }

            #[test]
            fn needs_what_it_is_said_to_need() {
                super::needs_what_it_is_said_to_need($name);
            }

            #[test]
            fn near_miss_is_clean() {
                super::near_miss_is_clean($name);
            }
        })*

        /// The bugs that have the tests above.
        const TESTED: &[&str] = &[$($name),*];
    };
}

each! {
    count "racy/count";
    lock_order "racy/lock-order";
    leak "racy/leak";
    window "racy/window";
    cleanup "racy/cleanup";
}

#[test]
fn every_pair_that_shuttle_sees_has_its_tests() {
    let seen = PAIRS.iter().filter(|pair| pair.seen == Seen::ByShuttle);
    assert!(seen.map(|pair| pair.name).eq(TESTED.iter().copied()));
}

/// Shuttle's atomics are sequentially consistent: what needs less shows to loom only.
#[test]
fn shuttle_cannot_see_a_relaxed_publication() {
    let clean = report("explore", &["racy/publication", "--preemptions", "3"], 0);
    assert_eq!(clean["verdict"], "clean", "{clean:#}");
    assert_eq!(clean["coverage"]["complete"], true, "{clean:#}");
}

#[test]
fn the_same_bytes_come_of_every_run_and_number_of_jobs() {
    let explore = |jobs| printed(&["explore", "racy", "--format", "json", "--jobs", jobs], 1);
    let one = explore("1");
    assert_eq!(one, explore("1"));
    assert_eq!(one, explore("2"));
}
