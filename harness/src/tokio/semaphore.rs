//! Tokio's semaphore, with scheduling points.

use std::sync::Arc;

use ::tokio::sync;
use ::tokio::sync::{AcquireError, TryAcquireError};

use crate::future::points::TaskPoint;
use crate::tokio::point::pointed;

/// As [`tokio::sync::Semaphore`].
#[derive(Debug)]
pub struct Semaphore {
    point: Arc<TaskPoint>,
    inner: Arc<sync::Semaphore>,
}

/// As [`tokio::sync::SemaphorePermit`].
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    point: &'a TaskPoint,
    inner: Option<sync::SemaphorePermit<'a>>,
}

/// As [`tokio::sync::OwnedSemaphorePermit`].
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    point: Arc<TaskPoint>,
    inner: Option<sync::OwnedSemaphorePermit>,
}

impl Semaphore {
    /// A semaphore with this number of permits.
    #[must_use]
    pub fn new(permits: usize) -> Semaphore {
        Semaphore { point: Arc::default(), inner: Arc::new(sync::Semaphore::new(permits)) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for several permits.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire_many(&self, permits: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let inner = pointed(&self.point, self.inner.acquire_many(permits)).await?;
        Ok(SemaphorePermit { point: &self.point, inner: Some(inner) })
    }

    /// As [`acquire`](Self::acquire), with a permit that borrows nothing.
    ///
    /// # Errors
    /// If the semaphore is closed.
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        let inner = pointed(&self.point, Arc::clone(&self.inner).acquire_owned()).await?;
        Ok(OwnedSemaphorePermit { point: Arc::clone(&self.point), inner: Some(inner) })
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    /// If there is none, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.point.reach();
        let inner = self.inner.try_acquire()?;
        Ok(SemaphorePermit { point: &self.point, inner: Some(inner) })
    }

    /// Adds permits.
    pub fn add_permits(&self, permits: usize) {
        self.point.reach();
        self.inner.add_permits(permits);
    }

    /// The number of permits that are left.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.point.reach();
        self.inner.available_permits()
    }

    /// Closes it: no task gets a permit any more.
    pub fn close(&self) {
        self.point.reach();
        self.inner.close();
    }
}

impl SemaphorePermit<'_> {
    /// Gives the permits up for good.
    pub fn forget(mut self) {
        self.inner.take().into_iter().for_each(sync::SemaphorePermit::forget);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}
