//! The log of a run of a model: which thread did what, in which order, and which threads could have
//! gone on instead. A search learns from it which other orders make a difference.
//!
//! A run is a sequence of *steps*. A step is all that a thread does from one scheduling point to the
//! next: the operation at the first one, and code that no other thread notices.

use crate::rt::access::{AccessKind, Object, Orders};
use crate::rt::own_choice::{Offers, OwnChoice};
use crate::rt::thread_set::ThreadSet;

/// The threads that could go on before a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choices {
    /// The threads whose next operation is possible.
    pub(crate) ready: ThreadSet,
    /// Threads that yielded or sleep. Letting them go on although others are ready costs as much as
    /// a preemption.
    pub(crate) idle: ThreadSet,
    /// Threads that wait, and whose wait may end early: spuriously, or since its time is up.
    pub(crate) waking: ThreadSet,
    /// What the thread that asks may choose by itself.
    pub(crate) offers: Offers,
    /// The thread that goes on if none is ready: the sleeper or timed wait with the earliest end, or
    /// else one that yielded.
    pub(crate) next: Option<u16>,
}

impl Choices {
    /// All threads that can go on.
    pub(crate) fn all(&self) -> ThreadSet {
        self.ready | self.idle | self.waking
    }

    /// Whether no thread can go on: what is left are waits that only end spuriously.
    pub(crate) fn is_stuck(&self) -> bool {
        self.ready.is_empty() && self.next.is_none()
    }
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) thread: u16,
    /// The thread's scheduling point at which it begins; 0 for the beginning of the thread.
    pub(crate) point: u32,
    /// What the thread chose by itself.
    pub(crate) own: OwnChoice,
    /// The index of the choices before it.
    pub(crate) choices: u32,
    /// Threads that could have gone on with an operation that this step makes impossible, and that
    /// may never be possible again.
    pub(crate) rivals: ThreadSet,
}

/// One access of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// The index of the step.
    pub(crate) step: u32,
    pub(crate) thread: u16,
    /// The number of the thread's latest operation in the run.
    pub(crate) operation: u64,
    pub(crate) object: Object,
    pub(crate) kind: AccessKind,
    pub(crate) orders: Orders,
}

/// What an operation on an atomic saw, and what the atomic held after it. It is noted where a load may
/// see an older value than the latest.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "loom"), allow(dead_code, reason = "only loom's atomics are weak"))]
pub(crate) struct AtomicValue {
    /// The index of the access.
    pub(crate) access: u32,
    /// `None` if it only stores.
    pub(crate) seen: Option<u64>,
    pub(crate) latest: u64,
}

/// The log of a run.
#[derive(Debug, Default)]
pub(crate) struct RunLog {
    pub(crate) steps: Vec<Step>,
    pub(crate) choices: Vec<Choices>,
    pub(crate) accesses: Vec<Access>,
    /// The values of atomics, in the order of `accesses`; empty if all of them are sequentially
    /// consistent.
    pub(crate) values: Vec<AtomicValue>,
    /// What the threads wait for that never went on, each with what it would have accessed.
    pub(crate) pending: Vec<(u16, Object, AccessKind)>,
    /// Objects whose accesses of the kind [`AccessKind::Give`] count as writes: the subject has seen
    /// which of them was the last.
    pub(crate) ordered: Vec<Object>,
    /// Whether threads switched at points that are not in the log, since the subject uses the
    /// engine past our facade.
    pub(crate) is_partial: bool,
    /// Whether it has accesses that are watched for data races.
    pub(crate) watches: bool,
}

impl RunLog {
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.choices.clear();
        self.accesses.clear();
        self.values.clear();
        self.pending.clear();
        self.ordered.clear();
        self.is_partial = false;
        self.watches = false;
    }

    /// Adds a step of `thread`. `choices` are those before it, unless they are as before the last
    /// step.
    #[inline]
    pub(crate) fn add_step(
        &mut self,
        thread: u16,
        point: u32,
        own: OwnChoice,
        choices: Option<Choices>,
    ) {
        self.choices.extend(choices);
        let choices = (self.choices.len() as u32).saturating_sub(1);
        self.steps.push(Step { thread, point, own, choices, rivals: ThreadSet::EMPTY });
    }

    /// Adds an access of the present step.
    #[inline]
    pub(crate) fn add_access(
        &mut self,
        (thread, operation): (u16, u64),
        object: Object,
        kind: AccessKind,
        orders: Orders,
    ) {
        let step = (self.steps.len() as u32).saturating_sub(1);
        self.watches |= kind >= AccessKind::CellRead && kind != AccessKind::Fence;
        self.accesses.push(Access { step, thread, operation, object, kind, orders });
    }

    /// Adds the values of the access that was added last.
    #[cfg(feature = "loom")]
    pub(crate) fn add_value(&mut self, seen: Option<u64>, latest: u64) {
        let access = (self.accesses.len() as u32).saturating_sub(1);
        self.values.push(AtomicValue { access, seen, latest });
    }

    /// The scheduling point at which the thread of the step before asked who goes on: the thread,
    /// and the point's number.
    pub(crate) fn arrival(&self, step: usize) -> Option<(u16, u32)> {
        let before = self.steps.get(step.checked_sub(1)?)?;
        Some((before.thread, before.point + 1))
    }
}
