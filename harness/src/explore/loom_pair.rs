//! The critical pair of a finding of loom's. Loom's order of the threads can't be changed, so the run
//! is compared with its nearest neighbour that shows nothing. Where the two part, either two operations
//! of different threads are exchanged, or a load sees another store.
//!
//! Loom's search goes depth first. So of all runs before the failing one the last has the most in common
//! with it, and of all runs after it the first.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::explore::critical_pair::CriticalPair;
use crate::explore::shrinker::ScheduleShrinker;
use crate::explore::work_item::{WorkItem, check_outcome, job};
use crate::host::ScheduledRun;
use crate::process::backtrace::Capture;
use crate::report::evidence::Moment;
use crate::rt::run_log::RunLog;
use crate::rt::{AccessKind, Object};
use crate::run::RunInProgress;
use crate::run::outcome::ScheduledEnd;
use crate::schedule::search::Search;
use crate::schedule::{Preemption, ScheduledOp};

/// The last iteration of loom's whose pair is looked for: to reach one, loom repeats all before it.
const ITERATION_MAX: u64 = 10_000;
/// The most runs after the failing one in which a good one is looked for.
const AFTER_MAX: u64 = 1_000;
/// The most operations that are compared, from where two runs part.
const COMPARED_MAX: usize = 2_000;

/// One effect of an operation, in the order in which they happen.
#[derive(Clone, Copy, Debug)]
struct Effect {
    thread: u16,
    /// The number of the operation in the run; `None` for the latest one of the thread.
    operation: Option<u64>,
    object: Object,
    kind: AccessKind,
    /// The store that it sees, counted from 1 per object; 0 for the first value.
    seen: Option<usize>,
}

impl Effect {
    /// Whether it is the same access, whatever it sees.
    fn is_access_of(&self, other: &Effect) -> bool {
        (self.thread, self.object) == (other.thread, other.object)
    }

    fn equals(&self, other: &Effect) -> bool {
        self.is_access_of(other) && (self.kind, self.seen) == (other.kind, other.seen)
    }
}

/// The effects of a run, at the end those of operations that wait for ever. A value that was stored
/// several times counts as the last of these stores: which of them a load sees is not known.
fn effects(log: &RunLog) -> Vec<Effect> {
    let mut stores: BTreeMap<Object, Vec<u64>> = BTreeMap::new();
    let mut values = log.values.iter().peekable();
    let mut all = Vec::with_capacity(log.accesses.len() + log.pending.len());
    for (nth, access) in (0..).zip(&log.accesses) {
        let mut seen = None;
        if let Some(value) = values.next_if(|value| value.access == nth) {
            let stores = stores.entry(access.object).or_default();
            let nth_store = |seen| stores.iter().rposition(|store| *store == seen);
            seen = value.seen.map(|seen| nth_store(seen).map_or(0, |nth| nth + 1));
            if access.kind == AccessKind::Write {
                stores.push(value.latest);
            }
        }
        let (thread, operation) = (access.thread, Some(access.operation));
        all.push(Effect { thread, operation, object: access.object, kind: access.kind, seen });
    }
    let pending = log.pending.iter();
    all.extend(pending.map(|&(thread, object, kind)| {
        // What a thread waits for is its latest operation.
        Effect { thread, operation: None, object, kind, seen: None }
    }));
    all
}

/// Two operations of a run, and what the second one sees of the first one.
#[derive(Debug)]
struct Difference {
    pair: [Effect; 2],
    sees: &'static str,
}

fn common(one: &[Effect], other: &[Effect]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one.equals(other)).count()
}

/// The first two operations of the failing run that differ from the good run.
fn difference(failing: &[Effect], good: &[Effect]) -> Option<Difference> {
    let at = common(failing, good);
    let (one, other) = (failing.get(at)?, good.get(at)?);
    if one.is_access_of(other) {
        return sees_another_store(failing, at, other);
    }
    exchanged(failing, good, at).or_else(|| {
        // The operation of the good run comes later here, and on the same object.
        let second = failing[at..].iter().find(|effect| effect.thread == other.thread)?;
        let is_pair = second.is_access_of(other) && second.object == one.object;
        is_pair.then_some(Difference { pair: [*one, *second], sees: "" })
    })
}

