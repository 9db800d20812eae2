//! The planted bugs that need an order of threads, explored from the command line: each is found,
//! shrunk as far as possible, and replayed from its token in a fresh process; no near miss is
//! reported; the reports are the reviewed ones in `snapshots/`.

use mallory::{Explore, Faults};
use mallory_scenarios::planted::racy::{PAIRS, SeenBy};

use crate::pairs::{is_clean, pair};
use crate::program::{findings, printed, replays, report};

/// The token is short, has as many faults and preemptions as needed, and reproduces the finding in
/// a fresh process.
fn token_is_small_and_replays(name: &str) {
    let pair = pair(name);
    let found = report("explore", &[name], 1);
    let token = replays(&findings(&found)[0]);
    assert_eq!(token.contains(" f="), pair.needs_fault, "{token}");
    let schedule = token.split(' ').find_map(|part| part.strip_prefix("s="));
    let turns = schedule.map_or(0, |turns| turns.split(',').count());
    assert_eq!(turns as u32, pair.preemptions, "{token}");
}

/// With one preemption less than it needs, or without a fault if it needs one, it isn't found.
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
    is_clean("explore", &[&pair(name).near_miss_name()]);
}

/// The tests of each bug.
macro_rules! each {
    ($($module:ident $name:literal;)*) => {
        $(mod $module {
            #[test]
            fn is_found_and_its_report_is_as_reviewed() {
                crate::pairs::is_found_and_its_report_is_as_reviewed("explore", $name);
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
    try_lock "racy/try-lock";
    left_listener "racy/left-listener";
    leak "racy/leak";
    window "racy/window";
    cleanup "racy/cleanup";
}

#[test]
fn every_pair_that_shuttle_sees_has_its_tests() {
    let seen = PAIRS.iter().filter(|pair| pair.seen_by == SeenBy::Shuttle);
    assert!(seen.map(|pair| pair.name).eq(TESTED.iter().copied()));
}

/// Shuttle's atomics are sequentially consistent, so only loom sees a bug of weaker orderings.
#[test]
fn shuttle_cannot_see_a_relaxed_publication() {
    is_clean("explore", &["racy/publication", "--preemptions", "3"]);
}

#[test]
fn every_run_and_number_of_jobs_prints_the_same_bytes() {
    let explore = |jobs| printed(&["explore", "racy", "--format", "json", "--jobs", jobs], 1);
    let one = explore("1");
    assert_eq!(one, explore("1"));
    assert_eq!(one, explore("2"));
}
