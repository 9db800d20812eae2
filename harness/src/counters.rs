//! An allocator's counters, which are exact under concurrency.
//!
//! The file uses the atomics of the module that includes it: std's in `port.rs`, and loom's in a
//! test that checks this very code under loom.

use super::{AtomicU64, Ordering};

/// The bytes requested and not yet freed, their largest sum so far, and the refused requests.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) outstanding: AtomicU64,
    pub(crate) peak: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Counters {
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
