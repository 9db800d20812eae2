//! Searches over schedules: which thread continues at which scheduling point. A search only
//! decides; a host runs the threads.
//!
//! The *bounded* search takes every schedule within a bound, each once, those that cost least first,
//! from a queue (`bounded.rs`). After each run it adds schedules that deviate once more from what that
//! run did: all of them, or those that reverse a race (`races.rs`).
//!
//! A *portfolio* has several parts that take turns: bounded searches, PCT, and random walks.

use crate::rt::own_choice::OwnChoice;
use crate::rt::run_log::{Choices, RunLog};
use crate::schedule::Preemption;
use crate::schedule::bounded::Bounded;
use crate::schedule::default_order::{Bound, default_thread, is_possible, wakes_early};
use crate::schedule::fault_focus::{Guide, ThreadSteps};
pub(crate) use crate::schedule::options::SearchOptions;
use crate::schedule::part::{Part, PartKind, random_choice};
use crate::schedule::pct::Pct;
use crate::trace::Stream;

/// The number of points after which a thread has to ask for a decision, even if there is none to
/// make.
const UNASKED_MAX: u32 = 10_000;

/// The number of scheduling points at which a run counts as endless, unless a caller sets another.
pub(crate) const STEPS_MAX: u64 = 1_000_000;

/// A run with fewer scheduling points than this never counts as endless.
const STEPS_MIN: u64 = 20_000;

/// The number of schedules that the first part of a portfolio makes in the first round. The others
/// make fewer, and each round has twice as many as the one before.
const FIRST_ROUND: u64 = 64;

/// What is searched, and how far the search is.
pub(crate) struct Search {
    parts: Vec<Part>,
    /// The part whose turn it is, and how many schedules are left of its turn.
    current: usize,
    turn_left: u64,
    round: u32,
    options: SearchOptions,
    /// The deviations of the present schedule, and how many of them the run has made.
    plan: Vec<Preemption>,
    made: usize,
    /// Whether the run could not make a deviation, because the thread it names could not run.
    diverged: bool,
    /// The deviations that the present run has made, planned or not.
    preemptions: Vec<Preemption>,
    /// The waits of the present run that ended early.
    woken: u32,
    /// The futures that the present run has dropped.
    cancelled: u32,
    /// The number of scheduling points that the present run has reached.
    steps: u64,
    stream: Stream,
    steps_max: u64,
    guide: Guide,
}

impl Search {
    fn new(parts: Vec<Part>, options: SearchOptions) -> Search {
        let mut search = Search {
            parts,
            current: 0,
            turn_left: u64::MAX,
            round: 0,
            options,
            plan: Vec::new(),
            made: 0,
            diverged: false,
            preemptions: Vec::new(),
            woken: 0,
            cancelled: 0,
            steps: 0,
            stream: Stream::new(0, 0),
            steps_max: STEPS_MAX,
            guide: Guide::Off,
        };
        if search.parts.len() > 1 {
            search.turn_left = search.turn();
        }
        search
    }

    fn of(
        kind: PartKind,
        name: &'static str,
        seed: u64,
        limit: u64,
        options: SearchOptions,
    ) -> Search {
        Search::new(vec![Part::new(kind, name, seed, limit)], options)
    }

    /// All schedules within the bound, up to `limit` of them.
    pub(crate) fn bounded(bound: Bound, options: SearchOptions, limit: u64) -> Search {
        let bounded = Bounded::new(bound, options);
        Search::of(PartKind::Bounded(Box::new(bounded)), bound.search_name(), 0, limit, options)
    }

    /// A random sample of the schedules within the bound, up to `limit` of them. The first is the
    /// default schedule.
    pub(crate) fn sampled(bound: Bound, options: SearchOptions, seed: u64, limit: u64) -> Search {
        let bounded = Bounded::sampled(bound, options, seed);
        Search::of(PartKind::Bounded(Box::new(bounded)), "a sample", 0, limit, options)
    }

    /// This number of schedules with a random decision at each point.
    pub(crate) fn random(seed: u64, options: SearchOptions, schedules: u64) -> Search {
        Search::of(PartKind::Random, "random walks", seed, schedules, options)
    }

    /// This number of PCT schedules: random priorities that change `depth - 1` times.
    pub(crate) fn pct(depth: u32, seed: u64, options: SearchOptions, schedules: u64) -> Search {
        Search::of(PartKind::Pct(Pct::new(depth)), "PCT", seed, schedules, options)
    }

