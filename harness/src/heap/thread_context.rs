//! Whose allocations these are: under the global allocator, what the current thread is doing at
//! the moment (the subject's work or the harness's), and whether it belongs to an armed run.

use crate::memory::thread_words::ThreadWord;

/// The thread does the harness's work: its requests pass unwatched, its frees are checked.
pub(crate) const PASSING: u8 = 1;

/// The thread is inside a heap: nothing is watched, since the heap itself is at work.
pub(crate) const INSIDE: u8 = 2;

/// Marks what the current thread is doing until it is dropped.
pub(crate) struct ThreadContext(u8);

impl ThreadContext {
    #[inline]
    fn place(place: u8) -> ThreadContext {
        ThreadContext(ThreadWord::PLACE.replace(u64::from(place)) as u8)
    }

    /// The thread is [`INSIDE`] a heap.
    #[inline]
    pub(crate) fn side() -> ThreadContext {
        ThreadContext::place(INSIDE)
    }

    /// The thread does the harness's work ([`PASSING`]).
    pub(crate) fn passing() -> ThreadContext {
        ThreadContext::place(PASSING)
    }

    /// What the thread was doing before this mark was set.
    pub(crate) fn undone(&self) -> ThreadContext {
        ThreadContext::place(self.0)
    }
}

impl Drop for ThreadContext {
    #[inline]
    fn drop(&mut self) {
        ThreadWord::PLACE.set(u64::from(self.0));
    }
}

/// Runs code of the harness during a subject's run: its memory is not the subject's.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    let _in = ThreadContext::passing();
    work()
}

/// Runs the subject's own code.
pub(crate) fn ours<R>(work: impl FnOnce() -> R) -> R {
    let _in = ThreadContext::place(0);
    work()
}

/// Whether the current thread belongs to an armed run. A thread that it starts inherits this.
pub(crate) fn is_attributed() -> bool {
    ThreadWord::ATTRIBUTED.get() != 0
}

/// Makes the current thread belong to an armed run, or to none.
pub(crate) fn attribute(is_ours: bool) {
    ThreadWord::ATTRIBUTED.set(u64::from(is_ours));
}

/// What the current thread is doing: 0 for the subject's work, else [`PASSING`] or [`INSIDE`].
#[inline]
pub(crate) fn place() -> u8 {
    ThreadWord::PLACE.get() as u8
}
