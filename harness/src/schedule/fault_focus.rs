//! Where a fault changes what the threads do. A bug that shows only with a fault is usually near: in
//! a lock that is given up early, a notification that is left out, a block that is freed. So the
//! schedules that preempt a thread there are run first.
//!
//! The run of the default schedule with the fault is compared with the one without it. Of each
//! thread, the steps between those that both runs begin and end with are the *changed part*. Points
//! in or next to it are nearest, then those next to an operation, of any thread, on an object that a
//! changed part of either run accesses.
//!
//! Only the order of the schedules follows from this. Points are known by their thread and number,
//! which in other schedules may belong to another operation, if the thread does something else there.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::rt::access::Object;
use crate::rt::run_log::RunLog;

/// The number of steps of a changed part that count.
const WINDOW: usize = 16;

/// What a thread accesses in one step. Of each access, as integers since processes send them to each
/// other: a code of its kind and of its object, numbered in the order in which the thread first uses
/// them; and the object's number in the run.
type StepAccesses = Vec<(u32, u32)>;

/// The steps of one thread in the default schedule, from its beginning.
pub(crate) type ThreadSteps = Vec<StepAccesses>;

/// The number of an object that has none.
const UNNUMBERED: u32 = u32::MAX;
/// The part of an access's code that leaves out which object it is.
const SHAPE_BITS: u32 = 10;

/// The object that an access is about: a channel, not one of its values. `None` where that a thread
/// accesses it says nothing about what the thread does.
fn whole_object(object: Object) -> Option<Object> {
    match object {
        Object::Shared(number)
        | Object::Slot(number, _)
        | Object::Room(number, _)
        | Object::Ends(number) => Some(Object::Shared(number)),
        Object::Fault => None,
        other => Some(other),
    }
}

/// Tells apart in which way an access is about its object.
fn class(object: Object) -> u32 {
    match object {
        Object::Shared(_) => 0,
        Object::Slot(..) => 1,
        Object::Room(..) => 2,
        Object::Ends(_) => 3,
        Object::Thread(_) => 4,
        Object::Block(..) => 5,
        Object::Watched(_) => 6,
        Object::Atomics => 7,
        Object::Fault => 8,
        Object::History => 9,
        Object::Clock => 10,
    }
}

/// By thread, its steps in this run.
fn steps_by_thread(log: &RunLog) -> Vec<ThreadSteps> {
    let mut threads: Vec<ThreadSteps> = Vec::new();
    let mut numbers: BTreeMap<(u16, Object), u32> = BTreeMap::new();
    let mut known: Vec<u32> = Vec::new();
    let mut accesses = log.accesses.iter().peekable();
    for (index, step) in (0..).zip(&log.steps) {
        let thread = usize::from(step.thread);
        if threads.len() <= thread {
            threads.resize_with(thread + 1, Vec::new);
            known.resize(thread + 1, 0);
        }
        let mut made = StepAccesses::new();
        while let Some(access) = accesses.next_if(|access| access.step <= index) {
            let Some(object) = whole_object(access.object) else { continue };
            let number = *numbers.entry((step.thread, object)).or_insert_with(|| {
                known[thread] += 1;
                known[thread]
            });
            let shape = class(access.object) << 5 | access.kind as u32;
            let shared = match object {
                Object::Shared(shared) => shared,
                _ => UNNUMBERED,
            };
            made.push((number << SHAPE_BITS | shape, shared));
        }
        threads[thread].push(made);
    }
    threads
}

/// The changed part of a thread's steps: where it begins, and where it ends in either run. Empty
/// ranges at the end of both if nothing differs.
fn changed_part(without: &[StepAccesses], with: &[StepAccesses]) -> (usize, usize, usize) {
    let same = |one: &StepAccesses, other: &StepAccesses, mask: u32| {
        one.len() == other.len()
            && one.iter().zip(other).all(|(one, other)| one.0 & mask == other.0 & mask)
    };
    let pairs = without.iter().zip(with);
    let begin = pairs.take_while(|(one, other)| same(one, other, u32::MAX)).count();
    // Which object is the thread's first or second one differs behind a changed part.
    let shape = (1 << SHAPE_BITS) - 1;
    let (rest, its) = (&without[begin..], &with[begin..]);
    let pairs = rest.iter().rev().zip(its.iter().rev());
    let end = pairs.take_while(|(one, other)| same(one, other, shape)).count();
    (begin, without.len() - end, with.len() - end)
}

