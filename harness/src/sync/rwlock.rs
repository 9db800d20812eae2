//! A lock for many readers or one writer as std's, whose taking and giving back a model checker
//! sees.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use crate::sync::raw::{Ask, Held, Raw};

/// A lock for many readers or one writer, as [`std::sync::RwLock`].
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    raw: Raw,
    data: std::sync::RwLock<T>,
}

/// A reader's lock, given back when it is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Dropped in this order.
    data: std::sync::RwLockReadGuard<'a, T>,
    _held: Held<'a>,
}

/// A writer's lock, given back when it is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // Dropped in this order.
    data: std::sync::RwLockWriteGuard<'a, T>,
    _held: Held<'a>,
}

impl<T> RwLock<T> {
    /// A free lock around this.
    pub const fn new(value: T) -> Self {
        RwLock { raw: Raw::new(), data: std::sync::RwLock::new(value) }
    }

    /// What is in it.
    ///
    /// # Errors
    /// Where it is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        self.data.into_inner()
    }
}

/// Puts both guards together, whichever way std's came.
macro_rules! guarded {
    ($answer:expr, $guard:ident, $held:expr) => {
        match $answer {
            Ok(data) => Ok($guard { data, _held: $held }),
            Err(poisoned) => {
                Err(PoisonError::new($guard { data: poisoned.into_inner(), _held: $held }))
            }
        }
    };
}

macro_rules! guarded_at_once {
    ($answer:expr, $guard:ident, $held:expr) => {
        match $answer {
            Ok(data) => Ok($guard { data, _held: $held }),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => {
                let guard = $guard { data: poisoned.into_inner(), _held: $held };
                Err(TryLockError::Poisoned(PoisonError::new(guard)))
            }
        }
    };
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and reads.
    ///
    /// # Errors
    /// Where it is poisoned; it is taken all the same.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let held = self.raw.lock(Ask::Read);
        guarded!(self.data.read(), RwLockReadGuard, held)
    }

    /// Waits until nobody reads or writes, and writes.
    ///
    /// # Errors
    /// Where it is poisoned; it is taken all the same.
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let held = self.raw.lock(Ask::Write);
        guarded!(self.data.write(), RwLockWriteGuard, held)
    }

    /// Reads, if nobody writes.
    ///
    /// # Errors
    /// Where somebody does, or it is poisoned.
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let held = self.raw.try_lock(Ask::Read).ok_or(TryLockError::WouldBlock)?;
        guarded_at_once!(self.data.try_read(), RwLockReadGuard, held)
    }

    /// Writes, if nobody reads or writes.
    ///
    /// # Errors
    /// Where somebody does, or it is poisoned.
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let held = self.raw.try_lock(Ask::Write).ok_or(TryLockError::WouldBlock)?;
        guarded_at_once!(self.data.try_write(), RwLockWriteGuard, held)
    }

    /// Whether a thread panicked while it wrote.
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

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}
