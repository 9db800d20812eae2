//! Where the backtraces of the present logical thread end: frames beyond that are not the
//! subject's.

use std::cell::Cell;

thread_local! {
    static BACKTRACE_END: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The highest stack address that a backtrace of the present logical thread includes.
#[inline]
pub(crate) fn backtrace_end() -> usize {
    BACKTRACE_END.get()
}

/// Sets the highest stack address that a backtrace of the present logical thread includes. Returns
/// the former one.
#[inline]
pub(crate) fn set_backtrace_end(end: usize) -> usize {
    BACKTRACE_END.replace(end)
}
