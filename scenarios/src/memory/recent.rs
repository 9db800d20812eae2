//! The latest diagnostics of a service, such as errors and measurements: small plain values in
//! blocks of a slab.
//!
//! Allocating a value ([`prepare`](Recent::prepare)) may fail, recording it can't: so an operation
//! prepares its value first, and records it after the step that makes it true.

use allocator_api2::boxed::Box;
use mallory::{Heap, Refused};

use super::bytes::refused;
use super::slab::slab_over;

/// The newest `N` values. They are diagnostics, not part of a service's state.
#[derive(Debug)]
pub struct Recent<T, const N: usize> {
    slab: Heap,
    kept: [Option<Box<T, Heap>>; N],
    /// Where the next value goes, replacing the oldest.
    next: usize,
}

/// A value that has its memory, and is not recorded yet.
#[derive(Debug)]
#[must_use]
pub struct Prepared<T>(Box<T, Heap>);

impl<T: Copy, const N: usize> Recent<T, N> {
    /// None yet; they are to be kept in a slab over this heap, which belongs to the present thread.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        Recent { slab: slab_over(heap), kept: [const { None }; N], next: 0 }
    }

    /// Takes the memory for a value.
    ///
    /// # Errors
    /// [`Refused`] where there is none.
    pub fn prepare(&self, value: T) -> Result<Prepared<T>, Refused> {
        Box::try_new_in(value, self.slab.clone()).map(Prepared).map_err(refused)
    }

    /// Records a value; it replaces the oldest one if there are `N` already.
    pub fn record(&mut self, Prepared(value): Prepared<T>) {
        self.kept[self.next] = Some(value);
        self.next = (self.next + 1) % N;
    }

    /// The values, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        let (newer, older) = self.kept.split_at(self.next);
        older.iter().chain(newer).flatten().map(|value| **value)
    }
}

/// What a service measured: a name and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// What was measured.
    pub name: &'static str,
    /// How much it was.
    pub value: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::{Options, Plan};

    #[test]
    fn the_newest_are_kept_oldest_first() {
        for bypass in [false, true] {
            let heap = Options::new().bypass(bypass).heap();
            let mut recent = Recent::<u32, 3>::new(&heap);
            assert_eq!(recent.iter().next(), None);
            for value in 1..=5 {
                recent.record(recent.prepare(value).unwrap());
                let first = value.saturating_sub(2).max(1);
                assert!(recent.iter().eq(first..=value), "{recent:?}");
            }
            drop(recent);
            assert_eq!(heap.live_bytes(), 0);
        }
    }

    #[test]
    fn one_that_has_no_memory_leaves_the_others() {
        let heap = Heap::new();
        let mut recent = Recent::<u32, 3>::new(&heap);
        recent.record(recent.prepare(7).unwrap());
        heap.arm(Plan::from(1));
        assert!(recent.prepare(8).is_err());
        heap.disarm();
        assert!(recent.iter().eq([7]));
    }
}