    /// A portfolio: all schedules with at most this number of preemptions, up to `limit` of them,
    /// and beside them up to `others` schedules of other searches. It ends early if the bounded part
    /// has run all schedules there are.
    pub(crate) fn portfolio(
        bound: Bound,
        seed: u64,
        options: SearchOptions,
        limit: u64,
        others: u64,
    ) -> Search {
        let all = Bounded::new(bound, options);
        let delays = Bound::Delays(3);
        let delayed = Bounded::new(delays, options);
        let bounded = |part: Bounded, bound: Bound, limit| {
            Part::new(PartKind::Bounded(Box::new(part)), bound.search_name(), seed, limit)
        };
        let pct = |depth, name, share| {
            let limit = (others / 8).max(1);
            Part { share, ..Part::new(PartKind::Pct(Pct::new(depth)), name, seed, limit) }
        };
        let parts = vec![
            Part { share: 4, ..bounded(all, bound, limit) },
            Part { share: 2, ..bounded(delayed, delays, (others / 4).max(1)) },
            pct(2, "PCT with depth 2", 1),
            pct(3, "PCT with depth 3", 1),
            pct(5, "PCT with depth 5", 1),
            Part { share: 2, ..Part::new(PartKind::Random, "random walks", seed, others / 4) },
        ];
        Search::new(parts, options)
    }

    /// The schedules that loom chooses with at most this number of preemptions, up to `limit` of
    /// them.
    pub(crate) fn loom(preemptions: u32, limit: u64) -> Search {
        Search::of(PartKind::Loom(preemptions), "loom", 0, limit, SearchOptions::DEFAULT)
    }

    /// This schedule alone.
    pub(crate) fn given(schedule: &[Preemption]) -> Search {
        let name = "the given schedule";
        let mut search = Search::of(PartKind::Given, name, 0, 1, SearchOptions::UNLIMITED);
        search.plan = schedule.to_vec();
        search
    }

    /// The bound of loom's search; 0 for any other.
    pub(crate) fn loom_bound(&self) -> u32 {
        match self.parts[0].kind {
            PartKind::Loom(preemptions) => preemptions,
            _ => 0,
        }
    }

    /// Notes that loom has made all its runs.
    pub(crate) fn set_exhausted(&mut self) {
        self.parts[0].exhausted = true;
    }

    /// The number of schedules of the present part's turn.
    fn turn(&self) -> u64 {
        let part = &self.parts[self.current];
        (FIRST_ROUND / 4).saturating_mul(part.share) << self.round.min(40)
    }

    /// Lets the next part take its turn. Returns whether one is left.
    fn pass_turn(&mut self) -> bool {
        let all_is_run = self.parts[0].exhausted && !self.exceeds_bound();
        if all_is_run || self.parts.iter().all(Part::is_finished) {
            return false;
        }
        loop {
            self.current += 1;
            if self.current == self.parts.len() {
                (self.current, self.round) = (0, self.round + 1);
            }
            if !self.parts[self.current].is_finished() {
                self.turn_left = self.turn();
                return true;
            }
        }
    }

    /// Begins the next schedule. Returns whether there is one.
    pub(crate) fn next(&mut self) -> bool {
        loop {
            if self.turn_left > 0 && self.parts[self.current].next(&mut self.plan) {
                break;
            }
            if self.parts.len() == 1 || !self.pass_turn() {
                return false;
            }
        }
        self.turn_left -= 1;
        let part = &mut self.parts[self.current];
        self.stream = Stream::new(part.seed, part.begun - 1);
        self.preemptions.clear();
        match &mut part.kind {
            PartKind::Pct(pct) => pct.begin(&mut self.stream),
            PartKind::Loom(preemptions) => {
                self.preemptions.push(Preemption::of_loom(*preemptions, part.begun));
            }
            _ => {}
        }
        (self.made, self.diverged, self.steps) = (0, false, 0);
        (self.woken, self.cancelled) = (0, 0);
        true
    }

    /// Decides which thread continues where `thread` has reached its `point`th point, the run's
    /// `step`th. There has to be a thread that can.
    #[inline]
    pub(crate) fn decide(&mut self, choices: &Choices, thread: u16, point: u32, step: u64) -> u16 {
        self.steps = step;
        let default = default_thread(choices, thread).unwrap_or(thread);
        let part = &mut self.parts[self.current];
        let is_random = matches!(part.kind, PartKind::Random | PartKind::Pct(_));
        let may_cancel = is_random && self.cancelled < self.options.cancels;
        let own = if is_random {
            random_choice(choices.offers, may_cancel, &mut self.stream)
        } else {
            None
        };
        let to = match &mut part.kind {
            _ if let Some(own) = own => own.by(thread),
            PartKind::Bounded(_) | PartKind::Given | PartKind::Loom(_) => {
                self.planned(choices, thread, point).unwrap_or(default)
            }
            PartKind::Random => {
                let mut candidates = choices.ready | choices.idle;
                candidates |= choices.next.into_iter().collect();
                if self.woken < self.options.wakes
                    && !choices.waking.is_empty()
                    && self.stream.once_in(8)
                {
                    candidates |= choices.waking;
                }
                let nth = self.stream.below(candidates.len().max(1));
                candidates.iter().nth(nth).unwrap_or(default)
            }
            PartKind::Pct(pct) => {
                let early = self.woken < self.options.wakes && self.stream.once_in(8);
                pct.choose(choices, (thread, point), early, &mut self.stream).unwrap_or(default)
            }
        };
        if to != default {
            self.preemptions.push(Preemption { thread, point, to });
        }
        self.woken += u32::from(wakes_early(choices, to));
        self.cancelled += u32::from(OwnChoice::split(to).1.is_drop());
        to
    }

