//! Tokio's channel in which each receiver gets each value, with scheduling points.

use ::tokio::sync::broadcast as inner;
pub use ::tokio::sync::broadcast::error;

use crate::tokio::point::{End, pointed};

/// As [`tokio::sync::broadcast::Sender`].
#[derive(Debug)]
pub struct Sender<T>(End<inner::Sender<T>>);

/// As [`tokio::sync::broadcast::Receiver`].
#[derive(Debug)]
pub struct Receiver<T>(End<inner::Receiver<T>>);

/// A channel that keeps the latest `capacity` values, as [`tokio::sync::broadcast::channel`].
///
/// # Panics
/// If `capacity` is 0.
#[must_use]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = End::pair(inner::channel(capacity));
    (Sender(sender), Receiver(receiver))
}

impl<T: Clone> Sender<T> {
    /// Sends a value to all receivers, and returns how many there are.
    ///
    /// # Errors
    /// With the value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, error::SendError<T>> {
        self.0.reach().send(value)
    }

    /// Another receiver, for what is sent from here on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.another(self.0.reach().subscribe()))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    /// If values were missed, or no sender is left.
    pub async fn recv(&mut self) -> Result<T, error::RecvError> {
        let (point, inner) = self.0.split();
        pointed(point, inner.recv()).await
    }

    /// Takes the next value if there is one.
    ///
    /// # Errors
    /// If there is none, values were missed, or no sender is left.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.0.reach_mut().try_recv()
    }
}
