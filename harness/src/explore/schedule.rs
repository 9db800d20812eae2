//! Which thread goes on where: searches over schedules. Pure: who asks runs the threads.
//!
//! A search is asked at each scheduling point and answers with a thread. The *bounded* one takes
//! every schedule with at most k preemptions, those with the fewest first, each once: a queue of
//! deviations, of which a run that has ended adds those that deviate once more, and later. It is
//! exhausted when the queue is empty. Memory is the queue.
//!
//! A thread that yields gives up its turn, and one that yields again before others have had theirs
//! has to wait for them: so loops that wait for another thread end, and so does the search.

use std::collections::VecDeque;

use crate::trace::Stream;
use crate::turn::Turn;

/// Threads as bits.
pub(crate) type Threads = u64;

/// So many threads can be explored.
pub(crate) const THREADS_MAX: usize = Threads::BITS as usize;

/// Threads that can run, in order.
pub(crate) fn each(threads: Threads) -> impl Iterator<Item = u16> {
    (0..THREADS_MAX as u16).filter(move |thread| threads & bit(*thread) != 0)
}

pub(crate) fn bit(thread: u16) -> Threads {
    1 << thread
}

/// A scheduling point: who stands there, and who may go on.
#[derive(Clone, Copy, Debug)]
struct Place {
    thread: u16,
    point: u32,
    choices: Threads,
    /// Who goes on unless something is said.
    usual: u16,
    /// Whether the thread itself could: another one's going on is a preemption.
    goes_on: bool,
}

/// A run as it goes: how far each thread is, and who has to wait for whom after yields.
struct Course {
    points: [u32; THREADS_MAX],
    /// Threads that have yielded; the rest is about them only.
    yielders: Threads,
    /// For each of them: who could run all the time since its last yield, who did, and behind whom
    /// it has to wait.
    able: [Threads; THREADS_MAX],
    ran: [Threads; THREADS_MAX],
    behind: [Threads; THREADS_MAX],
    turns: Vec<Turn>,
    steps: u64,
}

impl Course {
    fn new() -> Course {
        Course {
            points: [0; THREADS_MAX],
            yielders: 0,
            able: [0; THREADS_MAX],
            ran: [0; THREADS_MAX],
            behind: [0; THREADS_MAX],
            turns: Vec::new(),
            steps: 0,
        }
    }

    fn begin(&mut self) {
        self.points = [0; THREADS_MAX];
        self.yielders = 0;
        self.turns.clear();
        self.steps = 0;
    }

    /// Comes to a point: the thread's `point`th, some of which may have been passed without asking.
    fn come(&mut self, runnable: Threads, thread: u16, point: u32, yields: bool) -> Place {
        let at = usize::from(thread);
        self.steps += u64::from(point.saturating_sub(self.points[at]));
        self.points[at] = point;
        let mut choices = runnable;
        if yields || self.yielders != 0 {
            choices = self.fair(runnable, thread, yields);
        }
        let goes_on = !yields && choices & bit(thread) != 0;
        let usual = if goes_on {
            thread
        } else if yields {
            // The next one above it, or the first.
            let above = choices & (Threads::MAX << thread << 1);
            if above != 0 { above.trailing_zeros() as u16 } else { choices.trailing_zeros() as u16 }
        } else {
            choices.trailing_zeros() as u16
        };
        Place { thread, point, choices, usual, goes_on }
    }

    /// Who may run where some have yielded.
    #[cold]
    fn fair(&mut self, runnable: Threads, thread: u16, yields: bool) -> Threads {
        for waiter in each(self.yielders) {
            self.able[usize::from(waiter)] &= runnable;
        }
        if yields {
            let at = usize::from(thread);
            if self.yielders & bit(thread) != 0 {
                self.behind[at] |= self.able[at] & !self.ran[at] & !bit(thread);
            } else {
                self.yielders |= bit(thread);
                self.behind[at] = 0;
            }
            self.able[at] = runnable;
            self.ran[at] = 0;
        }
        let waits = |other: &u16| {
            self.yielders & bit(*other) != 0 && self.behind[usize::from(*other)] & runnable != 0
        };
        let free =
            each(runnable).filter(|other| !waits(other)).map(bit).fold(0, |all, one| all | one);
        if free == 0 { runnable } else { free }
    }

