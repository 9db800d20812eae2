//! Which logical thread runs on this OS thread.

use crate::memory::thread_words::ThreadWord;

/// The number of the logical thread that runs.
#[inline]
pub(crate) fn current_thread() -> u16 {
    ThreadWord::LOGICAL.get() as u16
}

/// Notes that this logical thread runs from here on.
#[inline]
pub(crate) fn set_current_thread(thread: u16) {
    ThreadWord::LOGICAL.set(u64::from(thread));
}