/// The store that a load should have seen, or should not have seen, and the load.
fn sees_another_store(failing: &[Effect], at: usize, good: &Effect) -> Option<Difference> {
    let load = failing[at];
    let (seen, should) = (load.seen?, good.seen?);
    let (nth, sees) = match seen < should {
        true => (should, " and sees an older value"),
        false => (seen, " and sees this value"),
    };
    let is_store =
        |effect: &&Effect| effect.object == load.object && effect.kind == AccessKind::Write;
    let store = failing[..at].iter().filter(is_store).nth(nth.checked_sub(1)?)?;
    let is_other_thread = seen != should && store.thread != load.thread;
    is_other_thread.then_some(Difference { pair: [*store, load], sees })
}

/// For each operation its thread and its number there, by which it is found in another run.
fn numbers(run: &[Effect]) -> Vec<(u16, usize)> {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    let number = |effect: &Effect| {
        let count = counts.entry(effect.thread).or_insert(0);
        *count += 1;
        (effect.thread, *count)
    };
    run.iter().map(number).collect()
}

/// The first two operations of different threads, from `at` on, whose order matters and is another one
/// in the good run.
fn exchanged(failing: &[Effect], good: &[Effect], at: usize) -> Option<Difference> {
    let rest = |run: &[Effect]| run[at..].iter().take(COMPARED_MAX).copied().collect::<Vec<_>>();
    let (failing, good) = (rest(failing), rest(good));
    let places: BTreeMap<(u16, usize), usize> = numbers(&good).into_iter().zip(0..).collect();
    let place = |(effect, number): (&Effect, (u16, usize))| {
        let place = *places.get(&number)?;
        good[place].is_access_of(effect).then_some(place)
    };
    let places: Vec<Option<usize>> = failing.iter().zip(numbers(&failing)).map(place).collect();
    for (later, second) in failing.iter().enumerate() {
        for (earlier, first) in failing[..later].iter().enumerate() {
            let (Some(its), Some(other)) = (places[earlier], places[later]) else { continue };
            let is_exchanged = first.thread != second.thread
                && first.object == second.object
                && other < its
                && (first.kind.races_with(second.kind)
                    || good[its].kind.races_with(good[other].kind));
            if is_exchanged {
                return Some(Difference { pair: [*first, *second], sees: "" });
            }
        }
    }
    None
}

/// Runs loom's search up to the failing run and beyond, and keeps the good runs next to it.
struct NeighbourFinder<'s, 'a> {
    shrinker: &'s ScheduleShrinker<'a>,
    item: WorkItem,
    /// The number of the failing run, and of the present one.
    wanted: u64,
    begun: u64,
    run: Option<RunInProgress<'s>>,
    present: Vec<Effect>,
    failing: Option<(Vec<Effect>, Vec<ScheduledOp>)>,
    before: Option<Vec<Effect>>,
    after: Option<Vec<Effect>>,
}

impl ScheduledRun for NeighbourFinder<'_, '_> {
    fn begin(&mut self) {
        self.begun += 1;
        let ScheduleShrinker { context, scratch, .. } = self.shrinker;
        let mut job = job(context, self.item, &self.item.plan(), scratch);
        job.record_operations = self.begun == self.wanted;
        self.run = Some(RunInProgress::new(job));
    }

    fn body(&mut self) {
        if let Some(run) = &mut self.run {
            run.body(self.shrinker.context.subject);
        }
    }

    fn read_log(&mut self, log: &RunLog) {
        self.present = effects(log);
    }

    fn end(&mut self, conducted: ScheduledEnd, _: &Search) -> bool {
        let Some(run) = self.run.take() else { return false };
        let mut run = run.end(conducted);
        check_outcome(&mut run, self.item);
        let present = std::mem::take(&mut self.present);
        if self.begun == self.wanted {
            self.failing = Some((present, run.operations));
        } else if run.evidence.is_empty() {
            let is_after = self.begun > self.wanted;
            *(if is_after { &mut self.after } else { &mut self.before }) = Some(present);
            return !is_after;
        }
        true
    }
}