    /// Lets a thread go on.
    fn go(&mut self, place: &Place, to: u16) {
        if to != place.usual {
            self.turns.push(Turn { thread: place.thread, point: place.point, to });
        }
        if self.yielders != 0 {
            for waiter in each(self.yielders) {
                self.ran[usize::from(waiter)] |= bit(to);
                self.behind[usize::from(waiter)] &= !bit(to);
            }
        }
    }
}

/// All schedules with at most so many preemptions.
struct Bounded {
    /// By preemptions: of each schedule that waits the number of its deviations, and these.
    queues: Vec<VecDeque<u64>>,
    waiting: Vec<u64>,
    /// Preemptions of the present schedule, and whether schedules with one more will hardly be run:
    /// enough others wait. Then the first is all that has to be known.
    used: usize,
    is_full: bool,
    noted: bool,
    /// Where the present schedule could have deviated once more.
    places: Vec<(Place, u16)>,
}

impl Bounded {
    fn new(preemptions: u32) -> Bounded {
        let buckets = preemptions as usize + 1;
        let mut queues: Vec<VecDeque<u64>> = (0..buckets).map(|_| VecDeque::new()).collect();
        queues[0].push_back(0);
        let mut waiting = vec![0; buckets];
        waiting[0] = 1;
        Bounded { queues, waiting, used: 0, is_full: false, noted: false, places: Vec::new() }
    }

    /// Whether a schedule that preempts a thread once more than this one is worth to be noted.
    #[inline]
    fn wants_more(&self) -> bool {
        self.used + 1 < self.queues.len() && !(self.is_full && self.noted)
    }

    /// Takes the next one, `left` of which will be run at most.
    fn next(&mut self, plan: &mut Vec<Turn>, left: u64) -> bool {
        let Some(bucket) = self.waiting.iter().position(|waiting| *waiting > 0) else {
            return false;
        };
        self.waiting[bucket] -= 1;
        self.used = bucket;
        self.places.clear();
        self.noted = false;
        let most = (bucket + 1).min(self.waiting.len() - 1);
        self.is_full = self.waiting[..=most].iter().sum::<u64>() >= left;
        let queue = &mut self.queues[bucket];
        let turns = queue.pop_front().unwrap_or(0) as usize;
        plan.clear();
        plan.extend(queue.drain(..turns).map(Turn::unpack));
        true
    }

    /// Adds the schedules that deviate once more than the one that has just ended, `left` of which
    /// will be run at most. False: some were left out.
    fn expand(&mut self, turns: &[Turn], left: u64) -> bool {
        let mut all = true;
        for (place, to) in &self.places {
            let bucket = self.used + usize::from(place.goes_on);
            for other in each(place.choices & !bit(*to)) {
                let before: u64 = self.waiting[..=bucket].iter().sum();
                if before >= left {
                    all = false;
                    break;
                }
                let last = Turn { thread: place.thread, point: place.point, to: other };
                let queue = &mut self.queues[bucket];
                queue.push_back(turns.len() as u64 + 1);
                queue.extend(turns.iter().chain([&last]).map(|turn| turn.pack()));
                self.waiting[bucket] += 1;
            }
        }
        all
    }
}

/// Priorities, with changes at a few random steps.
struct Pct {
    depth: u32,
    priorities: Vec<u64>,
    changes: Vec<u64>,
    /// Steps of the longest run so far, from which the changes are drawn.
    longest: u64,
}

enum What {
    Bounded(Bounded),
    Random,
    Pct(Pct),
    Given,
    /// Whatever loom chooses, which has this bound: its runs are only counted here.
    Loom(u32),
}

/// A thread asks at least once in so many points.
const UNASKED_MAX: u32 = 10_000;

/// A run that comes to so many points is one that never ends, unless more is known.
const STEPS_MAX: u64 = 1_000_000;

/// What is searched, and how far it is.
pub(crate) struct Search {
    what: What,
    course: Course,
    /// The deviations that the present schedule was chosen for, and how many of them were made.
    plan: Vec<Turn>,
    made: usize,
    diverged: bool,
    seed: u64,
    stream: Stream,
    limit: u64,
    steps_max: u64,
    begun: u64,
    exhausted: bool,
    cut: bool,
}

