//! The twin of std's mutex: a model checker sees when it is locked and unlocked. The data and the
//! poisoning are std's in any case. In a model, a thread that holds the model's lock always finds
//! std's own lock free.

use std::fmt;
use std::ops::{Deref, DerefMut};
#[cfg(feature = "shuttle")]
use std::sync::PoisonError;
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
    // The order of these two fields is the order in which they are dropped: std's lock first.
    pub(crate) data: std::sync::MutexGuard<'a, T>,
    pub(crate) held: HeldLock<'a>,
}

lock_twin!(Mutex);
guard_twin!(MutexGuard mut);

impl<T: ?Sized> Mutex<T> {
    /// Locks it, after waiting until it is unlocked.
    ///
    /// # Errors
    /// If it is poisoned. The error holds the guard: the mutex is locked all the same.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.lock_held(self.raw.lock(LockRequest::Mutex))
    }

    /// Locks it if it is unlocked.
    ///
    /// # Errors
    /// If it is locked, or poisoned; in the latter case the error holds the guard.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let held = self.raw.try_lock(LockRequest::Mutex).ok_or(TryLockError::WouldBlock)?;
        guarded_at_once(self.data.try_lock(), |data| MutexGuard { mutex: self, data, held })
    }

    /// Takes std's lock alone: no model sees it. The thread must reach no scheduling point while it
    /// has it.
    #[cfg(feature = "shuttle")]
    pub(crate) fn without_model(&self) -> std::sync::MutexGuard<'_, T> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes std's lock, when the model's is held already.
    pub(crate) fn lock_held<'a>(&'a self, held: HeldLock<'a>) -> LockResult<MutexGuard<'a, T>> {
        if rt::is_abandoned() && matches!(self.data.try_lock(), Err(TryLockError::WouldBlock)) {
            // The thread that holds std's lock never runs again.
            rt::abandon();
        }
        guarded(self.data.lock(), |data| MutexGuard { mutex: self, data, held })
    }
}
