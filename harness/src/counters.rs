//! What an allocator says of itself, right under concurrency: apart from the allocator, and of
//! whatever atomics stand beside this file, so that loom tries the very same code.

use super::{AtomicU64, Ordering};

/// Bytes asked for and not yet given back, the most that this was, and requests refused.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) outstanding: AtomicU64,
    pub(crate) peak: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Counters {
    /// Each addition raises the peak at once, so no interleaving can pass a maximum unseen.
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
