//! Searches over the schedules of tiny programs, compared with trying every choice.

use std::collections::{BTreeMap, BTreeSet};

use crate::rt::thread_set::{ThreadSet, bit, each};
use crate::schedule::search::Search;
use crate::schedule::{Preemption, parse_schedule};

/// What a thread of a tiny program does. Before each operation there is a scheduling point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Step,
    Lock(usize),
    Unlock(usize),
    /// Waits until the other threads have ended.
    Join,
    /// Yields until a thread has set the flag.
    Spin,
    /// Sets the flag.
    Set,
}

use Op::{Join, Lock, Set, Spin, Step, Unlock};

/// Chooses the thread that continues, by the runnable threads, the one that asks, and whether it
/// yields.
type Choose<'a> = dyn FnMut(ThreadSet, u16, bool) -> u16 + 'a;

/// The threads in the order of their operations, and whether all ended.
type Order = (Vec<u16>, bool);

fn run_program(program: &[&[Op]], choose: &mut Choose<'_>) -> Order {
    let mut at = vec![0; program.len()];
    let mut held = BTreeSet::new();
    let mut flag = false;
    let mut thread = 0_u16;
    let mut order = Vec::new();
    let mut yields = false;
    loop {
        let can = |thread: usize, held: &BTreeSet<usize>| match program[thread].get(at[thread]) {
            None => false,
            Some(Lock(lock)) => !held.contains(lock),
            Some(Join) => (0..at.len()).all(|o| o == thread || at[o] == program[o].len()),
            Some(_) => true,
        };
        let runnable = (0..at.len()).filter(|t| can(*t, &held)).map(|t| bit(t as u16));
        let runnable = runnable.fold(0, |all, one| all | one);
        if runnable == 0 {
            return (order, (0..at.len()).all(|t| at[t] == program[t].len()));
        }
        thread = choose(runnable, thread, std::mem::take(&mut yields));
        let here = usize::from(thread);
        order.push(thread);
        match program[here][at[here]] {
            Step | Join => {}
            Lock(lock) => assert!(held.insert(lock), "the lock was free"),
            Unlock(lock) => assert!(held.remove(&lock), "the lock was held"),
            Set => flag = true,
            Spin if flag => {}
            Spin => {
                yields = true;
                continue;
            }
        }
        at[here] += 1;
    }
}

/// All orders with at most this number of preemptions, by trying every choice at every point.
fn all_orders(program: &[&[Op]], preemptions: usize) -> BTreeSet<Order> {
    let mut orders = BTreeSet::new();
    let mut prefixes = vec![Vec::new()];
    while let Some(prefix) = prefixes.pop() {
        let (mut nth, mut used) = (0, 0);
        let mut made: Vec<u16> = Vec::new();
        let mut exceeds = false;
        let order = run_program(program, &mut |runnable, thread, _| {
            let can_continue = runnable & bit(thread) != 0;
            let cost = |to: u16| usize::from(can_continue && to != thread);
            let to = match prefix.get(nth) {
                Some(to) => *to,
                None => {
                    let mut choices = each(runnable);
                    let first = choices.next().expect("a thread can run");
                    for other in choices {
                        prefixes.push(made.iter().copied().chain([other]).collect());
                    }
                    first
                }
            };
            nth += 1;
            used += cost(to);
            exceeds |= used > preemptions;
            made.push(to);
            to
        });
        if !exceeds {
            orders.insert(order);
        }
    }
    orders
}

/// The schedules of a search, each with its deviations and the order that it led to.
fn run_search(program: &[&[Op]], mut search: Search) -> (Vec<(Vec<Preemption>, Order)>, Search) {
    let mut all = Vec::new();
    while search.next() {
        let mut points = BTreeMap::new();
        let order = run_program(program, &mut |runnable, thread, yields| {
            assert!(search.steps() < 1000, "the run does not end");
            let point = points.entry(thread).and_modify(|n| *n += 1).or_insert(1);
            search.decide(runnable, thread, *point, yields)
        });
        assert_eq!(search.diverged(), None);
        all.push((search.preemptions().to_vec(), order));
        search.end();
    }
    (all, search)
}