impl Search {
    fn new(what: What, seed: u64, limit: u64) -> Search {
        Search {
            what,
            course: Course::new(),
            plan: Vec::new(),
            made: 0,
            diverged: false,
            seed,
            stream: Stream::new(seed, 0),
            limit,
            steps_max: STEPS_MAX,
            begun: 0,
            exhausted: false,
            cut: false,
        }
    }

    /// All schedules with at most so many preemptions, `limit` of them at most.
    pub(crate) fn bounded(preemptions: u32, limit: u64) -> Search {
        Search::new(What::Bounded(Bounded::new(preemptions)), 0, limit)
    }

    /// So many schedules in which chance decides at each point.
    pub(crate) fn random(seed: u64, schedules: u64) -> Search {
        Search::new(What::Random, seed, schedules)
    }

    /// So many schedules by random priorities that change `depth - 1` times.
    pub(crate) fn pct(depth: u32, seed: u64, schedules: u64) -> Search {
        let (priorities, changes) = (Vec::new(), Vec::new());
        Search::new(What::Pct(Pct { depth, priorities, changes, longest: 64 }), seed, schedules)
    }

    /// What loom chooses with at most so many preemptions, `limit` runs at most.
    pub(crate) fn loom(preemptions: u32, limit: u64) -> Search {
        Search::new(What::Loom(preemptions), 0, limit)
    }

    /// The bound of loom's search.
    pub(crate) fn preemptions(&self) -> u32 {
        if let What::Loom(preemptions) = self.what { preemptions } else { 0 }
    }

    /// Loom has made all its runs.
    pub(crate) fn exhaust(&mut self) {
        self.exhausted = true;
    }

    /// Just this schedule.
    pub(crate) fn given(turns: &[Turn]) -> Search {
        let mut search = Search::new(What::Given, 0, 1);
        search.plan = turns.to_vec();
        search
    }

    /// Begins the next schedule; false where there is none.
    pub(crate) fn next(&mut self) -> bool {
        if self.begun == self.limit {
            if let What::Bounded(bounded) = &self.what {
                self.exhausted = !self.cut && bounded.waiting.iter().all(|waiting| *waiting == 0);
            }
            return false;
        }
        let chosen = match &mut self.what {
            What::Bounded(bounded) => bounded.next(&mut self.plan, self.limit - self.begun - 1),
            _ => true,
        };
        if !chosen {
            self.exhausted = !self.cut;
            return false;
        }
        self.stream = Stream::new(self.seed, self.begun);
        if let What::Pct(pct) = &mut self.what {
            pct.priorities.clear();
            let stream = &mut self.stream;
            let change = |_| 1 + stream.below(pct.longest as usize) as u64;
            pct.changes = (1..pct.depth).map(change).collect();
        }
        self.begun += 1;
        self.made = 0;
        self.diverged = false;
        self.course.begin();
        if let What::Loom(preemptions) = self.what {
            self.course.turns.push(Turn::loom(preemptions, self.begun));
        }
        true
    }

    /// Who goes on where `thread` has come to its `point`th point and these can run.
    #[inline]
    pub(crate) fn decide(
        &mut self,
        runnable: Threads,
        thread: u16,
        point: u32,
        yields: bool,
    ) -> u16 {
        let place = self.course.come(runnable, thread, point, yields);
        let to = match &mut self.what {
            What::Bounded(bounded) => {
                let to = planned(&self.plan, &mut self.made, &mut self.diverged, &place, runnable);
                let is_free = self.made == self.plan.len();
                let may = !place.goes_on || bounded.wants_more();
                if is_free && may && place.choices & !bit(to) != 0 && !is_last(&self.plan, &place) {
                    bounded.noted |= place.goes_on;
                    bounded.places.push((place, to));
                }
                to
            }
            What::Given | What::Loom(_) => {
                planned(&self.plan, &mut self.made, &mut self.diverged, &place, runnable)
            }
            What::Random => {
                let nth = self.stream.below(place.choices.count_ones() as usize);
                each(place.choices).nth(nth).unwrap_or(place.usual)
            }
            What::Pct(pct) => pct.choose(&place, &mut self.stream, self.course.steps),
        };
        self.course.go(&place, to);
        to
    }