/// How far a point is from what a fault changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Nearness {
    /// In or next to a changed part.
    Changed,
    /// Next to an operation on an object that a changed part accesses.
    Touched,
    Far,
}

/// The points that are near to what a fault changes.
#[derive(Debug)]
pub(crate) struct FaultFocus {
    near: BTreeMap<(u16, u32), Nearness>,
}

impl FaultFocus {
    /// Compares the run of the default schedule with a fault with the one without it. `None` if all
    /// threads do the same.
    fn compare(without: &[ThreadSteps], log: &RunLog) -> Option<FaultFocus> {
        let with = steps_by_thread(log);
        let mut near = BTreeMap::new();
        let mut touched = BTreeSet::new();
        let none = ThreadSteps::new();
        for number in 0..with.len().max(without.len()) {
            let without = without.get(number).unwrap_or(&none);
            let own = with.get(number).unwrap_or(&none);
            let (begin, end_without, end) = changed_part(without, own);
            if begin == own.len() && begin == without.len() {
                continue;
            }
            let (last_without, last) = (end_without.min(begin + WINDOW), end.min(begin + WINDOW));
            let accesses = without[begin..last_without].iter().chain(&own[begin..last]).flatten();
            touched.extend(accesses.map(|access| access.1).filter(|object| *object != UNNUMBERED));
            for point in begin.saturating_sub(1)..=last {
                near.insert((number as u16, point as u32), Nearness::Changed);
            }
        }
        if near.is_empty() {
            return None;
        }
        for (thread, steps) in (0..).zip(&with) {
            for (point, accesses) in (0..).zip(steps) {
                if accesses.iter().any(|access| touched.contains(&access.1)) {
                    for point in [point, point + 1] {
                        near.entry((thread, point)).or_insert(Nearness::Touched);
                    }
                }
            }
        }
        Some(FaultFocus { near })
    }

    /// The points that are not far, by thread and number.
    pub(crate) fn points(&self) -> impl Iterator<Item = (u16, u32)> {
        self.near.keys().copied()
    }

    /// How near the point of a thread is.
    pub(crate) fn nearness(&self, thread: u16, point: u32) -> Nearness {
        self.near.get(&(thread, point)).copied().unwrap_or(Nearness::Far)
    }
}

/// The place of a schedule among those that cost as much, by the points at which it preempts a
/// thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScheduleRank {
    farthest: Nearness,
    nearest: Nearness,
}

impl ScheduleRank {
    /// The number of ranks.
    pub(crate) const COUNT: usize = 6;
    /// The rank of a schedule without a preemption.
    pub(crate) const NONE: ScheduleRank =
        ScheduleRank { farthest: Nearness::Changed, nearest: Nearness::Far };

    /// The rank of a schedule with one more preemption.
    pub(crate) fn add(self, nearness: Nearness) -> ScheduleRank {
        ScheduleRank { farthest: self.farthest.max(nearness), nearest: self.nearest.min(nearness) }
    }

    /// The rank as a number, from 0 for those that are run first: how far the farthest preemption
    /// is, and then the nearest one.
    pub(crate) fn number(self) -> usize {
        let farthest = self.farthest as usize;
        farthest * (farthest + 1) / 2 + farthest.min(self.nearest as usize)
    }
}

/// What a search does with the run of the default schedule, which is its first one.
#[derive(Debug, Default)]
pub(crate) enum Guide {
    /// Nothing.
    #[default]
    Off,
    /// Keeps it, to compare runs with a fault with it.
    Record(Vec<ThreadSteps>),
    /// Compares it with the run without a fault.
    Compare(Vec<ThreadSteps>),
}

impl Guide {
    /// The steps that were kept.
    pub(crate) fn recorded(&self) -> &[ThreadSteps] {
        match self {
            Guide::Record(steps) => steps,
            _ => &[],
        }
    }

    /// Notes the log of the run.
    pub(crate) fn note(&mut self, log: &RunLog) -> Option<Rc<FaultFocus>> {
        match self {
            Guide::Off => None,
            _ if log.is_partial => None,
            Guide::Record(steps) => {
                *steps = steps_by_thread(log);
                None
            }
            Guide::Compare(without) => FaultFocus::compare(without, log).map(Rc::new),
        }
    }
}
