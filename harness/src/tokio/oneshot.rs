//! Tokio's channel for one value, with scheduling points.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tokio::sync::oneshot as inner;
pub use ::tokio::sync::oneshot::error;

use crate::tokio::point::End;

/// As [`tokio::sync::oneshot::Sender`].
#[derive(Debug)]
pub struct Sender<T>(End<inner::Sender<T>>);

/// As [`tokio::sync::oneshot::Receiver`].
#[derive(Debug)]
pub struct Receiver<T>(End<inner::Receiver<T>>);

/// A channel for one value, as [`tokio::sync::oneshot::channel`].
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = End::pair(inner::channel());
    (Sender(sender), Receiver(receiver))
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped.
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.finish().send(value)
    }

    /// Whether the receiver was dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.reach().is_closed()
    }
}

impl<T> Receiver<T> {
    /// Takes the value if it was sent.
    ///
    /// # Errors
    /// If it was not, or the sender was dropped.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.0.reach_mut().try_recv()
    }

    /// Lets no value be sent any more.
    pub fn close(&mut self) {
        self.0.reach_mut().close();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(self.0.reach_mut()).poll(context)
    }
}
