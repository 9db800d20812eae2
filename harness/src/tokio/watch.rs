//! Tokio's channel that keeps the latest value only, with scheduling points.

use std::sync::Arc;

use ::tokio::sync::watch as inner;
pub use ::tokio::sync::watch::{Ref, error};

use crate::future::points::TaskPoint;
use crate::tokio::point::pointed;

/// As [`tokio::sync::watch::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    point: Arc<TaskPoint>,
    inner: Option<inner::Sender<T>>,
}

/// As [`tokio::sync::watch::Receiver`].
#[derive(Debug)]
pub struct Receiver<T> {
    point: Arc<TaskPoint>,
    inner: Option<inner::Receiver<T>>,
}

/// A channel that holds this value at first, as [`tokio::sync::watch::channel`].
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel(value);
    let point: Arc<TaskPoint> = Arc::default();
    let sender = Sender { point: Arc::clone(&point), inner: Some(sender) };
    (sender, Receiver { point, inner: Some(receiver) })
}

impl<T> Sender<T> {
    fn inner(&self) -> &inner::Sender<T> {
        self.inner.as_ref().expect("[mallory bug] a sender without its channel")
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// With the value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        self.point.reach();
        self.inner().send(value)
    }

    /// Changes the value, also if there is no receiver.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.point.reach();
        self.inner().send_modify(change);
    }

    /// Borrows the value. The task must reach no other scheduling point while it has it.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.point.reach();
        self.inner().borrow()
    }

    /// Another receiver.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        self.point.reach();
        Receiver { point: Arc::clone(&self.point), inner: Some(self.inner().subscribe()) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}

impl<T> Receiver<T> {
    fn inner(&self) -> &inner::Receiver<T> {
        self.inner.as_ref().expect("[mallory bug] a receiver without its channel")
    }

    fn inner_mut(&mut self) -> &mut inner::Receiver<T> {
        self.inner.as_mut().expect("[mallory bug] a receiver without its channel")
    }

    /// Waits until the value was replaced since it was last seen.
    ///
    /// # Errors
    /// If no sender is left.
    pub async fn changed(&mut self) -> Result<(), error::RecvError> {
        let point = Arc::clone(&self.point);
        pointed(&point, self.inner_mut().changed()).await
    }

    /// Borrows the value. The task must reach no other scheduling point while it has it.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.point.reach();
        self.inner().borrow()
    }

    /// As [`borrow`](Self::borrow); the value then counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.point.reach();
        self.inner_mut().borrow_and_update()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver { point: Arc::clone(&self.point), inner: self.inner.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}
