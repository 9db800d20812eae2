//! A scheduling point: what a thread is about to do, and which engine decides whether it goes on.

use std::cell::Cell;

/// Who lets the threads of this OS thread take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CurrentEngine {
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
pub(crate) enum SharedOpKind {
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
pub(crate) struct SharedOp {
    pub(crate) what: SharedOpKind,
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
