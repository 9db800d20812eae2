//! Which logical thread runs on this OS thread.

use std::cell::Cell;

thread_local! {
    static CURRENT_THREAD: Cell<u16> = const { Cell::new(0) };
}

/// The number of the logical thread that runs.
#[inline]
pub(crate) fn current_thread() -> u16 {
    CURRENT_THREAD.get()
}

/// Notes that this logical thread runs from here on.
#[inline]
pub(crate) fn set_current_thread(thread: u16) {
    CURRENT_THREAD.set(thread);
}
