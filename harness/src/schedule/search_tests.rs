//! Searches over the schedules of tiny programs, compared with trying every choice.

use std::collections::{BTreeMap, BTreeSet};

use crate::rt::access::{AccessKind, Object, Orders};
use crate::rt::own_choice::OwnChoice;
use crate::rt::run_log::{Choices, RunLog};
use crate::rt::thread_set::ThreadSet;
use crate::rt::yields::Yields;
use crate::schedule::default_order::{Bound, default_thread};
use crate::schedule::search::{Search, SearchOptions};
use crate::schedule::{Preemption, parse_schedule};
use crate::trace::Stream;

/// What a thread of a tiny program does. Before each operation there is a scheduling point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    Step,
    /// Reads a variable.
    Read(u32),
    /// Changes a variable so that its value shows in which order that was done.
    Change(u32),
    Lock(u32),
    Unlock(u32),
    /// Looks whether a lock is free.
    Try(u32),
    /// Waits until the other threads have ended.
    Join,
    /// Yields until a thread has set the flag.
    Spin,
    /// Sets the flag.
    Set,
}

use Op::{Change, Join, Lock, Read, Set, Spin, Step, Try, Unlock};

pub(super) type Program = Vec<Vec<Op>>;

/// Chooses the thread that continues, by the choices, the thread that asks, its point, and the number
/// of points so far.
pub(super) type Choose<'a> = dyn FnMut(&Choices, u16, u32, u64) -> u16 + 'a;

/// What a run has shown: what each thread saw, the values in the end, and whether all threads ended.
pub(super) type Shown = (Vec<Vec<u64>>, BTreeMap<u32, u64>, bool);

/// The threads in the order of their steps, and what the run has shown.
pub(super) type RanProgram = (Vec<u16>, Shown);

const FLAG: u32 = 100;

/// A run of a tiny program.
struct TinyRun<'a> {
    program: &'a Program,
    /// By thread, the next operation; `None` before its start.
    at: Vec<Option<usize>>,
    held: BTreeMap<u32, u16>,
    values: BTreeMap<u32, u64>,
    seen: Vec<Vec<u64>>,
    yields: Yields,
    log: RunLog,
}

impl TinyRun<'_> {
    fn has_ended(&self, thread: usize) -> bool {
        self.at[thread].is_some_and(|at| at == self.program[thread].len())
    }

    fn next_op(&self, thread: usize) -> Option<Op> {
        self.program[thread].get(self.at[thread]?).copied()
    }

    fn can_go_on(&self, thread: u16) -> bool {
        let index = usize::from(thread);
        match self.next_op(index) {
            None => self.at[index].is_none(),
            Some(Lock(lock)) => !self.held.contains_key(&lock),
            Some(Join) => (0..self.at.len()).all(|other| other == index || self.has_ended(other)),
            Some(_) => true,
        }
    }

    fn choices(&self) -> Choices {
        let able: ThreadSet =
            (0..self.at.len() as u16).filter(|thread| self.can_go_on(*thread)).collect();
        let waits = |thread: &u16| self.yields.waits(*thread, able);
        let idle: ThreadSet = able.iter().filter(waits).collect();
        Choices { ready: able - idle, idle, next: idle.first(), ..Choices::default() }
    }

    /// Performs the thread's next operation.
    fn perform(&mut self, thread: u16) {
        let index = usize::from(thread);
        let Some(op) = self.next_op(index) else {
            self.at[index] = Some(0);
            return;
        };
        self.yields.end(thread);
        let mut access = |object, kind| {
            self.log.add_access((thread, 0), object, kind, Orders::NOTHING);
        };
        let value = |values: &BTreeMap<u32, u64>, of| values.get(&of).copied().unwrap_or(0);
        match op {
            Step => {}
            Join => {
                for other in (0..self.at.len() as u16).filter(|other| *other != thread) {
                    access(Object::Thread(other), AccessKind::Pass);
                }
            }
            Read(of) => {
                access(Object::Shared(of), AccessKind::Read);
                self.seen[index].push(value(&self.values, of));
            }
            Change(of) => {
                access(Object::Shared(of), AccessKind::Write);
                let changed = value(&self.values, of).wrapping_mul(5) + u64::from(thread) + 1;
                self.values.insert(of, changed);
            }
            Lock(lock) => {
                access(Object::Shared(lock), AccessKind::Acquire);
                assert_eq!(self.held.insert(lock, thread), None, "the lock was free");
            }
            Unlock(lock) => {
                access(Object::Shared(lock), AccessKind::Release);
                assert_eq!(self.held.remove(&lock), Some(thread), "the lock was held");
            }
            Try(lock) => {
                let is_free = !self.held.contains_key(&lock);
                let kind = if is_free { AccessKind::TryAcquire } else { AccessKind::TryFail };
                access(Object::Shared(lock), kind);
                self.seen[index].push(u64::from(is_free));
            }
            Set => {
                access(Object::Shared(FLAG), AccessKind::Write);
                self.values.insert(FLAG, 1);
            }
            Spin => {
                access(Object::Shared(FLAG), AccessKind::Read);
                if value(&self.values, FLAG) == 0 {
                    let able = (0..self.at.len() as u16).filter(|one| self.can_go_on(*one));
                    self.yields.begin(thread, able.collect());
                    return;
                }
            }
        }
        self.at[index] = self.at[index].map(|at| at + 1);
        if self.has_ended(index) {
            let object = Object::Thread(thread);
            self.log.add_access((thread, 0), object, AccessKind::Give, Orders::NOTHING);
        }
    }
}

