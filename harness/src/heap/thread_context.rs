//! Whose request this is: what the current thread is doing for a run under the global allocator.

use std::cell::Cell;

thread_local! {
    /// What this thread's calls are: the subject's, or see [`PASSING`] and [`INSIDE`].
    static PLACE: Cell<u8> = const { Cell::new(0) };
    /// Whether this thread belongs to an armed run of the process.
    static ATTRIBUTED: Cell<bool> = const { Cell::new(false) };
}

/// Sets this thread's place until it is dropped.
pub(crate) struct ThreadContext(u8);

impl ThreadContext {
    #[inline]
    fn place(place: u8) -> ThreadContext {
        ThreadContext(PLACE.replace(place))
    }

    /// Inside of a heap: what is asked for meanwhile is nobody's.
    #[inline]
    pub(crate) fn side() -> ThreadContext {
        ThreadContext::place(INSIDE)
    }

    /// At work for the harness.
    pub(crate) fn passing() -> ThreadContext {
        ThreadContext::place(PASSING)
    }

    /// Where the thread was before.
    pub(crate) fn undone(&self) -> ThreadContext {
        ThreadContext::place(self.0)
    }
}

impl Drop for ThreadContext {
    #[inline]
    fn drop(&mut self) {
        PLACE.set(self.0);
    }
}

/// Runs something of the harness's while a subject's run goes on: its memory is not the subject's.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    let _in = ThreadContext::passing();
    work()
}

/// Runs the subject's own code.
pub(crate) fn ours<R>(work: impl FnOnce() -> R) -> R {
    let _in = ThreadContext::place(0);
    work()
}

/// Whether the present thread belongs to an armed run; for a thread that it starts.
pub(crate) fn is_attributed() -> bool {
    ATTRIBUTED.get()
}

/// Makes the present thread one of an armed run's, or none.
pub(crate) fn attribute(is_ours: bool) {
    ATTRIBUTED.set(is_ours);
}

/// The harness is at work on this thread: its requests pass, its frees are looked at.
pub(crate) const PASSING: u8 = 1;

/// The thread is inside of a heap: nothing is looked at, since that is being done.
pub(crate) const INSIDE: u8 = 2;

/// What the current thread's calls are: 0 for the subject's, or [`PASSING`] or [`INSIDE`].
#[inline]
pub(crate) fn place() -> u8 {
    PLACE.get()
}
