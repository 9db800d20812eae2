//! Tokio's channels for many senders, with scheduling points.

use ::tokio::sync::mpsc as inner;
pub use ::tokio::sync::mpsc::error;

use crate::tokio::point::{End, pointed};

/// Declares the ends of a channel.
macro_rules! channel_ends {
    ($Sender:ident, $Receiver:ident) => {
        #[doc = concat!("As [`tokio::sync::mpsc::", stringify!($Sender), "`].")]
        #[derive(Debug)]
        pub struct $Sender<T>(End<inner::$Sender<T>>);

        #[doc = concat!("As [`tokio::sync::mpsc::", stringify!($Receiver), "`].")]
        #[derive(Debug)]
        pub struct $Receiver<T>(End<inner::$Receiver<T>>);

        impl<T> $Sender<T> {
            /// Whether the receiver was dropped or closed.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.0.reach().is_closed()
            }
        }

        impl<T> Clone for $Sender<T> {
            fn clone(&self) -> Self {
                $Sender(self.0.clone())
            }
        }

        impl<T> $Receiver<T> {
            /// Waits for a value; `None` once there is none and no sender is left.
            pub async fn recv(&mut self) -> Option<T> {
                let (point, inner) = self.0.split();
                pointed(point, inner.recv()).await
            }

            /// Takes a value if there is one.
            ///
            /// # Errors
            /// If there is none. The error says whether one may still come.
            pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
                self.0.reach_mut().try_recv()
            }

            /// Lets no value be sent any more.
            pub fn close(&mut self) {
                self.0.reach_mut().close();
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
    let (sender, receiver) = End::pair(inner::channel(bound));
    (Sender(sender), Receiver(receiver))
}

/// A channel without a bound, as [`tokio::sync::mpsc::unbounded_channel`].
#[must_use]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = End::pair(inner::unbounded_channel());
    (UnboundedSender(sender), UnboundedReceiver(receiver))
}

impl<T> Sender<T> {
    /// Sends a value, after waiting for room.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped or closed.
    pub async fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        pointed(self.0.point(), self.0.get().send(value)).await
    }

    /// Sends a value if there is room.
    ///
    /// # Errors
    /// With the value, if there is no room, or the receiver was dropped or closed.
    pub fn try_send(&self, value: T) -> Result<(), error::TrySendError<T>> {
        self.0.reach().try_send(value)
    }
}

impl<T> UnboundedSender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped or closed.
    pub fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        self.0.reach().send(value)
    }
}