    /// The first point at which this thread, which goes on after its `point`th, has to ask again, as
    /// long as it neither waits nor yields: before, it would be told to go on, and that is all.
    #[inline]
    pub(crate) fn until(&self, thread: u16, point: u32) -> u32 {
        let asks = match &self.what {
            _ if self.course.yielders != 0 => return 0,
            What::Random | What::Pct(_) | What::Loom(_) => return 0,
            What::Given | What::Bounded(_) if self.diverged => u32::MAX,
            What::Bounded(bounded) if self.made == self.plan.len() => {
                if bounded.wants_more() {
                    0
                } else {
                    u32::MAX
                }
            }
            What::Given | What::Bounded(_) => match self.plan.get(self.made) {
                Some(next) if next.thread == thread => next.point,
                _ => u32::MAX,
            },
        };
        // A thread that never ends is noticed, too.
        asks.min(point.saturating_add(UNASKED_MAX))
    }

    /// Ends the present schedule.
    pub(crate) fn end(&mut self) {
        match &mut self.what {
            What::Bounded(bounded) => {
                let left = self.limit - self.begun;
                self.cut |= !bounded.expand(&self.plan, left);
            }
            What::Pct(pct) => pct.longest = pct.longest.max(self.course.steps),
            What::Random | What::Given | What::Loom(_) => {}
        }
    }

    /// The deviations that the present run has made so far.
    pub(crate) fn turns(&self) -> &[Turn] {
        &self.course.turns
    }

    /// Points that the present run has come to.
    pub(crate) fn steps(&self) -> u64 {
        self.course.steps
    }

    /// Whether the present run has come to more points than one that ends.
    pub(crate) fn is_too_long(&self) -> bool {
        self.course.steps >= self.steps_max
    }

    /// Ends runs at so many points.
    pub(crate) fn steps_max(mut self, points: u64) -> Search {
        self.steps_max = points;
        self
    }

    /// The deviation that could not be made, if the run has ended: its point never came, or whom it
    /// names could not run.
    pub(crate) fn diverged(&self) -> Option<Turn> {
        self.plan.get(self.made).copied()
    }

    /// Whether every schedule of the bound was run.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Schedules begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }
}

/// Whether this is the place of the plan's last deviation.
fn is_last(plan: &[Turn], place: &Place) -> bool {
    plan.last().is_some_and(|last| (last.thread, last.point) == (place.thread, place.point))
}

/// Who goes on by the plan, which a run that could not follow it is out of for good.
#[inline]
fn planned(
    plan: &[Turn],
    made: &mut usize,
    diverged: &mut bool,
    place: &Place,
    runnable: Threads,
) -> u16 {
    let Some(turn) = plan.get(*made) else { return place.usual };
    if *diverged || (turn.thread, turn.point) != (place.thread, place.point) {
        return place.usual;
    }
    if usize::from(turn.to) >= THREADS_MAX || runnable & bit(turn.to) == 0 {
        *diverged = true;
        return place.usual;
    }
    *made += 1;
    turn.to
}

impl Pct {
    fn choose(&mut self, place: &Place, stream: &mut Stream, step: u64) -> u16 {
        for thread in each(place.choices) {
            let thread = usize::from(thread);
            while self.priorities.len() <= thread {
                self.priorities.push(stream.next() | 1 << 63);
            }
        }
        for (lower, change) in self.changes.iter().enumerate() {
            if *change == step && usize::from(place.thread) < self.priorities.len() {
                self.priorities[usize::from(place.thread)] = lower as u64;
            }
        }
        let by = |thread: &u16| self.priorities[usize::from(*thread)];
        each(place.choices).max_by_key(by).unwrap_or(place.usual)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// What a thread of a tiny program does. Before each there is a point.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Act {
        Step,
        Lock(usize),
        Unlock(usize),
        /// Waits until the other threads are done.
        Join,
        /// Goes on once somebody has set the flag; yields until then.
        Spin,
        Set,
    }

    use Act::{Join, Lock, Set, Spin, Step, Unlock};

