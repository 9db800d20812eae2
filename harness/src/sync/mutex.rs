//! A mutex as std's, whose taking and giving back a model checker sees. The data and the poison are
//! std's in any case: in a model std's own lock is free for whoever has taken the model's.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use crate::rt;
use crate::sync::raw::{Ask, Held, Raw};

/// A mutual exclusion, as [`std::sync::Mutex`].
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    raw: Raw,
    data: std::sync::Mutex<T>,
}

/// A lock of a [`Mutex`], given back when it is dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(crate) mutex: &'a Mutex<T>,
    // Dropped in this order.
    pub(crate) data: std::sync::MutexGuard<'a, T>,
    pub(crate) held: Held<'a>,
}

impl<T> Mutex<T> {
    /// A free mutex around this.
    pub const fn new(value: T) -> Self {
        Mutex { raw: Raw::new(), data: std::sync::Mutex::new(value) }
    }

    /// What is in it.
    ///
    /// # Errors
    /// Where it is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until it is free, and takes it.
    ///
    /// # Errors
    /// Where it is poisoned; it is taken all the same.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.lock_held(self.raw.lock(Ask::Mutex))
    }

    /// Takes it if it is free.
    ///
    /// # Errors
    /// Where it is not, or is poisoned.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let held = self.raw.try_lock(Ask::Mutex).ok_or(TryLockError::WouldBlock)?;
        match self.data.try_lock() {
            Ok(data) => Ok(MutexGuard { mutex: self, data, held }),
            Err(TryLockError::Poisoned(poisoned)) => {
                let guard = MutexGuard { mutex: self, data: poisoned.into_inner(), held };
                Err(TryLockError::Poisoned(PoisonError::new(guard)))
            }
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }

    /// Takes std's lock, where the model's is held already.
    pub(crate) fn lock_held<'a>(&'a self, held: Held<'a>) -> LockResult<MutexGuard<'a, T>> {
        if rt::is_over() && matches!(self.data.try_lock(), Err(TryLockError::WouldBlock)) {
            // Whoever has it will never run again.
            rt::abandon();
        }
        match self.data.lock() {
            Ok(data) => Ok(MutexGuard { mutex: self, data, held }),
            Err(poisoned) => {
                let data = poisoned.into_inner();
                Err(PoisonError::new(MutexGuard { mutex: self, data, held }))
            }
        }
    }

    /// Whether a thread panicked while it held this.
    pub fn is_poisoned(&self) -> bool {
        self.data.is_poisoned()
    }

    /// Forgets that.
    pub fn clear_poison(&self) {
        self.data.clear_poison();
    }

    /// What is in it, which nobody else can have.
    ///
    /// # Errors
    /// Where it is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.data.get_mut()
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}
