//! Tokio's channels for many senders, with scheduling points.

use std::sync::Arc;

use ::tokio::sync::mpsc as inner;
pub use ::tokio::sync::mpsc::error;

use crate::future::points::TaskPoint;
use crate::tokio::point::pointed;

/// Declares the ends of a channel.
macro_rules! channel_ends {
    ($Sender:ident, $Receiver:ident) => {
        #[doc = concat!("As [`tokio::sync::mpsc::", stringify!($Sender), "`].")]
        #[derive(Debug)]
        pub struct $Sender<T> {
            point: Arc<TaskPoint>,
            inner: Option<inner::$Sender<T>>,
        }

        #[doc = concat!("As [`tokio::sync::mpsc::", stringify!($Receiver), "`].")]
        #[derive(Debug)]
        pub struct $Receiver<T> {
            point: Arc<TaskPoint>,
            inner: Option<inner::$Receiver<T>>,
        }

        impl<T> $Sender<T> {
            fn inner(&self) -> &inner::$Sender<T> {
                self.inner.as_ref().expect("[mallory bug] a sender without its channel")
            }

            /// Whether the receiver was dropped or closed.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.point.reach();
                self.inner().is_closed()
            }
        }

        impl<T> Clone for $Sender<T> {
            fn clone(&self) -> Self {
                $Sender { point: Arc::clone(&self.point), inner: self.inner.clone() }
            }
        }

        impl<T> Drop for $Sender<T> {
            fn drop(&mut self) {
                self.point.reach();
                self.inner = None;
            }
        }

        impl<T> $Receiver<T> {
            fn inner(&mut self) -> &mut inner::$Receiver<T> {
                self.inner.as_mut().expect("[mallory bug] a receiver without its channel")
            }

            /// Waits for a value; `None` once there is none and no sender is left.
            pub async fn recv(&mut self) -> Option<T> {
                let point = Arc::clone(&self.point);
                pointed(&point, self.inner().recv()).await
            }

            /// Takes a value if there is one.
            ///
            /// # Errors
            /// If there is none. The error says whether one may still come.
            pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
                self.point.reach();
                self.inner().try_recv()
            }

            /// Lets no value be sent any more.
            pub fn close(&mut self) {
                self.point.reach();
                self.inner().close();
            }
        }

        impl<T> Drop for $Receiver<T> {
            fn drop(&mut self) {
                self.point.reach();
                self.inner = None;
            }
        }
    };
}

channel_ends!(Sender, Receiver);
channel_ends!(UnboundedSender, UnboundedReceiver);

/// A channel in which at most `bound` values may wait, as [`tokio::sync::mpsc::channel`].
///
/// # Panics
/// If `bound` is 0.
#[must_use]
pub fn channel<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel(bound);
    let point: Arc<TaskPoint> = Arc::default();
    let sender = Sender { point: Arc::clone(&point), inner: Some(sender) };
    (sender, Receiver { point, inner: Some(receiver) })
}

/// A channel without a bound, as [`tokio::sync::mpsc::unbounded_channel`].
#[must_use]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = inner::unbounded_channel();
    let point: Arc<TaskPoint> = Arc::default();
    let sender = UnboundedSender { point: Arc::clone(&point), inner: Some(sender) };
    (sender, UnboundedReceiver { point, inner: Some(receiver) })
}

impl<T> Sender<T> {
    /// Sends a value, after waiting for room.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped or closed.
    pub async fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        pointed(&self.point, self.inner().send(value)).await
    }

    /// Sends a value if there is room.
    ///
    /// # Errors
    /// With the value, if there is no room, or the receiver was dropped or closed.
    pub fn try_send(&self, value: T) -> Result<(), error::TrySendError<T>> {
        self.point.reach();
        self.inner().try_send(value)
    }
}

impl<T> UnboundedSender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped or closed.
    pub fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        self.point.reach();
        self.inner().send(value)
    }
}