    /// Which thread goes on, told who can, who asks, and whether it yields.
    type Choose<'a> = dyn FnMut(Threads, u16, bool) -> u16 + 'a;

    /// The threads in the order of their acts, and whether all came to their end.
    type Order = (Vec<u16>, bool);

    fn play(program: &[&[Act]], choose: &mut Choose<'_>) -> Order {
        let mut at = vec![0; program.len()];
        let mut held = BTreeSet::new();
        let mut flag = false;
        let mut thread = 0_u16;
        let mut order = Vec::new();
        let mut yields = false;
        loop {
            let can = |thread: usize, held: &BTreeSet<usize>| match program[thread].get(at[thread])
            {
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

    /// All orders with at most so many preemptions, by trying every choice at every point.
    fn brute(program: &[&[Act]], preemptions: usize) -> BTreeSet<Order> {
        let mut orders = BTreeSet::new();
        let mut prefixes = vec![Vec::new()];
        while let Some(prefix) = prefixes.pop() {
            let (mut nth, mut used) = (0, 0);
            let mut made: Vec<u16> = Vec::new();
            let mut over = false;
            let order = play(program, &mut |runnable, thread, _| {
                let goes_on = runnable & bit(thread) != 0;
                let cost = |to: u16| usize::from(goes_on && to != thread);
                let to = match prefix.get(nth) {
                    Some(to) => *to,
                    None => {
                        let mut choices = each(runnable);
                        let first = choices.next().expect("somebody can run");
                        for other in choices {
                            prefixes.push(made.iter().copied().chain([other]).collect());
                        }
                        first
                    }
                };
                nth += 1;
                used += cost(to);
                over |= used > preemptions;
                made.push(to);
                to
            });
            if !over {
                orders.insert(order);
            }
        }
        orders
    }

    /// The schedules of a search, each with its deviations, and what came of it.
    fn searched(program: &[&[Act]], mut search: Search) -> (Vec<(Vec<Turn>, Order)>, Search) {
        let mut all = Vec::new();
        while search.next() {
            let mut points = BTreeMap::new();
            let order = play(program, &mut |runnable, thread, yields| {
                assert!(search.steps() < 1000, "this one does not end");
                let point = points.entry(thread).and_modify(|n| *n += 1).or_insert(1);
                search.decide(runnable, thread, *point, yields)
            });
            assert_eq!(search.diverged(), None);
            all.push((search.turns().to_vec(), order));
            search.end();
        }
        (all, search)
    }

    const COUNTERS: [&[Act]; 2] = [&[Step, Step, Step], &[Step, Step, Step]];
    const LOCKS: [&[Act]; 3] =
        [&[Step, Join, Step], &[Lock(0), Step, Unlock(0), Step], &[Step, Lock(0), Unlock(0)]];
    const EMBRACE: [&[Act]; 3] = [
        &[Lock(0), Lock(1), Unlock(1), Unlock(0)],
        &[Lock(1), Lock(0), Unlock(0), Unlock(1)],
        &[Step, Step],
    ];

    #[test]
    fn the_bounded_search_runs_just_the_schedules_that_trying_everything_finds() {
        for program in [&COUNTERS[..], &LOCKS, &EMBRACE] {
            let mut last = 0;
            for preemptions in 0..=3 {
                let expected = brute(program, preemptions);
                let search = Search::bounded(preemptions as u32, u64::MAX);
                let (found, search) = searched(program, search);
                assert!(search.is_exhausted());
                let orders: BTreeSet<_> = found.iter().map(|(_, order)| order.clone()).collect();
                assert_eq!(orders, expected, "{program:?} with {preemptions}");
                assert_eq!(found.len(), expected.len(), "each is run once");
                assert!(found.len() > last, "each preemption adds some");
                last = found.len();
            }
        }
        let ends = |preemptions| brute(&EMBRACE, preemptions).iter().all(|(_, ends)| *ends);
        assert!(ends(0) && !ends(1), "one preemption is enough for the deadlock");
    }

    #[test]
    fn fewest_preemptions_come_first() {
        let (found, _) = searched(&COUNTERS, Search::bounded(3, u64::MAX));
        let lengths: Vec<usize> = found.iter().map(|(turns, _)| turns.len()).collect();
        assert!(lengths.is_sorted(), "{lengths:?}");
        assert!(found[0].0.is_empty(), "the first is the one without deviations");
    }

    #[test]
    fn a_limit_cuts_the_search_and_that_is_said() {
        let (all, _) = searched(&LOCKS, Search::bounded(2, u64::MAX));
        let (some, search) = searched(&LOCKS, Search::bounded(2, 10));
        assert_eq!(some[..], all[..10]);
        assert!(!search.is_exhausted());
        let (whole, mut search) = searched(&LOCKS, Search::bounded(2, all.len() as u64));
        assert_eq!(whole, all);
        assert!(
            !search.next() && search.is_exhausted(),
            "a limit that is just enough cuts nothing"
        );
    }

    #[test]
    fn any_schedule_is_run_again_by_its_deviations() {
        for search in [Search::bounded(3, u64::MAX), Search::random(7, 200), Search::pct(3, 7, 200)]
        {
            let (found, _) = searched(&EMBRACE, search);
            let orders: BTreeSet<_> = found.iter().map(|(_, order)| order.clone()).collect();
            assert!(orders.len() > 15, "{} orders", orders.len());
            for (turns, order) in found {
                let (again, _) = searched(&EMBRACE, Search::given(&turns));
                assert_eq!(again, [(turns, order)]);
            }
        }
    }

    #[test]
    fn who_asks_only_where_it_has_to_is_told_the_same() {
        let (asked, _) = searched(&EMBRACE, Search::bounded(2, u64::MAX));
        let mut search = Search::bounded(2, u64::MAX);
        let (mut told, mut questions, mut all) = (Vec::new(), 0, 0);
        while search.next() {
            let mut points = BTreeMap::new();
            let mut until = 0;
            let order = play(&EMBRACE, &mut |runnable, thread, yields| {
                let point = *points.entry(thread).and_modify(|n| *n += 1).or_insert(1);
                all += 1;
                if runnable & bit(thread) != 0 && point < until {
                    return thread;
                }
                questions += 1;
                let to = search.decide(runnable, thread, point, yields);
                until = search.until(to, points.get(&to).copied().unwrap_or(0));
                to
            });
            told.push((search.turns().to_vec(), order));
            search.end();
        }
        assert_eq!(told, asked);
        assert!(questions * 3 < all * 2, "{questions} of {all} points were asked about");
    }

    #[test]
    fn chance_comes_from_the_seed() {
        let orders = |seed| searched(&COUNTERS, Search::random(seed, 50)).0;
        assert_eq!(orders(1), orders(1));
        assert_ne!(orders(1), orders(2));
    }

    #[test]
    fn loops_that_wait_for_another_thread_end_in_every_schedule() {
        let spins: [&[Act]; 3] = [&[Spin, Step], &[Spin, Step], &[Step, Set]];
        let (found, search) = searched(&spins, Search::bounded(2, u64::MAX));
        assert!(search.is_exhausted());
        assert!(found.iter().all(|(_, (_, ends))| *ends));
        assert!(found.len() > 10 && found.len() < 2000, "{} schedules", found.len());
        let turns: BTreeSet<_> = found.iter().map(|(turns, _)| turns).collect();
        assert_eq!(turns.len(), found.len());
    }

    #[test]
    fn a_schedule_that_does_not_fit_is_told_where() {
        for (line, left) in [
            ("T0@2>T1", None),
            ("T0@9>T1", Some("T0@9>T1")),
            ("T0@2>T7", Some("T0@2>T7")),
            ("T0@2>T1,T0@1>T1", Some("T0@1>T1")),
        ] {
            let mut search = Search::given(&crate::turn::read(line).expect("read"));
            assert!(search.next());
            let mut points = BTreeMap::new();
            play(&COUNTERS, &mut |runnable, thread, yields| {
                let point = points.entry(thread).and_modify(|n| *n += 1).or_insert(1);
                search.decide(runnable, thread, *point, yields)
            });
            let left = left.map(|left| left.parse().expect("a turn"));
            assert_eq!(search.diverged(), left, "{line}");
        }
    }
}
