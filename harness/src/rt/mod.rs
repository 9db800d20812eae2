//! Which model checker drives this OS thread, and which of its logical threads is on.
//!
//! Under shuttle and loom every thread of a model is a stack of its own on one OS thread, so what
//! a thread-local says belongs to whoever happens to run. What has to follow the logical thread is
//! kept here: its number (spawn order; 0 is the subject's own), and how far out its call stacks are
//! taken. It follows because every change of threads happens inside a call of ours ([`away`]), which
//! notes both on the stack that is left and puts them back when that stack goes on.
//!
//! Without the features `shuttle` and `loom` there is one thread, number 0, and no point ever.

#[cfg(mallory_model)]
pub(crate) mod blocking;
#[cfg(mallory_model)]
pub(crate) mod execution;
#[cfg(mallory_model)]
pub(crate) mod lock_table;
#[cfg(feature = "loom")]
pub(crate) mod stack;
#[cfg(feature = "shuttle")]
pub(crate) mod task_pool;

use std::cell::Cell;

#[cfg(mallory_model)]
pub(crate) use crate::rt::blocking::*;
#[cfg(mallory_model)]
pub(crate) use crate::rt::execution::*;
#[cfg(mallory_model)]
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::lock_table::points;
#[cfg(mallory_model)]
pub(crate) use crate::rt::lock_table::{Blocked, Id, Mode, Want};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::stack::widely;
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::task_pool::{Crew, Next, dismiss, gather, next};

/// Who lets the threads of this OS thread take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The system: these are threads like any other.
    None,
    /// Shuttle, and our scheduler in it.
    #[cfg(feature = "shuttle")]
    Shuttle,
    /// Loom.
    #[cfg(feature = "loom")]
    Loom,
}

/// What a thread does at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Lock,
    Unlock,
    Load,
    Store,
    /// A change of an atomic that reads and writes at once.
    Rmw,
    /// Waits for a notice, or for a lock that another thread holds.
    Wait,
    Notify,
    Request,
    Free,
    Spawn,
    Join,
    Yield,
    /// The thread has come to its end.
    End,
}

/// One operation that other threads may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Touch {
    pub(crate) what: What,
    /// What it is done to: locks, atomics and the like in the order of their first use in the run,
    /// from 0; a heap's number for requests and frees; a thread's for the rest.
    pub(crate) object: u32,
}

thread_local! {
    /// How far out the present thread's stacks are taken: what lies beyond is not the subject's.
    static OUTER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// How far out the present logical thread's stacks are taken.
#[inline]
pub(crate) fn outer() -> usize {
    OUTER.get()
}

/// Takes the present logical thread's stacks to here. Answers how far they were taken before.
#[inline]
pub(crate) fn set_outer(end: usize) -> usize {
    OUTER.replace(end)
}

#[cfg(not(mallory_model))]
mod none {
    use super::{Engine, Touch};

    #[inline]
    pub(crate) fn engine() -> Engine {
        Engine::None
    }

    #[inline]
    pub(crate) fn logical() -> u16 {
        0
    }

    #[inline]
    pub(crate) fn point(_: Touch) {}

    #[inline]
    pub(crate) fn quietly<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}
#[cfg(not(mallory_model))]
pub(crate) use none::*;