    /// The thread that continues by the plan, if it deviates from the default here. A run that could
    /// not make one deviation makes no later one.
    #[inline]
    fn planned(&mut self, choices: &Choices, thread: u16, point: u32) -> Option<u16> {
        let next = self.plan.get(self.made)?;
        if self.diverged || (next.thread, next.point) != (thread, point) {
            return None;
        }
        if !is_possible(choices, next.to) {
            self.diverged = true;
            return None;
        }
        self.made += 1;
        Some(next.to)
    }

    /// The first point at which this thread, which continues after its `point`th one, has to ask
    /// for a decision again, as long as it does not have to wait. At all points before it the
    /// decision would be that the thread continues.
    #[inline]
    pub(crate) fn next_decision(&self, thread: u16, point: u32) -> u32 {
        let next_decision = match &self.parts[self.current].kind {
            PartKind::Random | PartKind::Pct(_) | PartKind::Loom(_) => return 0,
            PartKind::Given | PartKind::Bounded(_) if self.diverged => u32::MAX,
            PartKind::Given | PartKind::Bounded(_) => match self.plan.get(self.made) {
                Some(next) if next.thread == thread => next.point,
                _ => u32::MAX,
            },
        };
        // The limit lets the search notice a thread that never ends.
        next_decision.min(point.saturating_add(UNASKED_MAX))
    }

    /// Ends the present schedule, with the log of its run if it was wanted.
    pub(crate) fn end(&mut self, log: &RunLog) {
        self.steps = self.steps.max(log.steps.len() as u64);
        if !self.is_too_long(self.steps) {
            // A run that is a hundred times as long as another one counts as endless, too.
            self.steps_max = self.steps_max.min(self.steps.saturating_mul(100).max(STEPS_MIN));
        }
        // The first run of a bounded search is that of the default schedule.
        if self.begun() == 1
            && let Some(focus) = self.guide.note(log)
        {
            self.parts.iter_mut().for_each(|part| part.set_focus(&focus));
        }
        let part = &mut self.parts[self.current];
        match &mut part.kind {
            PartKind::Bounded(bounded) => {
                let left = part.limit - part.begun;
                part.cut |= !bounded.expand(log, self.plan.len(), left, part.cut);
            }
            PartKind::Pct(pct) => pct.end(),
            PartKind::Random | PartKind::Given | PartKind::Loom(_) => {}
        }
    }

    /// The deviations that the present run has made so far.
    pub(crate) fn preemptions(&self) -> &[Preemption] {
        &self.preemptions
    }

    /// The number of scheduling points that the present run has reached.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether a run that has reached this many points counts as endless.
    pub(crate) fn is_too_long(&self, steps: u64) -> bool {
        steps >= self.steps_max
    }

    /// Says what the search does with the run of the default schedule, if that is its first one.
    pub(crate) fn guide(mut self, guide: Guide) -> Search {
        if self.options.guided && matches!(self.parts[0].kind, PartKind::Bounded(_)) {
            self.guide = guide;
        }
        self
    }

    /// The steps of the default schedule's run, if they were recorded.
    pub(crate) fn default_run(&self) -> &[ThreadSteps] {
        self.guide.recorded()
    }

    /// Makes runs count as endless at this number of points.
    pub(crate) fn steps_max(mut self, points: u64) -> Search {
        self.steps_max = points;
        self
    }

    /// After the run: the deviation that could not be made, because its point was never reached, or
    /// the thread that it names could not run.
    pub(crate) fn diverged(&self) -> Option<Preemption> {
        match self.parts[self.current].kind {
            PartKind::Bounded(_) | PartKind::Given | PartKind::Loom(_) => {
                self.plan.get(self.made).copied()
            }
            PartKind::Random | PartKind::Pct(_) => None,
        }
    }

    /// Whether every schedule within the bound was run.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.parts[0].exhausted
    }

    /// Whether schedules exist that exceed the bound of the first part.
    pub(crate) fn exceeds_bound(&self) -> bool {
        match &self.parts[0].kind {
            PartKind::Bounded(bounded) => bounded.exceeded() || bounded.exceeded_wakes(),
            _ => true,
        }
    }

    /// The number of schedules that were begun.
    pub(crate) fn begun(&self) -> u64 {
        self.parts.iter().map(|part| part.begun).sum()
    }

    /// The name of the part that made the present schedule; `None` if there is only one.
    pub(crate) fn part(&self) -> Option<&'static str> {
        (self.parts.len() > 1).then(|| self.parts[self.current].name)
    }

    /// For each part its name, and how many schedules it has begun.
    pub(crate) fn results(&self) -> Vec<(String, u64)> {
        self.parts.iter().map(|part| (part.name.to_owned(), part.begun)).collect()
    }
}
