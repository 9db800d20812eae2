//! The order in which a search runs the schedules of a fault, in tiny programs: the one without the
//! fault, and the one with what a thread does instead.

use std::collections::BTreeSet;

use crate::schedule::Preemption;
use crate::schedule::default_order::Bound;
use crate::schedule::fault_focus::Guide;
use crate::schedule::search::{Search, SearchOptions};
use crate::schedule::search_tests::Op::{Change, Lock, Read, Unlock};
use crate::schedule::search_tests::{Program, run_program, run_search};

const BOUND: Bound = Bound::Preemptions(2);

/// Two threads that change variables. With the fault, the first one gives a lock up and takes it
/// again.
fn program(fails: bool) -> Program {
    let mut first = vec![Read(0), Change(1), Lock(9), Change(2)];
    first.extend(if fails { vec![Unlock(9), Lock(9)] } else { vec![] });
    first.extend([Unlock(9), Change(1), Read(0)]);
    vec![first, vec![Change(0), Change(1), Lock(9), Change(2), Unlock(9), Change(0)]]
}

/// Whether the first thread is preempted where it has given the lock up.
fn is_unlocked(one: Preemption) -> bool {
    (one.thread, one.point) == (0, 6)
}

/// The schedules of a search under the fault, in their order.
fn schedules(search: Search) -> Vec<Vec<Preemption>> {
    let (_, recorded) = run_search(
        &program(false),
        Search::bounded(BOUND, SearchOptions::DEFAULT, 1).guide(Guide::Record(Vec::new())),
    );
    let without = recorded.default_run().to_vec();
    assert_eq!(without.len(), 2, "the steps of both threads are kept");
    let (found, _) = run_search(&program(true), search.guide(Guide::Compare(without)));
    found.into_iter().map(|(schedule, _)| schedule).collect()
}

#[test]
fn only_the_order_of_the_schedules_changes() {
    for reduces in [true, false] {
        for bound in [BOUND, Bound::Delays(2)] {
            let run = |guided| {
                let options = SearchOptions { reduces, guided, ..SearchOptions::DEFAULT };
                schedules(Search::bounded(bound, options, u64::MAX))
            };
            let (with, without) = (run(true), run(false));
            assert_ne!(with, without, "the order changes");
            let set = |all: &[Vec<Preemption>]| all.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(set(&with), set(&without));
            assert_eq!(with.len(), without.len(), "each is run once");
            assert_eq!(run(true), with, "the order is always the same");
        }
    }
}

#[test]
fn preemptions_where_the_lock_is_given_up_come_first() {
    let options = SearchOptions { reduces: false, ..SearchOptions::DEFAULT };
    let guided = schedules(Search::bounded(Bound::Preemptions(1), options, u64::MAX));
    let is_there = |schedule: &Vec<Preemption>| matches!(schedule[..], [one] if is_unlocked(one));
    let first = guided.iter().position(is_there).expect("it is preempted there");
    let unguided = SearchOptions { guided: false, ..options };
    let all = schedules(Search::bounded(Bound::Preemptions(1), unguided, u64::MAX));
    let before = all.iter().position(is_there).expect("it is preempted there");
    assert!(first * 2 < before, "schedule {first} instead of {before} of {}", all.len());
}

#[test]
fn a_limit_leaves_out_the_farthest() {
    let options = SearchOptions::DEFAULT;
    let all = schedules(Search::bounded(BOUND, options, u64::MAX));
    for limit in [5, 20, all.len() - 1] {
        let some = schedules(Search::bounded(BOUND, options, limit as u64));
        assert_eq!(some[..], all[..limit]);
    }
}

#[test]
fn what_does_the_same_has_no_point_to_be_near_to() {
    let search = |guide| Search::bounded(BOUND, SearchOptions::DEFAULT, u64::MAX).guide(guide);
    let (_, recorded) = run_search(&program(true), search(Guide::Record(Vec::new())));
    let without = recorded.default_run().to_vec();
    let (with, _) = run_search(&program(true), search(Guide::Compare(without)));
    let (unguided, _) = run_search(&program(true), search(Guide::Off));
    assert_eq!(with, unguided);
}

/// The same program, with as many changes of another variable before and after.
fn longer(fails: bool) -> Program {
    let around = vec![Change(3); 20];
    let threads = program(fails).into_iter();
    threads.map(|thread| [around.clone(), thread, around.clone()].concat()).collect()
}

#[test]
fn pct_changes_priorities_there_more_often() {
    let portfolio =
        |guide| Search::portfolio(BOUND, 5, SearchOptions::DEFAULT, 1, 4_000).guide(guide);
    let (_, recorded) = run_search(&longer(false), portfolio(Guide::Record(Vec::new())));
    let without = recorded.default_run().to_vec();
    // How often the first thread is preempted where it has given the lock up.
    let seen = |mut search: Search| {
        let mut seen = 0;
        while search.next() {
            let (_, log) = run_program(&longer(true), &mut |choices, thread, point, step| {
                search.decide(choices, thread, point, step)
            });
            let is_there = |one: &&Preemption| (one.thread, one.point) == (0, 26);
            let is_pct = search.part().is_some_and(|name| name.starts_with("PCT"));
            seen += search.preemptions().iter().filter(is_there).filter(|_| is_pct).count();
            search.end(&log);
        }
        seen
    };
    let (with, without) = (seen(portfolio(Guide::Compare(without))), seen(portfolio(Guide::Off)));
    assert!(with > 2 * without && without > 0, "{with} instead of {without}");
}
