//! Searches over schedules: which thread continues at which scheduling point. A search only
//! decides; a host runs the threads.
//!
//! The *bounded* search takes every schedule with at most k preemptions, each once, those with the
//! fewest first. It has a queue of schedules, each as its deviations from the default one. After
//! each run it adds the schedules that deviate from that run once more, at a later point. It is
//! exhausted when the queue is empty. Its memory is the queue.
//!
//! A thread that yields lets others run, and one that yields again before those that could run have
//! done so has to wait for them. So loops that wait for another thread end, and the search ends as
//! well.

use crate::rt::thread_set::{THREADS_MAX, ThreadSet, bit, each};
use crate::schedule::Preemption;
use crate::schedule::bounded::Bounded;
use crate::schedule::fairness::{Fairness, SchedulingPoint};
use crate::trace::Stream;

/// PCT (probabilistic concurrency testing): the thread with the highest random priority runs, and
/// at `depth - 1` random steps the priority of the running thread drops below all others.
struct Pct {
    depth: u32,
    /// By thread.
    priorities: Vec<u64>,
    /// The steps at which a priority drops.
    changes: Vec<u64>,
    /// The steps of the longest run so far: `changes` are drawn from as many.
    longest: u64,
}

enum SearchKind {
    Bounded(Bounded),
    Random,
    Pct(Pct),
    Given,
    /// Loom's own search with this bound of preemptions. Its runs are only counted here.
    Loom(u32),
}

/// The number of points after which a thread has to ask for a decision, even if there is none to
/// make.
const UNASKED_MAX: u32 = 10_000;

/// The number of scheduling points at which a run counts as endless, unless a caller sets another.
pub(crate) const STEPS_MAX: u64 = 1_000_000;

/// What is searched, and how far the search is.
pub(crate) struct Search {
    kind: SearchKind,
    fairness: Fairness,
    /// The deviations of the present schedule, and how many of them the run has made.
    plan: Vec<Preemption>,
    made: usize,
    /// Whether the run could not make a deviation, because the thread it names could not run.
    diverged: bool,
    seed: u64,
    stream: Stream,
    /// The number of schedules to run at most.
    limit: u64,
    steps_max: u64,
    begun: u64,
    exhausted: bool,
    /// Whether schedules were left out because of the limit.
    cut: bool,
}