/// Runs a program, and returns the log as well.
pub(super) fn run_program(program: &Program, choose: &mut Choose<'_>) -> (RanProgram, RunLog) {
    let threads = program.len();
    let mut run = TinyRun {
        program,
        at: vec![None; threads],
        held: BTreeMap::new(),
        values: BTreeMap::new(),
        seen: vec![Vec::new(); threads],
        yields: Yields::default(),
        log: RunLog::default(),
    };
    run.log.add_step(0, 0, OwnChoice::Nothing, Some(run.choices()));
    run.perform(0);
    let mut points = vec![0_u32; threads];
    let (mut thread, mut order, mut steps) = (0_u16, vec![0], 0);
    loop {
        points[usize::from(thread)] += 1;
        steps += 1;
        assert!(steps < 1_000, "the run does not end");
        let choices = run.choices();
        if choices.is_stuck() {
            for (index, number) in (0..threads).zip(0..) {
                if let Some(Lock(lock)) = run.next_op(index) {
                    let pending = (number, Object::Shared(lock), AccessKind::Acquire);
                    run.log.pending.push(pending);
                }
            }
            let all_ended = (0..threads).all(|index| run.has_ended(index));
            return ((order, (run.seen, run.values, all_ended)), run.log);
        }
        thread = choose(&choices, thread, points[usize::from(thread)], steps);
        run.log.add_step(thread, points[usize::from(thread)], OwnChoice::Nothing, Some(choices));
        run.yields.note_step(thread, choices.ready);
        order.push(thread);
        run.perform(thread);
    }
}

/// All runs within the bound, by trying every choice at every point.
fn all_runs(program: &Program, bound: Bound) -> BTreeSet<RanProgram> {
    let mut runs = BTreeSet::new();
    let mut prefixes = vec![Vec::new()];
    while let Some(prefix) = prefixes.pop() {
        let (mut nth, mut used) = (0, 0);
        let mut made: Vec<u16> = Vec::new();
        let mut exceeds = false;
        let (run, _) = run_program(program, &mut |choices, thread, _, _| {
            let to = match prefix.get(nth) {
                Some(to) => *to,
                None => {
                    let first = default_thread(choices, thread).expect("a thread can run");
                    for other in choices.all().iter().filter(|to| *to != first && !exceeds) {
                        prefixes.push(made.iter().copied().chain([other]).collect());
                    }
                    first
                }
            };
            nth += 1;
            used += bound.cost(choices, thread, to);
            exceeds |= used > bound.limit();
            made.push(to);
            to
        });
        if !exceeds {
            runs.insert(run);
        }
    }
    runs
}

