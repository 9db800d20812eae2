//! The twin of std's lock for many readers or one writer: a model checker sees when it is locked
//! and unlocked. The data and the poisoning are std's in any case.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, TryLockError, TryLockResult};

use crate::sync::lock_request::LockRequest;
use crate::sync::raw::{HeldLock, RawLock};
use crate::sync::twin::{guard_twin, guarded, guarded_at_once, lock_twin};

/// A lock for many readers or one writer, as [`std::sync::RwLock`].
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    raw: RawLock,
    data: std::sync::RwLock<T>,
}

/// An [`RwLock`] locked for reading, unlocked when this is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // The order of these two fields is the order in which they are dropped: std's lock first.
    data: std::sync::RwLockReadGuard<'a, T>,
    _held: HeldLock<'a>,
}

/// An [`RwLock`] locked for writing, unlocked when this is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // The order of these two fields is the order in which they are dropped: std's lock first.
    data: std::sync::RwLockWriteGuard<'a, T>,
    _held: HeldLock<'a>,
}

lock_twin!(RwLock);
guard_twin!(RwLockReadGuard);
guard_twin!(RwLockWriteGuard mut);

impl<T: ?Sized> RwLock<T> {
    /// Locks it for reading, after waiting until no thread writes.
    ///
    /// # Errors
    /// If it is poisoned. The error holds the guard: it is locked all the same.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let _held = self.raw.lock(LockRequest::Read);
        guarded(self.data.read(), |data| RwLockReadGuard { data, _held })
    }

    /// Locks it for writing, after waiting until no thread reads or writes.
    ///
    /// # Errors
    /// If it is poisoned. The error holds the guard: it is locked all the same.
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let _held = self.raw.lock(LockRequest::Write);
        guarded(self.data.write(), |data| RwLockWriteGuard { data, _held })
    }

    /// Locks it for reading if no thread writes.
    ///
    /// # Errors
    /// If a thread writes, or the lock is poisoned; in the latter case the error holds the guard.
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let _held = self.raw.try_lock(LockRequest::Read).ok_or(TryLockError::WouldBlock)?;
        guarded_at_once(self.data.try_read(), |data| RwLockReadGuard { data, _held })
    }

    /// Locks it for writing if no thread reads or writes.
    ///
    /// # Errors
    /// If a thread does, or the lock is poisoned; in the latter case the error holds the guard.
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let _held = self.raw.try_lock(LockRequest::Write).ok_or(TryLockError::WouldBlock)?;
        guarded_at_once(self.data.try_write(), |data| RwLockWriteGuard { data, _held })
    }
}
