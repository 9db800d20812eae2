//! Where the backtraces of the present logical thread end: frames beyond that are not the
//! subject's.

use crate::memory::thread_words::ThreadWord;

/// The highest stack address that a backtrace of the present logical thread includes.
#[inline]
pub(crate) fn backtrace_end() -> usize {
    !ThreadWord::BACKTRACE_END.get() as usize
}

/// Sets the highest stack address that a backtrace of the present logical thread includes. Returns
/// the former one.
#[inline]
pub(crate) fn set_backtrace_end(end: usize) -> usize {
    !ThreadWord::BACKTRACE_END.replace(!end as u64) as usize
}
