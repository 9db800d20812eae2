//! The numbers of what threads share.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::rt::access::Object;
use crate::rt::lock_table::{LockTable, run, with_table};

/// The number of a lock, an atomic or a condition variable in the present run. It is given at the
/// first use in each run, so that a static has one, too.
#[derive(Debug, Default)]
pub(crate) struct ObjectId {
    run: AtomicU64,
    number: AtomicU64,
}

impl ObjectId {
    pub(crate) const fn new() -> ObjectId {
        ObjectId { run: AtomicU64::new(0), number: AtomicU64::new(0) }
    }

    /// The number in the present run, from 0 in the order of first use.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        let run = run();
        if self.run.load(Ordering::Relaxed) != run {
            self.number.store(u64::from(with_table(LockTable::add_object)), Ordering::Relaxed);
            self.run.store(run, Ordering::Relaxed);
        }
        self.number.load(Ordering::Relaxed) as u32
    }

    /// The object in a log.
    #[inline]
    pub(crate) fn object(&self) -> Object {
        Object::Shared(self.number())
    }
}