/// The schedules of a search, each with its deviations and its run.
pub(super) fn run_search(
    program: &Program,
    mut search: Search,
) -> (Vec<(Vec<Preemption>, RanProgram)>, Search) {
    let mut all = Vec::new();
    while search.next() {
        let (run, log) = run_program(program, &mut |choices, thread, point, step| {
            search.decide(choices, thread, point, step)
        });
        assert_eq!(search.diverged(), None);
        all.push((search.preemptions().to_vec(), run));
        search.end(&log);
    }
    (all, search)
}

const EVERY_ORDER: SearchOptions = SearchOptions { reduces: false, ..SearchOptions::DEFAULT };

fn preemptions(limit: u32) -> Bound {
    Bound::Preemptions(limit)
}

fn every_order(bound: Bound, limit: u64) -> Search {
    Search::bounded(bound, EVERY_ORDER, limit)
}

fn reduced(bound: Bound) -> Search {
    Search::bounded(bound, SearchOptions::DEFAULT, u64::MAX)
}

fn counters() -> Program {
    vec![vec![Step, Step, Step], vec![Step, Step, Step]]
}

fn locks() -> Program {
    vec![
        vec![Step, Join, Step],
        vec![Lock(0), Step, Unlock(0), Step],
        vec![Step, Lock(0), Unlock(0)],
    ]
}

fn embrace() -> Program {
    vec![
        vec![Lock(0), Lock(1), Unlock(1), Unlock(0)],
        vec![Lock(1), Lock(0), Unlock(0), Unlock(1)],
        vec![Step, Step],
    ]
}

fn spins() -> Program {
    vec![vec![Spin, Step], vec![Spin, Step], vec![Step, Set]]
}

#[test]
fn a_bound_that_nothing_reaches_takes_no_room() {
    let (all, search) = run_search(&counters(), every_order(Bound::NONE, u64::MAX));
    assert!(search.is_exhausted() && !search.exceeds_bound());
    assert_eq!(all.len(), all_runs(&counters(), Bound::NONE).len());
}