/// The critical pair of a finding of loom's; `None` if no run next to it is good.
pub(crate) fn loom_pair(shrinker: &ScheduleShrinker<'_>) -> Option<CriticalPair> {
    let host = shrinker.context.settings.host?;
    let is_default = shrinker.preemptions.is_empty();
    let (bound, iteration) = Preemption::loom_iteration(&shrinker.preemptions)
        .or_else(|| is_default.then_some((0, 1)))?;
    let wanted = u64::from(iteration);
    if wanted > ITERATION_MAX {
        return None;
    }
    let mut finder = NeighbourFinder {
        shrinker,
        item: shrinker.point.map_or(WorkItem::Census, WorkItem::Fault),
        wanted,
        begun: 0,
        run: None,
        present: Vec::new(),
        failing: None,
        before: None,
        after: None,
    };
    let search = Search::loom(bound, wanted + AFTER_MAX);
    host.search(Rc::new(RefCell::new(search)), &mut finder);
    let NeighbourFinder { failing, before, after, .. } = finder;
    let (failing, operations) = failing?;
    let length = |good: &Option<Vec<Effect>>| good.as_ref().map(|good| common(&failing, good));
    let good = if length(&before) >= length(&after) { before } else { after }?;
    let Difference { pair, sees } = difference(&failing, &good)?;
    let operation = |effect: &Effect| {
        let is_it = |op: &&ScheduledOp| match effect.operation {
            Some(step) => op.step == step,
            None => op.thread == effect.thread,
        };
        operations.iter().rev().find(is_it).cloned()
    };
    let (first, mut second) = (operation(&pair[0])?, operation(&pair[1])?);
    second.what.push_str(sees);
    let moments = [first.step, second.step].map(Moment::Step).into_iter().collect();
    let schedule = &shrinker.preemptions;
    let run = shrinker.run(schedule, |job| job.capture = Some(Capture::of(moments)));
    Some((vec![first, second], run.taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(thread: u16, object: u32, kind: AccessKind, seen: Option<usize>) -> Effect {
        Effect { thread, operation: None, object: Object::Shared(object), kind, seen }
    }

    fn pair(failing: &[Effect], good: &[Effect]) -> Option<(u16, u16, &'static str)> {
        let Difference { pair: [first, second], sees } = difference(failing, good)?;
        Some((first.thread, second.thread, sees))
    }

    #[test]
    fn what_is_exchanged_is_the_first_pair_that_depends_on_each_other() {
        use AccessKind::{Read, Write};
        let load = |thread| effect(thread, 0, Read, Some(0));
        let late = |thread| effect(thread, 0, Read, Some(1));
        let store = |thread| effect(thread, 0, Write, None);
        let good = [load(0), store(0), late(1), store(1)];
        let failing = [load(0), load(1), store(0), store(1)];
        assert_eq!(pair(&failing, &good), Some((1, 0, "")));
        // The same operations on different objects commute.
        let apart =
            |effect: Effect| Effect { object: Object::Shared(u32::from(effect.thread)), ..effect };
        assert_eq!(pair(&failing.map(apart), &good.map(apart)), None);
        assert_eq!(pair(&failing, &failing), None);
    }

    #[test]
    fn a_load_that_sees_another_store_is_told_from_an_exchange() {
        use AccessKind::{Read, Write};
        let load = |seen| effect(1, 0, Read, Some(seen));
        let stores = [effect(0, 0, Write, None), effect(0, 0, Write, None)];
        let with = |seen| [&stores[..], &[load(seen)]].concat();
        assert_eq!(pair(&with(0), &with(2)), Some((0, 1, " and sees an older value")));
        assert_eq!(pair(&with(2), &with(0)), Some((0, 1, " and sees this value")));
        let numbered = |(nth, effect)| Effect { operation: Some(nth), ..effect };
        let number = |all: Vec<Effect>| (1..).zip(all).map(numbered).collect::<Vec<_>>();
        let found = difference(&number(with(1)), &number(with(2))).map(|found| found.pair[0]);
        assert_eq!(found.and_then(|store| store.operation), Some(2), "it misses the second store");
    }
}