const COUNTERS: [&[Op]; 2] = [&[Step, Step, Step], &[Step, Step, Step]];
const LOCKS: [&[Op]; 3] =
    [&[Step, Join, Step], &[Lock(0), Step, Unlock(0), Step], &[Step, Lock(0), Unlock(0)]];
const EMBRACE: [&[Op]; 3] = [
    &[Lock(0), Lock(1), Unlock(1), Unlock(0)],
    &[Lock(1), Lock(0), Unlock(0), Unlock(1)],
    &[Step, Step],
];

#[test]
fn a_bound_that_nothing_reaches_takes_no_room() {
    let (all, search) = run_search(&COUNTERS, Search::bounded(u32::MAX, u64::MAX));
    assert!(search.is_exhausted());
    assert_eq!(all.len(), all_orders(&COUNTERS, usize::MAX).len());
}

#[test]
fn chance_draws_each_schedule_of_the_bound_once() {
    for program in [&COUNTERS[..], &LOCKS[..]] {
        for preemptions in 0..=2 {
            let (whole, _) = run_search(program, Search::bounded(preemptions, u64::MAX));
            let whole: BTreeSet<Vec<Preemption>> =
                whole.into_iter().map(|(schedule, _)| schedule).collect();
            let (drawn, search) = run_search(program, Search::sampled(preemptions, 3, u64::MAX));
            assert!(search.is_exhausted());
            assert_eq!(drawn.len(), whole.len(), "each once");
            let drawn: BTreeSet<Vec<Preemption>> =
                drawn.into_iter().map(|(schedule, _)| schedule).collect();
            assert_eq!(drawn, whole);
        }
    }
}

#[test]
fn a_sample_has_schedules_of_each_number_of_preemptions_and_says_that_it_is_none() {
    let whole = run_search(&LOCKS, Search::bounded(2, u64::MAX)).0.len();
    let sample = |seed| {
        let (drawn, search) = run_search(&LOCKS, Search::sampled(2, seed, whole as u64 / 4));
        assert!(!search.is_exhausted());
        drawn.into_iter().map(|(schedule, _)| schedule).collect::<Vec<_>>()
    };
    let drawn = sample(1);
    assert!(drawn[0].is_empty(), "the default schedule is always in the sample");
    let longest = drawn.iter().map(Vec::len).max();
    assert!(longest >= Some(2), "the sample has more than the shortest schedules: {drawn:?}");
    assert_eq!(drawn, sample(1));
    assert_ne!(drawn, sample(2));
}

#[test]
fn the_bounded_search_runs_just_the_schedules_that_trying_everything_finds() {
    for program in [&COUNTERS[..], &LOCKS, &EMBRACE] {
        let mut last = 0;
        for preemptions in 0..=3 {
            let expected = all_orders(program, preemptions);
            let search = Search::bounded(preemptions as u32, u64::MAX);
            let (found, search) = run_search(program, search);
            assert!(search.is_exhausted());
            let orders: BTreeSet<_> = found.iter().map(|(_, order)| order.clone()).collect();
            assert_eq!(orders, expected, "{program:?} with {preemptions} preemptions");
            assert_eq!(found.len(), expected.len(), "each is run once");
            assert!(found.len() > last, "each further preemption adds schedules");
            last = found.len();
        }
    }
    let ends = |preemptions| all_orders(&EMBRACE, preemptions).iter().all(|(_, ends)| *ends);
    assert!(ends(0) && !ends(1), "one preemption is enough for the deadlock");
}

#[test]
fn fewest_preemptions_come_first() {
    let (found, _) = run_search(&COUNTERS, Search::bounded(3, u64::MAX));
    let lengths: Vec<usize> = found.iter().map(|(schedule, _)| schedule.len()).collect();
    assert!(lengths.is_sorted(), "{lengths:?}");
    assert!(found[0].0.is_empty(), "the default schedule is the first");
}

