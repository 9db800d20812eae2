//! Which other schedules a run suggests: partial-order reduction by reversing races.
//!
//! Two steps of different threads *race* if they access an object in ways that don't commute, and
//! nothing orders them but that. Only a schedule in which the second one comes first can show
//! something new, so only such schedules are suggested. All others differ from a schedule that is
//! run anyway by exchanges of steps that commute.
//!
//! This is dynamic partial-order reduction (Flanagan and Godefroid, 2005). Under a bound of
//! preemptions it is the bounded form (Coons, Musuvathi and McKinley, 2013): where reversing a race
//! costs a preemption, the schedule is also suggested that makes the switch where the thread that is
//! preempted began to run, since there it may be free. And a thread that has to wait is left for free:
//! so a step that waits for another one, as for a lock that is given up, is also tried before that. And
//! each racing step counts, not only the latest one of each thread: a schedule that reverses one race
//! after the other may exceed the bound where one that reverses both at once does not.

use std::collections::BTreeMap;

use crate::rt::access::{AccessKind, Object};
use crate::rt::run_log::{Access, RunLog};
use crate::rt::thread_set::ThreadSet;
use crate::schedule::default_order::Bound;

/// For each thread the number of its steps that are ordered before something.
type Clock = Vec<u32>;

fn join(clock: &mut Clock, other: &Clock) {
    if clock.len() < other.len() {
        clock.resize(other.len(), 0);
    }
    clock.iter_mut().zip(other).for_each(|(own, other)| *own = (*own).max(*other));
}

fn at(clock: &Clock, thread: u16) -> u32 {
    clock.get(usize::from(thread)).copied().unwrap_or(0)
}

/// The accesses of an object in one way so far.
struct KindHistory {
    kind: AccessKind,
    /// Step and thread, in order.
    accesses: Vec<(u32, u16)>,
    /// The threads among these.
    threads: ThreadSet,
    /// What is ordered before an access that depends on these.
    clock: Clock,
}

/// What a run has done to an object so far.
#[derive(Default)]
struct ObjectHistory(Vec<KindHistory>);

impl ObjectHistory {
    /// The accesses on which one of this kind depends.
    fn dependent(&self, kind: AccessKind) -> impl Iterator<Item = &KindHistory> {
        let dependencies = kind.dependencies();
        self.0.iter().filter(move |history| dependencies >> history.kind as u32 & 1 == 1)
    }

    fn add(&mut self, step: usize, thread: u16, kind: AccessKind, clock: &Clock) {
        let index = self.0.iter().position(|history| history.kind == kind);
        let history = match index {
            Some(index) => &mut self.0[index],
            None => {
                let (accesses, clock) = (Vec::new(), Clock::new());
                self.0.push(KindHistory { kind, accesses, threads: ThreadSet::EMPTY, clock });
                self.0.last_mut().expect("[mallory bug] it was just added")
            }
        };
        history.accesses.push((step as u32, thread));
        history.threads.insert(thread);
        join(&mut history.clock, clock);
    }
}

/// A suggestion: at this step, this thread goes on instead.
pub(crate) type Suggestion = (usize, u16);

/// Finds the races of a run.
struct RaceFinder<'a> {
    log: &'a RunLog,
    bound: Bound,
    /// For each step, how many steps its thread has made up to it, this one included.
    nth: Vec<u32>,
    /// By thread, its steps in order.
    by_thread: Vec<Vec<u32>>,
    clocks: Vec<Clock>,
    objects: BTreeMap<Object, ObjectHistory>,
    suggested: Vec<Suggestion>,
}

/// The deviations that this run suggests, in the order of their steps. What the steps before `known`
/// suggest has been added before, by a run that begins with the same ones.
pub(crate) fn suggestions(log: &RunLog, bound: Bound, known: usize) -> Vec<Suggestion> {
    let mut by_thread: Vec<Vec<u32>> = Vec::new();
    let mut nth = Vec::with_capacity(log.steps.len());
    for (index, step) in (0..).zip(&log.steps) {
        let thread = usize::from(step.thread);
        if by_thread.len() <= thread {
            by_thread.resize_with(thread + 1, Vec::new);
        }
        by_thread[thread].push(index);
        nth.push(by_thread[thread].len() as u32);
    }
    let clocks = vec![Clock::new(); by_thread.len()];
    let (objects, suggested) = (BTreeMap::new(), Vec::new());
    let mut finder = RaceFinder { log, bound, nth, by_thread, clocks, objects, suggested };
    finder.find(known);
    finder.suggested.sort_unstable();
    finder.suggested.dedup();
    finder.suggested
}