#[test]
fn chance_draws_each_schedule_of_the_bound_once() {
    for program in [counters(), locks()] {
        for limit in 0..=2 {
            let (whole, _) = run_search(&program, every_order(preemptions(limit), u64::MAX));
            let whole: BTreeSet<Vec<Preemption>> =
                whole.into_iter().map(|(schedule, _)| schedule).collect();
            let sample = Search::sampled(preemptions(limit), EVERY_ORDER, 3, u64::MAX);
            let (drawn, search) = run_search(&program, sample);
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
    let whole = run_search(&locks(), every_order(preemptions(2), u64::MAX)).0.len();
    let sample = |seed| {
        let sample = Search::sampled(preemptions(2), EVERY_ORDER, seed, whole as u64 / 4);
        let (drawn, search) = run_search(&locks(), sample);
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
fn without_reduction_a_search_runs_just_the_schedules_that_trying_everything_finds() {
    for program in [counters(), locks(), embrace(), spins()] {
        for bound in [Bound::Preemptions, Bound::Delays] {
            let mut last = 0;
            for limit in 0..=2 {
                let expected = all_runs(&program, bound(limit));
                let (found, search) = run_search(&program, every_order(bound(limit), u64::MAX));
                assert!(search.is_exhausted());
                let runs: BTreeSet<_> = found.iter().map(|(_, run)| run.clone()).collect();
                assert_eq!(runs, expected, "{program:?} with {limit} deviations");
                assert_eq!(found.len(), expected.len(), "each is run once");
                assert!(found.len() > last, "each further deviation adds schedules");
                last = found.len();
            }
        }
    }
    let ends = |limit| all_runs(&embrace(), preemptions(limit)).iter().all(|(_, shown)| shown.2);
    assert!(ends(0) && !ends(1), "one preemption is enough for the deadlock");
}

/// A random program: each thread takes and gives up locks in order, and reads and changes variables.
fn random_program(stream: &mut Stream) -> Program {
    let threads = 2 + stream.below(2);
    let thread = |stream: &mut Stream| {
        let mut ops = Vec::new();
        let mut held = Vec::new();
        for _ in 0..2 + stream.below(4 - threads / 3) {
            let lock = 10 + stream.below(2) as u32;
            ops.push(match stream.below(8) {
                0 => Step,
                1 | 2 => Read(stream.below(2) as u32),
                3 | 4 => Change(stream.below(2) as u32),
                5 => Try(lock),
                _ if held.contains(&lock) => Step,
                _ => {
                    held.push(lock);
                    Lock(lock)
                }
            });
            if !held.is_empty() && stream.once_in(3) {
                ops.push(Unlock(held.pop().expect("a lock is held")));
            }
        }
        ops.extend(held.into_iter().rev().map(Unlock));
        ops
    };
    (0..threads).map(|_| thread(stream)).collect()
}

/// What the runs of a search show, and how many there are.
fn shown(program: &Program, search: Search) -> (BTreeSet<Shown>, usize) {
    let (found, search) = run_search(program, search);
    assert!(search.is_exhausted());
    let number = found.len();
    (found.into_iter().map(|(_, (_, shown))| shown).collect(), number)
}

#[test]
fn the_reduction_loses_nothing_that_any_order_shows() {
    let mut stream = Stream::new(16, 0);
    let (mut all_orders, mut reduced_orders) = ([0, 0], [0, 0]);
    let fixed = [counters(), locks(), embrace()];
    let random = (0..300).map(|_| random_program(&mut stream));
    for (number, program) in (0..).zip(fixed.into_iter().chain(random)) {
        // All orders are too many for the longest programs.
        let length: usize = program.iter().map(Vec::len).sum();
        let bounds = [Bound::NONE, preemptions(0), preemptions(1), preemptions(2)];
        for bound in bounds.into_iter().skip(usize::from(length > 10)) {
            let (expected, all) = shown(&program, every_order(bound, u64::MAX));
            let (found, fewer) = shown(&program, reduced(bound));
            assert_eq!(found, expected, "program {number}: {program:?} within {bound:?}");
            assert!(fewer <= all);
            let sum = usize::from(bound != Bound::NONE);
            all_orders[sum] += all;
            reduced_orders[sum] += fewer;
        }
    }
    println!(
        "without a bound: {} schedules, {} with the reduction",
        all_orders[0], reduced_orders[0]
    );
    println!(
        "within bounds: {} schedules, {} with the reduction",
        all_orders[1], reduced_orders[1]
    );
    assert!(reduced_orders[0] * 10 < all_orders[0], "{reduced_orders:?} of {all_orders:?}");
    assert!(reduced_orders[1] * 2 < all_orders[1], "{reduced_orders:?} of {all_orders:?}");
}

#[test]
fn what_commutes_is_run_once() {
    assert_eq!(shown(&counters(), reduced(Bound::NONE)).1, 1);
    let readers = vec![vec![Read(0), Read(1)], vec![Read(1), Read(0)], vec![Read(0)]];
    assert_eq!(shown(&readers, reduced(Bound::NONE)).1, 1);
    // The third schedule begins the second thread earlier than the first one, and shows the same.
    let writers = vec![vec![Change(0)], vec![Change(0)]];
    assert_eq!(shown(&writers, reduced(Bound::NONE)).1, 3);
    let critical = |lock| vec![Lock(lock), Step, Unlock(lock)];
    assert_eq!(shown(&vec![critical(0), critical(0)], reduced(Bound::NONE)).1, 3);
    assert_eq!(shown(&vec![critical(0), critical(1)], reduced(Bound::NONE)).1, 1);
}

#[test]
fn fewest_preemptions_come_first() {
    let (found, _) = run_search(&counters(), every_order(preemptions(3), u64::MAX));
    let lengths: Vec<usize> = found.iter().map(|(schedule, _)| schedule.len()).collect();
    assert!(lengths.is_sorted(), "{lengths:?}");
    assert!(found[0].0.is_empty(), "the default schedule is the first");
}

#[test]
fn a_limit_cuts_the_search_and_that_is_said() {
    let (all, _) = run_search(&locks(), every_order(preemptions(2), u64::MAX));
    let (some, search) = run_search(&locks(), every_order(preemptions(2), 10));
    assert_eq!(some[..], all[..10]);
    assert!(!search.is_exhausted());
    let (whole, mut search) = run_search(&locks(), every_order(preemptions(2), all.len() as u64));
    assert_eq!(whole, all);
    assert!(
        !search.next() && search.is_exhausted(),
        "a limit that is just enough leaves nothing out"
    );
}

#[test]
fn any_schedule_is_run_again_by_its_deviations() {
    let searches = [
        every_order(preemptions(3), u64::MAX),
        Search::random(7, EVERY_ORDER, 200),
        Search::pct(3, 7, EVERY_ORDER, 200),
        Search::portfolio(preemptions(2), 7, SearchOptions::DEFAULT, u64::MAX, 400),
    ];
    for search in searches {
        let (found, _) = run_search(&embrace(), search);
        let runs: BTreeSet<_> = found.iter().map(|(_, run)| run.clone()).collect();
        assert!(runs.len() > 10, "{} orders", runs.len());
        for (schedule, run) in found {
            let (again, _) = run_search(&embrace(), Search::given(&schedule));
            assert_eq!(again, [(schedule, run)]);
        }
    }
}

#[test]
fn who_asks_only_where_it_has_to_is_told_the_same() {
    let (asked, _) = run_search(&embrace(), every_order(preemptions(2), u64::MAX));
    let mut search = every_order(preemptions(2), u64::MAX);
    let (mut found, mut questions, mut all) = (Vec::new(), 0, 0);
    while search.next() {
        let mut points = BTreeMap::new();
        let mut until = 0;
        let (run, log) = run_program(&embrace(), &mut |choices, thread, point, step| {
            points.insert(thread, point);
            all += 1;
            if choices.ready.contains(thread) && point < until {
                return thread;
            }
            questions += 1;
            let to = search.decide(choices, thread, point, step);
            until = search.next_decision(to, points.get(&to).copied().unwrap_or(0));
            to
        });
        found.push((search.preemptions().to_vec(), run));
        search.end(&log);
    }
    assert_eq!(found, asked);
    assert!(questions * 3 < all * 2, "{questions} of {all} points were asked about");
}

#[test]
fn chance_comes_from_the_seed() {
    let orders = |seed| run_search(&counters(), Search::random(seed, EVERY_ORDER, 50)).0;
    assert_eq!(orders(1), orders(1));
    assert_ne!(orders(1), orders(2));
}

#[test]
fn loops_that_wait_for_another_thread_end_in_every_schedule() {
    for search in [every_order(preemptions(2), u64::MAX), reduced(preemptions(2))] {
        let (found, search) = run_search(&spins(), search);
        assert!(search.is_exhausted());
        assert!(found.iter().all(|(_, (_, shown))| shown.2));
        assert!(found.len() > 10 && found.len() < 2000, "{} schedules", found.len());
        let different: BTreeSet<_> = found.iter().map(|(schedule, _)| schedule).collect();
        assert_eq!(different.len(), found.len());
    }
}

#[test]
fn pct_measures_how_long_runs_are_before_it_changes_priorities() {
    // The second thread has to come between the first one's reads: a bug of depth 2.
    let program = vec![vec![Read(0), Read(0)], vec![Change(0)]];
    let (found, _) = run_search(&program, Search::pct(2, 1, EVERY_ORDER, 200));
    let between = found.iter().filter(|(_, (_, shown))| shown.0[0] == [0, 2]).count();
    assert!(between > 20, "{between} of 200");
}

#[test]
fn a_portfolio_ends_when_every_schedule_there_is_was_run() {
    let writers = vec![vec![Change(0)], vec![Change(0)]];
    let search = Search::portfolio(preemptions(2), 0, SearchOptions::DEFAULT, u64::MAX, 400);
    let (found, search) = run_search(&writers, search);
    assert!(found.len() < 10, "{} schedules", found.len());
    assert!(search.is_exhausted() && !search.exceeds_bound());
    let search = Search::portfolio(preemptions(0), 0, SearchOptions::DEFAULT, u64::MAX, 400);
    let (_, search) = run_search(&embrace(), search);
    assert!(search.is_exhausted() && search.exceeds_bound());
    let made: Vec<u64> = search.results().into_iter().map(|(_, made)| made).collect();
    assert!(made.len() == 6 && made[1..].iter().all(|made| *made > 0), "{made:?}");
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
        run_program(&counters(), &mut |choices, thread, point, step| {
            search.decide(choices, thread, point, step)
        });
        let left = left.map(|left| left.parse().expect("a preemption"));
        assert_eq!(search.diverged(), left, "{line}");
    }
}