#[test]
fn a_limit_cuts_the_search_and_that_is_said() {
    let (all, _) = run_search(&LOCKS, Search::bounded(2, u64::MAX));
    let (some, search) = run_search(&LOCKS, Search::bounded(2, 10));
    assert_eq!(some[..], all[..10]);
    assert!(!search.is_exhausted());
    let (whole, mut search) = run_search(&LOCKS, Search::bounded(2, all.len() as u64));
    assert_eq!(whole, all);
    assert!(
        !search.next() && search.is_exhausted(),
        "a limit that is just enough leaves nothing out"
    );
}

#[test]
fn any_schedule_is_run_again_by_its_deviations() {
    for search in [Search::bounded(3, u64::MAX), Search::random(7, 200), Search::pct(3, 7, 200)] {
        let (found, _) = run_search(&EMBRACE, search);
        let orders: BTreeSet<_> = found.iter().map(|(_, order)| order.clone()).collect();
        assert!(orders.len() > 15, "{} orders", orders.len());
        for (schedule, order) in found {
            let (again, _) = run_search(&EMBRACE, Search::given(&schedule));
            assert_eq!(again, [(schedule, order)]);
        }
    }
}

#[test]
fn who_asks_only_where_it_has_to_is_told_the_same() {
    let (asked, _) = run_search(&EMBRACE, Search::bounded(2, u64::MAX));
    let mut search = Search::bounded(2, u64::MAX);
    let (mut found, mut questions, mut all) = (Vec::new(), 0, 0);
    while search.next() {
        let mut points = BTreeMap::new();
        let mut until = 0;
        let order = run_program(&EMBRACE, &mut |runnable, thread, yields| {
            let point = *points.entry(thread).and_modify(|n| *n += 1).or_insert(1);
            all += 1;
            if runnable & bit(thread) != 0 && point < until {
                return thread;
            }
            questions += 1;
            let to = search.decide(runnable, thread, point, yields);
            until = search.next_decision(to, points.get(&to).copied().unwrap_or(0));
            to
        });
        found.push((search.preemptions().to_vec(), order));
        search.end();
    }
    assert_eq!(found, asked);
    assert!(questions * 3 < all * 2, "{questions} of {all} points were asked about");
}

#[test]
fn chance_comes_from_the_seed() {
    let orders = |seed| run_search(&COUNTERS, Search::random(seed, 50)).0;
    assert_eq!(orders(1), orders(1));
    assert_ne!(orders(1), orders(2));
}

#[test]
fn loops_that_wait_for_another_thread_end_in_every_schedule() {
    let spins: [&[Op]; 3] = [&[Spin, Step], &[Spin, Step], &[Step, Set]];
    let (found, search) = run_search(&spins, Search::bounded(2, u64::MAX));
    assert!(search.is_exhausted());
    assert!(found.iter().all(|(_, (_, ends))| *ends));
    assert!(found.len() > 10 && found.len() < 2000, "{} schedules", found.len());
    let different: BTreeSet<_> = found.iter().map(|(schedule, _)| schedule).collect();
    assert_eq!(different.len(), found.len());
}

#[test]
fn a_schedule_that_does_not_fit_is_told_where() {
    for (line, left) in [
        ("T0@2>T1", None),
        ("T0@9>T1", Some("T0@9>T1")),
        ("T0@2>T7", Some("T0@2>T7")),
        ("T0@2>T1,T0@1>T1", Some("T0@1>T1")),
    ] {
        let mut search = Search::given(&parse_schedule(line).expect("a schedule"));
        assert!(search.next());
        let mut points = BTreeMap::new();
        run_program(&COUNTERS, &mut |runnable, thread, yields| {
            let point = points.entry(thread).and_modify(|n| *n += 1).or_insert(1);
            search.decide(runnable, thread, *point, yields)
        });
        let left = left.map(|left| left.parse().expect("a preemption"));
        assert_eq!(search.diverged(), left, "{line}");
    }
}
