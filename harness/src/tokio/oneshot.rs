//! Tokio's channel for one value, with scheduling points.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::tokio::sync::oneshot as inner;
pub use ::tokio::sync::oneshot::error;

use crate::future::points::TaskPoint;

/// As [`tokio::sync::oneshot::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    point: Arc<TaskPoint>,
    inner: Option<inner::Sender<T>>,
}

/// As [`tokio::sync::oneshot::Receiver`].
#[derive(Debug)]
pub struct Receiver<T> {
    point: Arc<TaskPoint>,
    inner: Option<inner::Receiver<T>>,
}

/// A channel for one value, as [`tokio::sync::oneshot::channel`].
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel();
    let point: Arc<TaskPoint> = Arc::default();
    let sender = Sender { point: Arc::clone(&point), inner: Some(sender) };
    (sender, Receiver { point, inner: Some(receiver) })
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped.
    pub fn send(mut self, value: T) -> Result<(), T> {
        self.point.reach();
        match self.inner.take() {
            Some(inner) => inner.send(value),
            None => Err(value),
        }
    }

    /// Whether the receiver was dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.point.reach();
        self.inner.as_ref().is_none_or(inner::Sender::is_closed)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.point.reach();
            self.inner = None;
        }
    }
}

impl<T> Receiver<T> {
    /// Takes the value if it was sent.
    ///
    /// # Errors
    /// If it was not, or the sender was dropped.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.point.reach();
        self.inner.as_mut().map_or(Err(error::TryRecvError::Closed), inner::Receiver::try_recv)
    }

    /// Lets no value be sent any more.
    pub fn close(&mut self) {
        self.point.reach();
        self.inner.iter_mut().for_each(inner::Receiver::close);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.point.reach();
        let receiver = self.inner.as_mut().expect("[mallory bug] a receiver without its channel");
        Pin::new(receiver).poll(context)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.point.reach();
        self.inner = None;
    }
}