impl Search {
    fn new(kind: SearchKind, seed: u64, limit: u64) -> Search {
        Search {
            kind,
            fairness: Fairness::new(),
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

    /// All schedules with at most this number of preemptions, up to `limit` of them.
    pub(crate) fn bounded(preemptions: u32, limit: u64) -> Search {
        Search::new(SearchKind::Bounded(Bounded::new(preemptions)), 0, limit)
    }

    /// A random sample of the schedules with at most this number of preemptions, up to `limit` of
    /// them. The first is the default schedule.
    pub(crate) fn sampled(preemptions: u32, seed: u64, limit: u64) -> Search {
        Search::new(SearchKind::Bounded(Bounded::sampled(preemptions, seed)), 0, limit)
    }

    /// This number of schedules with a random decision at each point.
    pub(crate) fn random(seed: u64, schedules: u64) -> Search {
        Search::new(SearchKind::Random, seed, schedules)
    }

    /// This number of PCT schedules: random priorities that change `depth - 1` times.
    pub(crate) fn pct(depth: u32, seed: u64, schedules: u64) -> Search {
        let (priorities, changes) = (Vec::new(), Vec::new());
        Search::new(
            SearchKind::Pct(Pct { depth, priorities, changes, longest: 64 }),
            seed,
            schedules,
        )
    }

    /// The schedules that loom chooses with at most this number of preemptions, up to `limit` of
    /// them.
    pub(crate) fn loom(preemptions: u32, limit: u64) -> Search {
        Search::new(SearchKind::Loom(preemptions), 0, limit)
    }

    /// The bound of loom's search; 0 for any other.
    pub(crate) fn loom_bound(&self) -> u32 {
        if let SearchKind::Loom(preemptions) = self.kind { preemptions } else { 0 }
    }

    /// Notes that loom has made all its runs.
    pub(crate) fn set_exhausted(&mut self) {
        self.exhausted = true;
    }

    /// This schedule alone.
    pub(crate) fn given(schedule: &[Preemption]) -> Search {
        let mut search = Search::new(SearchKind::Given, 0, 1);
        search.plan = schedule.to_vec();
        search
    }

    /// Begins the next schedule. Returns whether there is one.
    pub(crate) fn next(&mut self) -> bool {
        if self.begun == self.limit {
            if let SearchKind::Bounded(bounded) = &self.kind {
                self.exhausted = !self.cut && bounded.is_empty();
            }
            return false;
        }
        let is_chosen = match &mut self.kind {
            SearchKind::Bounded(bounded) => {
                bounded.next(&mut self.plan, self.limit - self.begun - 1)
            }
            _ => true,
        };
        if !is_chosen {
            self.exhausted = !self.cut;
            return false;
        }
        self.stream = Stream::new(self.seed, self.begun);
        if let SearchKind::Pct(pct) = &mut self.kind {
            pct.priorities.clear();
            let stream = &mut self.stream;
            let change = |_| 1 + stream.below(pct.longest as usize) as u64;
            pct.changes = (1..pct.depth).map(change).collect();
        }
        self.begun += 1;
        self.made = 0;
        self.diverged = false;
        self.fairness.begin();
        if let SearchKind::Loom(preemptions) = self.kind {
            self.fairness.preemptions.push(Preemption::of_loom(preemptions, self.begun));
        }
        true
    }

    /// Decides which thread continues where `thread` has reached its `point`th point and the
    /// threads `runnable` can run.
    #[inline]
    pub(crate) fn decide(
        &mut self,
        runnable: ThreadSet,
        thread: u16,
        point: u32,
        yields: bool,
    ) -> u16 {
        let at = self.fairness.reach(runnable, thread, point, yields);
        let to = match &mut self.kind {
            SearchKind::Bounded(bounded) => {
                let to = planned(&self.plan, &mut self.made, &mut self.diverged, &at, runnable);
                // Further deviations come after the last planned one: so each schedule is added
                // once.
                let is_after_plan = self.made == self.plan.len() && !is_last(&self.plan, &at);
                if is_after_plan {
                    bounded.note(at, to);
                }
                to
            }
            SearchKind::Given | SearchKind::Loom(_) => {
                planned(&self.plan, &mut self.made, &mut self.diverged, &at, runnable)
            }
            SearchKind::Random => {
                let nth = self.stream.below(at.choices.count_ones() as usize);
                each(at.choices).nth(nth).unwrap_or(at.default)
            }
            SearchKind::Pct(pct) => pct.choose(&at, &mut self.stream, self.fairness.steps),
        };
        self.fairness.resume(&at, to);
        to
    }

    /// The first point at which this thread, which continues after its `point`th one, has to ask
    /// for a decision again, as long as it neither waits nor yields. At all points before it the
    /// decision would be that the thread continues.
    #[inline]
    pub(crate) fn next_decision(&self, thread: u16, point: u32) -> u32 {
        let next_decision = match &self.kind {
            _ if self.fairness.yielders != 0 => return 0,
            SearchKind::Random | SearchKind::Pct(_) | SearchKind::Loom(_) => return 0,
            SearchKind::Given | SearchKind::Bounded(_) if self.diverged => u32::MAX,
            SearchKind::Bounded(bounded) if self.made == self.plan.len() => {
                if bounded.notes_preemptions() { 0 } else { u32::MAX }
            }
            SearchKind::Given | SearchKind::Bounded(_) => match self.plan.get(self.made) {
                Some(next) if next.thread == thread => next.point,
                _ => u32::MAX,
            },
        };
        // The limit lets the search notice a thread that never ends.
        next_decision.min(point.saturating_add(UNASKED_MAX))
    }

    /// Ends the present schedule.
    pub(crate) fn end(&mut self) {
        match &mut self.kind {
            SearchKind::Bounded(bounded) => {
                let left = self.limit - self.begun;
                self.cut |= !bounded.expand(&self.plan, left);
            }
            SearchKind::Pct(pct) => pct.longest = pct.longest.max(self.fairness.steps),
            SearchKind::Random | SearchKind::Given | SearchKind::Loom(_) => {}
        }
    }

    /// The deviations that the present run has made so far.
    pub(crate) fn preemptions(&self) -> &[Preemption] {
        &self.fairness.preemptions
    }

    /// The number of scheduling points that the present run has reached.
    pub(crate) fn steps(&self) -> u64 {
        self.fairness.steps
    }

    /// Whether the present run has reached the number of points at which it counts as endless.
    pub(crate) fn is_too_long(&self) -> bool {
        self.fairness.steps >= self.steps_max
    }

    /// Makes runs count as endless at this number of points.
    pub(crate) fn steps_max(mut self, points: u64) -> Search {
        self.steps_max = points;
        self
    }

    /// After the run: the deviation that could not be made, because its point was never reached, or
    /// the thread that it names could not run.
    pub(crate) fn diverged(&self) -> Option<Preemption> {
        self.plan.get(self.made).copied()
    }

    /// Whether every schedule within the bound was run.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// The number of schedules that were begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }
}

/// Whether the plan's last deviation is at this point.
fn is_last(plan: &[Preemption], at: &SchedulingPoint) -> bool {
    plan.last().is_some_and(|last| (last.thread, last.point) == (at.thread, at.point))
}

/// The thread that continues by the plan. A run that could not make one deviation makes no later
/// one.
#[inline]
fn planned(
    plan: &[Preemption],
    made: &mut usize,
    diverged: &mut bool,
    at: &SchedulingPoint,
    runnable: ThreadSet,
) -> u16 {
    let Some(next) = plan.get(*made) else { return at.default };
    if *diverged || (next.thread, next.point) != (at.thread, at.point) {
        return at.default;
    }
    if usize::from(next.to) >= THREADS_MAX || runnable & bit(next.to) == 0 {
        *diverged = true;
        return at.default;
    }
    *made += 1;
    next.to
}

impl Pct {
    fn choose(&mut self, at: &SchedulingPoint, stream: &mut Stream, step: u64) -> u16 {
        for thread in each(at.choices) {
            let thread = usize::from(thread);
            while self.priorities.len() <= thread {
                // The top bit keeps random priorities above those of the changes.
                self.priorities.push(stream.next() | 1 << 63);
            }
        }
        for (lower, change) in self.changes.iter().enumerate() {
            if *change == step && usize::from(at.thread) < self.priorities.len() {
                self.priorities[usize::from(at.thread)] = lower as u64;
            }
        }
        let priority = |thread: &u16| self.priorities[usize::from(*thread)];
        each(at.choices).max_by_key(priority).unwrap_or(at.default)
    }
}
