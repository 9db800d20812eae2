//! Tokio's locks, with scheduling points.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use ::tokio::sync;
use ::tokio::sync::TryLockError;

use crate::future::points::TaskPoint;
use crate::tokio::point::pointed;

/// As [`tokio::sync::Mutex`].
#[derive(Debug, Default)]
pub struct Mutex<T> {
    point: Arc<TaskPoint>,
    inner: Arc<sync::Mutex<T>>,
}

/// A lock that is held, given up at a scheduling point when this is dropped.
#[derive(Debug)]
pub struct HeldGuard<G> {
    point: Arc<TaskPoint>,
    inner: Option<G>,
}

/// As [`tokio::sync::MutexGuard`].
pub type MutexGuard<'a, T> = HeldGuard<sync::MutexGuard<'a, T>>;
/// As [`tokio::sync::OwnedMutexGuard`].
pub type OwnedMutexGuard<T> = HeldGuard<sync::OwnedMutexGuard<T>>;
/// As [`tokio::sync::RwLockReadGuard`].
pub type RwLockReadGuard<'a, T> = HeldGuard<sync::RwLockReadGuard<'a, T>>;
/// As [`tokio::sync::RwLockWriteGuard`].
pub type RwLockWriteGuard<'a, T> = HeldGuard<sync::RwLockWriteGuard<'a, T>>;

impl<G> HeldGuard<G> {
    fn new(point: &Arc<TaskPoint>, inner: G) -> HeldGuard<G> {
        HeldGuard { point: Arc::clone(point), inner: Some(inner) }
    }
}

impl<G: Deref> Deref for HeldGuard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        self.inner.as_ref().expect("[mallory bug] a guard without its lock")
    }
}

impl<G: DerefMut> DerefMut for HeldGuard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        self.inner.as_mut().expect("[mallory bug] a guard without its lock")
    }
}

impl<G> Drop for HeldGuard<G> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}

impl<T> Mutex<T> {
    /// An unlocked mutex around this value.
    pub fn new(value: T) -> Mutex<T> {
        Mutex { point: Arc::default(), inner: Arc::new(sync::Mutex::new(value)) }
    }

    /// Locks it, after waiting until it is unlocked.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        let inner = pointed(&self.point, self.inner.lock()).await;
        HeldGuard::new(&self.point, inner)
    }

    /// As [`lock`](Self::lock), with a guard that borrows nothing.
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let inner = pointed(&self.point, Arc::clone(&self.inner).lock_owned()).await;
        HeldGuard::new(&self.point, inner)
    }

    /// Locks it if it is unlocked.
    ///
    /// # Errors
    /// If it is locked.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.point.reach();
        let inner = self.inner.try_lock()?;
        Ok(HeldGuard::new(&self.point, inner))
    }
}

/// As [`tokio::sync::RwLock`].
#[derive(Debug, Default)]
pub struct RwLock<T> {
    point: Arc<TaskPoint>,
    inner: sync::RwLock<T>,
}

impl<T> RwLock<T> {
    /// An unlocked lock around this value.
    pub fn new(value: T) -> RwLock<T> {
        RwLock { point: Arc::default(), inner: sync::RwLock::new(value) }
    }

    /// Locks it for reading.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        let inner = pointed(&self.point, self.inner.read()).await;
        HeldGuard::new(&self.point, inner)
    }

    /// Locks it for writing.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        let inner = pointed(&self.point, self.inner.write()).await;
        HeldGuard::new(&self.point, inner)
    }

    /// Locks it for reading if no task writes.
    ///
    /// # Errors
    /// If a task does.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.point.reach();
        let inner = self.inner.try_read()?;
        Ok(HeldGuard::new(&self.point, inner))
    }

    /// Locks it for writing if no task reads or writes.
    ///
    /// # Errors
    /// If a task does.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        self.point.reach();
        let inner = self.inner.try_write()?;
        Ok(HeldGuard::new(&self.point, inner))
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}
