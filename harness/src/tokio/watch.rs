//! Tokio's channel that keeps the latest value only, with scheduling points.

use ::tokio::sync::watch as inner;
pub use ::tokio::sync::watch::{Ref, error};

use crate::tokio::point::{End, pointed};

/// As [`tokio::sync::watch::Sender`].
#[derive(Debug)]
pub struct Sender<T>(End<inner::Sender<T>>);

/// As [`tokio::sync::watch::Receiver`].
#[derive(Debug)]
pub struct Receiver<T>(End<inner::Receiver<T>>);

/// A channel that holds this value at first, as [`tokio::sync::watch::channel`].
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = End::pair(inner::channel(value));
    (Sender(sender), Receiver(receiver))
}

impl<T> Sender<T> {
    /// Replaces the value.
    ///
    /// # Errors
    /// With the value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        self.0.reach().send(value)
    }

    /// Changes the value, also if there is no receiver.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.0.reach().send_modify(change);
    }

    /// Borrows the value. The task must reach no other scheduling point while it has it.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.reach().borrow()
    }

    /// Another receiver.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.another(self.0.reach().subscribe()))
    }
}

impl<T> Receiver<T> {
    /// Waits until the value was replaced since it was last seen.
    ///
    /// # Errors
    /// If no sender is left.
    pub async fn changed(&mut self) -> Result<(), error::RecvError> {
        let (point, inner) = self.0.split();
        pointed(point, inner.changed()).await
    }

    /// Borrows the value. The task must reach no other scheduling point while it has it.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.reach().borrow()
    }

    /// As [`borrow`](Self::borrow); the value then counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.0.reach_mut().borrow_and_update()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver(self.0.clone())
    }
}