impl RaceFinder<'_> {
    fn find(&mut self, known: usize) {
        let mut accesses = self.log.accesses.as_slice();
        for step in 0..self.log.steps.len() {
            let end = accesses.iter().position(|access| access.step as usize > step);
            let (own, rest) = accesses.split_at(end.unwrap_or(accesses.len()));
            accesses = rest;
            self.add_step(step, own, step >= known);
        }
        for (thread, object, kind) in &self.log.pending {
            let (object, kind) = self.counted(*object, *kind);
            let clock = self.clocks.get(usize::from(*thread)).cloned().unwrap_or_default();
            self.find_races(*thread, &clock, object, kind);
        }
    }

    fn is_bounded(&self) -> bool {
        self.bound.limit() != u32::MAX
    }

    /// An access as it counts.
    fn counted(&self, object: Object, kind: AccessKind) -> (Object, AccessKind) {
        let is_ordered = kind == AccessKind::Give && self.log.ordered.contains(&object);
        (object, if is_ordered { AccessKind::Write } else { kind })
    }

    fn add_step(&mut self, step: usize, accesses: &[Access], suggests: bool) {
        let present = self.log.steps[step];
        let thread = present.thread;
        let mut clock = std::mem::take(&mut self.clocks[usize::from(thread)]);
        for access in accesses.iter().filter(|_| suggests) {
            let (object, kind) = self.counted(access.object, access.kind);
            self.find_races(thread, &clock, object, kind);
        }
        for access in accesses {
            let (object, kind) = self.counted(access.object, access.kind);
            let Some(history) = self.objects.get(&object) else { continue };
            for theirs in history.dependent(kind) {
                join(&mut clock, &theirs.clock);
            }
        }
        if clock.len() <= usize::from(thread) {
            clock.resize(usize::from(thread) + 1, 0);
        }
        clock[usize::from(thread)] = self.nth[step];
        for access in accesses {
            let (object, kind) = self.counted(access.object, access.kind);
            self.objects.entry(object).or_default().add(step, thread, kind, &clock);
        }
        self.clocks[usize::from(thread)] = clock;
        if !suggests {
            return;
        }
        self.suggest_others(step);
        for rival in present.rivals.iter() {
            self.suggest(step, rival);
        }
    }

    /// Suggests that the thread that has just begun to wait goes on, where it may.
    fn suggest_others(&mut self, step: usize) {
        let Some((thread, _)) = self.log.arrival(step) else { return };
        let choices = &self.log.choices[self.log.steps[step].choices as usize];
        if (choices.idle | choices.waking).contains(thread) {
            self.suggested.push((step, thread));
        }
        self.suggested.extend(choices.offers.all().map(|own| (step, own.by(thread))));
        if choices.idle.contains(thread) {
            // Who goes on after a yield makes a difference to it.
            self.suggested.extend(choices.ready.iter().map(|ready| (step, ready)));
        }
    }

    /// Finds the steps that race with this access of a thread, which has this clock before it.
    fn find_races(&mut self, thread: u16, clock: &Clock, object: Object, kind: AccessKind) {
        let Some(history) = self.objects.get(&object) else { return };
        let (mut races, mut waits) = (Vec::new(), Vec::new());
        // Without a bound only the latest racing step of each thread counts.
        let mut latest: Vec<(u16, u32)> = Vec::new();
        for theirs in history.dependent(kind) {
            let can_race = kind.races_with(theirs.kind);
            if !can_race && !self.is_bounded() {
                continue;
            }
            let mut seen = ThreadSet::of(thread);
            for (step, other) in theirs.accesses.iter().rev() {
                if (theirs.threads - seen).is_empty() {
                    break;
                }
                if seen.contains(*other) {
                    continue;
                }
                if at(clock, *other) >= self.nth[*step as usize] {
                    // All earlier steps of that thread are ordered before this one, too.
                    seen.insert(*other);
                } else if !can_race {
                    waits.push(*step as usize);
                } else if self.is_bounded() {
                    races.push(*step as usize);
                } else {
                    seen.insert(*other);
                    match latest.iter_mut().find(|(of, _)| of == other) {
                        Some((_, last)) => *last = (*last).max(*step),
                        None => latest.push((*other, *step)),
                    }
                }
            }
        }
        races.extend(latest.into_iter().map(|(_, step)| step as usize));
        for step in races {
            self.reverse(step, thread, clock);
        }
        for step in waits {
            let choices = &self.log.choices[self.log.steps[step].choices as usize];
            if choices.ready.contains(thread) {
                self.suggest(step, thread);
            }
        }
    }

    /// Suggests schedules in which `thread` comes before this step, which races with it.
    fn reverse(&mut self, step: usize, thread: u16, clock: &Clock) {
        let present = self.log.steps[step];
        let choices = &self.log.choices[present.choices as usize];
        if choices.all().contains(thread) {
            return self.suggest(step, thread);
        }
        // A thread that has to go on before it can.
        let leads = |other: &u16| {
            let steps = &self.by_thread[usize::from(*other)];
            let made = steps.partition_point(|of| (*of as usize) < step) as u32;
            *other != present.thread && at(clock, *other) > made
        };
        let ready = choices.ready;
        let known = self.by_thread.len() as u16;
        let leaders: Vec<u16> = ready.iter().filter(|other| *other < known).filter(leads).collect();
        let all = || ready.iter().filter(|other| *other != present.thread).collect();
        let others: Vec<u16> = if leaders.is_empty() { all() } else { leaders };
        for other in others {
            self.suggest(step, other);
        }
    }

    /// Suggests that this thread goes on at a step, and if that costs something, also where the
    /// present thread began to run.
    fn suggest(&mut self, step: usize, thread: u16) {
        self.suggested.push((step, thread));
        let Some((arrived, _)) = self.log.arrival(step) else { return };
        let choices = &self.log.choices[self.log.steps[step].choices as usize];
        if !self.is_bounded() || self.bound.cost(choices, arrived, thread) == 0 {
            return;
        }
        let runner = self.log.steps[step].thread;
        let begins = (1..=step).rev().find(|index| self.log.steps[index - 1].thread != runner);
        let Some(begins) = begins else { return };
        let choices = &self.log.choices[self.log.steps[begins].choices as usize];
        if choices.all().contains(thread) {
            self.suggested.push((begins, thread));
        } else {
            self.suggested.extend(choices.ready.iter().map(|other| (begins, other)));
        }
    }
}
