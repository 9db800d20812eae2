//! A set of logical threads, as the bits of one word.

/// Threads by number: bit `n` stands for thread `n`.
pub(crate) type ThreadSet = u64;

/// The number of threads that one run can have.
pub(crate) const THREADS_MAX: usize = ThreadSet::BITS as usize;

/// The set with just this thread.
pub(crate) fn bit(thread: u16) -> ThreadSet {
    1 << thread
}

/// The threads of a set, in ascending order.
pub(crate) fn each(threads: ThreadSet) -> impl Iterator<Item = u16> {
    (0..THREADS_MAX as u16).filter(move |thread| threads & bit(*thread) != 0)
}
