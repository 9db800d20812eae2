//! Tokio's channel in which each receiver gets each value, with scheduling points.

use std::sync::Arc;

use ::tokio::sync::broadcast as inner;
pub use ::tokio::sync::broadcast::error;

use crate::future::points::TaskPoint;
use crate::tokio::point::pointed;

/// As [`tokio::sync::broadcast::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    point: Arc<TaskPoint>,
    inner: Option<inner::Sender<T>>,
}

/// As [`tokio::sync::broadcast::Receiver`].
#[derive(Debug)]
pub struct Receiver<T> {
    point: Arc<TaskPoint>,
    inner: Option<inner::Receiver<T>>,
}

/// A channel that keeps the latest `capacity` values, as [`tokio::sync::broadcast::channel`].
///
/// # Panics
/// If `capacity` is 0.
#[must_use]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel(capacity);
    let point: Arc<TaskPoint> = Arc::default();
    let sender = Sender { point: Arc::clone(&point), inner: Some(sender) };
    (sender, Receiver { point, inner: Some(receiver) })
}

impl<T: Clone> Sender<T> {
    fn inner(&self) -> &inner::Sender<T> {
        self.inner.as_ref().expect("[mallory bug] a sender without its channel")
    }

    /// Sends a value to all receivers, and returns how many there are.
    ///
    /// # Errors
    /// With the value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, error::SendError<T>> {
        self.point.reach();
        self.inner().send(value)
    }

    /// Another receiver, for what is sent from here on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        self.point.reach();
        Receiver { point: Arc::clone(&self.point), inner: Some(self.inner().subscribe()) }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { point: Arc::clone(&self.point), inner: self.inner.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}

impl<T: Clone> Receiver<T> {
    fn inner(&mut self) -> &mut inner::Receiver<T> {
        self.inner.as_mut().expect("[mallory bug] a receiver without its channel")
    }

    /// Waits for the next value.
    ///
    /// # Errors
    /// If values were missed, or no sender is left.
    pub async fn recv(&mut self) -> Result<T, error::RecvError> {
        let point = Arc::clone(&self.point);
        pointed(&point, self.inner().recv()).await
    }

    /// Takes the next value if there is one.
    ///
    /// # Errors
    /// If there is none, values were missed, or no sender is left.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.point.reach();
        self.inner().try_recv()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}
