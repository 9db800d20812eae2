//! The twin of std's mutex: a model checker sees when it is taken and given back. The data and the
//! poison are std's in any case. In a model, std's own lock is free for whoever has the model's.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, TryLockError, TryLockResult};

use crate::rt;
use crate::sync::lock_request::LockRequest;
use crate::sync::raw::{HeldLock, RawLock};
use crate::sync::twin::{guard_twin, guarded, guarded_at_once, lock_twin};

/// A mutual exclusion lock, as [`std::sync::Mutex`].
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    raw: RawLock,
    data: std::sync::Mutex<T>,
}

/// A locked [`Mutex`], unlocked when this is dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(crate) mutex: &'a Mutex<T>,
    // Dropped in this order.
    pub(crate) data: std::sync::MutexGuard<'a, T>,
    pub(crate) held: HeldLock<'a>,
}

lock_twin!(Mutex);
guard_twin!(MutexGuard mut);

impl<T: ?Sized> Mutex<T> {
    /// Waits until it is unlocked, and locks it.
    ///
    /// # Errors
    /// If it is poisoned. It is locked all the same.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.lock_held(self.raw.lock(LockRequest::Mutex))
    }

    /// Locks it if it is unlocked.
    ///
    /// # Errors
    /// If it is locked or poisoned.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let held = self.raw.try_lock(LockRequest::Mutex).ok_or(TryLockError::WouldBlock)?;
        guarded_at_once(self.data.try_lock(), |data| MutexGuard { mutex: self, data, held })
    }

    /// Takes std's lock, where the model's is held already.
    pub(crate) fn lock_held<'a>(&'a self, held: HeldLock<'a>) -> LockResult<MutexGuard<'a, T>> {
        if rt::is_over() && matches!(self.data.try_lock(), Err(TryLockError::WouldBlock)) {
            // The thread that has it will never run again.
            rt::abandon();
        }
        guarded(self.data.lock(), |data| MutexGuard { mutex: self, data, held })
    }
}
