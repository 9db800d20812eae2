//! A set of logical threads, as the bits of four words.

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Sub};

/// The number of words of a set.
const WORDS: usize = 4;

/// The number of threads that one run can have.
pub(crate) const THREADS_MAX: usize = WORDS * u64::BITS as usize;

/// Threads by number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ThreadSet([u64; WORDS]);

impl ThreadSet {
    /// The set without any thread.
    pub(crate) const EMPTY: ThreadSet = ThreadSet([0; WORDS]);

    /// The set with just this thread; the empty set if the number is too large for a run.
    #[inline]
    pub(crate) fn of(thread: u16) -> ThreadSet {
        let mut set = ThreadSet::EMPTY;
        set.insert(thread);
        set
    }

    #[inline]
    pub(crate) fn insert(&mut self, thread: u16) {
        if let Some(word) = self.0.get_mut(usize::from(thread >> 6)) {
            *word |= 1 << (thread & 63);
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, thread: u16) {
        if let Some(word) = self.0.get_mut(usize::from(thread >> 6)) {
            *word &= !(1 << (thread & 63));
        }
    }

    #[inline]
    pub(crate) fn contains(&self, thread: u16) -> bool {
        self.0.get(usize::from(thread >> 6)).is_some_and(|word| word >> (thread & 63) & 1 == 1)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The number of threads.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The thread with the lowest number.
    #[inline]
    pub(crate) fn first(&self) -> Option<u16> {
        self.from(0)
    }

    /// The thread with the lowest number from this one on.
    #[inline]
    pub(crate) fn from(&self, thread: u16) -> Option<u16> {
        let first = usize::from(thread >> 6);
        let mut mask = u64::MAX << (thread & 63);
        for index in first..WORDS {
            let word = self.0[index] & mask;
            if word != 0 {
                return Some((index as u16) << 6 | word.trailing_zeros() as u16);
            }
            mask = u64::MAX;
        }
        None
    }

    /// The threads in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u16> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let thread = self.from(next)?;
            next = thread + 1;
            Some(thread)
        })
    }
}

impl BitOr for ThreadSet {
    type Output = ThreadSet;

    #[inline]
    fn bitor(mut self, other: ThreadSet) -> ThreadSet {
        self |= other;
        self
    }
}

impl BitOrAssign for ThreadSet {
    #[inline]
    fn bitor_assign(&mut self, other: ThreadSet) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }
}

impl BitAnd for ThreadSet {
    type Output = ThreadSet;

    #[inline]
    fn bitand(mut self, other: ThreadSet) -> ThreadSet {
        self &= other;
        self
    }
}

impl BitAndAssign for ThreadSet {
    #[inline]
    fn bitand_assign(&mut self, other: ThreadSet) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
    }
}

/// The threads of the first set that are not in the second.
impl Sub for ThreadSet {
    type Output = ThreadSet;

    #[inline]
    fn sub(mut self, other: ThreadSet) -> ThreadSet {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
        self
    }
}

impl FromIterator<u16> for ThreadSet {
    fn from_iter<I: IntoIterator<Item = u16>>(threads: I) -> ThreadSet {
        let mut set = ThreadSet::EMPTY;
        threads.into_iter().for_each(|thread| set.insert(thread));
        set
    }
}

impl fmt::Debug for ThreadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_each_word_are_kept_in_order() {
        let numbers = [0, 1, 63, 64, 127, 128, 200, 255];
        let mut set: ThreadSet = numbers.into_iter().rev().collect();
        assert_eq!(set.iter().collect::<Vec<u16>>(), numbers);
        assert_eq!(
            (set.len(), set.first(), set.from(129), set.from(201)),
            (8, Some(0), Some(200), Some(255))
        );
        set.remove(255);
        assert_eq!((set.from(201), set.contains(255), set.contains(200)), (None, false, true));
        assert_eq!((set - ThreadSet::of(0)).first(), Some(1));
        assert_eq!(set & ThreadSet::of(64), ThreadSet::of(64));
        assert!(ThreadSet::of(256).is_empty() && !ThreadSet::of(256).contains(256));
    }
}
