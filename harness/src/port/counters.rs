//! An allocator's counters, which are exact under concurrency. They are generic over the atomics, so
//! that a model checker can check this very code with its own.

use core::sync::atomic::{AtomicU64, Ordering};

/// What the counters need of an atomic number.
pub(crate) trait Atomic {
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
    fn fetch_sub(&self, value: u64, order: Ordering) -> u64;
    fn fetch_max(&self, value: u64, order: Ordering) -> u64;
}

impl Atomic for AtomicU64 {
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_add(value, order)
    }

    fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_sub(value, order)
    }

    fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_max(value, order)
    }
}

/// The bytes requested and not yet freed, their largest sum so far, and the refused requests.
#[derive(Debug, Default)]
pub(crate) struct Counters<A = AtomicU64> {
    pub(crate) outstanding: A,
    pub(crate) peak: A,
    pub(crate) failures: A,
}

impl<A: Atomic> Counters<A> {
    /// Each addition raises the peak at once, so no interleaving misses a maximum.
    pub(crate) fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        let now = self.outstanding.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.outstanding.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
