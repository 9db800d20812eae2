//! Which thread goes on where: searches over schedules. Pure: who asks runs the threads.
//!
//! A search is asked at each scheduling point and answers with a thread. The *bounded* one takes
//! every schedule with at most k preemptions, those with the fewest first, each once: a queue of
//! deviations, of which a run that has ended adds those that deviate once more, and later. It is
//! exhausted when the queue is empty. Memory is the queue.
//!
//! A thread that yields gives up its turn, and one that yields again before others have had theirs
//! has to wait for them: so loops that wait for another thread end, and so does the search.

use crate::rt::thread_set::{THREADS_MAX, ThreadSet, bit, each};
use crate::schedule::Preemption;
use crate::schedule::bounded::Bounded;
use crate::schedule::fairness::{Fairness, SchedulingPoint};
use crate::trace::Stream;

/// Priorities, with changes at a few random steps.
struct Pct {
    depth: u32,
    priorities: Vec<u64>,
    changes: Vec<u64>,
    /// Steps of the longest run so far, from which the changes are drawn.
    longest: u64,
}

enum SearchKind {
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
pub(crate) const STEPS_MAX: u64 = 1_000_000;

/// What is searched, and how far it is.
pub(crate) struct Search {
    what: SearchKind,
    course: Fairness,
    /// The deviations that the present schedule was chosen for, and how many of them were made.
    plan: Vec<Preemption>,
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
    fn new(what: SearchKind, seed: u64, limit: u64) -> Search {
        Search {
            what,
            course: Fairness::new(),
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
        Search::new(SearchKind::Bounded(Bounded::new(preemptions)), 0, limit)
    }

    /// A sample of all schedules with at most so many preemptions, `limit` of them at most: the one
    /// without deviations, and then whichever chance takes.
    pub(crate) fn drawn(preemptions: u32, seed: u64, limit: u64) -> Search {
        Search::new(SearchKind::Bounded(Bounded::drawn(preemptions, seed)), 0, limit)
    }

    /// So many schedules in which chance decides at each point.
    pub(crate) fn random(seed: u64, schedules: u64) -> Search {
        Search::new(SearchKind::Random, seed, schedules)
    }

    /// So many schedules by random priorities that change `depth - 1` times.
    pub(crate) fn pct(depth: u32, seed: u64, schedules: u64) -> Search {
        let (priorities, changes) = (Vec::new(), Vec::new());
        Search::new(
            SearchKind::Pct(Pct { depth, priorities, changes, longest: 64 }),
            seed,
            schedules,
        )
    }

    /// What loom chooses with at most so many preemptions, `limit` runs at most.
    pub(crate) fn loom(preemptions: u32, limit: u64) -> Search {
        Search::new(SearchKind::Loom(preemptions), 0, limit)
    }

    /// The bound of loom's search.
    pub(crate) fn preemptions(&self) -> u32 {
        if let SearchKind::Loom(preemptions) = self.what { preemptions } else { 0 }
    }

    /// Loom has made all its runs.
    pub(crate) fn exhaust(&mut self) {
        self.exhausted = true;
    }

    /// Just this schedule.
    pub(crate) fn given(turns: &[Preemption]) -> Search {
        let mut search = Search::new(SearchKind::Given, 0, 1);
        search.plan = turns.to_vec();
        search
    }

    /// Begins the next schedule; false where there is none.
    pub(crate) fn next(&mut self) -> bool {
        if self.begun == self.limit {
            if let SearchKind::Bounded(bounded) = &self.what {
                self.exhausted = !self.cut && bounded.is_empty();
            }
            return false;
        }
        let chosen = match &mut self.what {
            SearchKind::Bounded(bounded) => {
                bounded.next(&mut self.plan, self.limit - self.begun - 1)
            }
            _ => true,
        };
        if !chosen {
            self.exhausted = !self.cut;
            return false;
        }
        self.stream = Stream::new(self.seed, self.begun);
        if let SearchKind::Pct(pct) = &mut self.what {
            pct.priorities.clear();
            let stream = &mut self.stream;
            let change = |_| 1 + stream.below(pct.longest as usize) as u64;
            pct.changes = (1..pct.depth).map(change).collect();
        }
        self.begun += 1;
        self.made = 0;
        self.diverged = false;
        self.course.begin();
        if let SearchKind::Loom(preemptions) = self.what {
            self.course.turns.push(Preemption::loom(preemptions, self.begun));
        }
        true
    }

    /// Who goes on where `thread` has come to its `point`th point and these can run.
    #[inline]
    pub(crate) fn decide(
        &mut self,
        runnable: ThreadSet,
        thread: u16,
        point: u32,
        yields: bool,
    ) -> u16 {
        let place = self.course.come(runnable, thread, point, yields);
        let to = match &mut self.what {
            SearchKind::Bounded(bounded) => {
                let to = planned(&self.plan, &mut self.made, &mut self.diverged, &place, runnable);
                let is_free = self.made == self.plan.len();
                if is_free && !is_last(&self.plan, &place) {
                    bounded.note(place, to);
                }
                to
            }
            SearchKind::Given | SearchKind::Loom(_) => {
                planned(&self.plan, &mut self.made, &mut self.diverged, &place, runnable)
            }
            SearchKind::Random => {
                let nth = self.stream.below(place.choices.count_ones() as usize);
                each(place.choices).nth(nth).unwrap_or(place.usual)
            }
            SearchKind::Pct(pct) => pct.choose(&place, &mut self.stream, self.course.steps),
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
            SearchKind::Random | SearchKind::Pct(_) | SearchKind::Loom(_) => return 0,
            SearchKind::Given | SearchKind::Bounded(_) if self.diverged => u32::MAX,
            SearchKind::Bounded(bounded) if self.made == self.plan.len() => {
                if bounded.wants_more() { 0 } else { u32::MAX }
            }
            SearchKind::Given | SearchKind::Bounded(_) => match self.plan.get(self.made) {
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
            SearchKind::Bounded(bounded) => {
                let left = self.limit - self.begun;
                self.cut |= !bounded.expand(&self.plan, left);
            }
            SearchKind::Pct(pct) => pct.longest = pct.longest.max(self.course.steps),
            SearchKind::Random | SearchKind::Given | SearchKind::Loom(_) => {}
        }
    }

    /// The deviations that the present run has made so far.
    pub(crate) fn turns(&self) -> &[Preemption] {
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
    pub(crate) fn diverged(&self) -> Option<Preemption> {
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
fn is_last(plan: &[Preemption], place: &SchedulingPoint) -> bool {
    plan.last().is_some_and(|last| (last.thread, last.point) == (place.thread, place.point))
}

/// Who goes on by the plan, which a run that could not follow it is out of for good.
#[inline]
fn planned(
    plan: &[Preemption],
    made: &mut usize,
    diverged: &mut bool,
    place: &SchedulingPoint,
    runnable: ThreadSet,
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
    fn choose(&mut self, place: &SchedulingPoint, stream: &mut Stream, step: u64) -> u16 {
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
