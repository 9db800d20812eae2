//! Tokio's notifications, with scheduling points.

use std::future::Future;

use ::tokio::sync;

use crate::future::points::TaskPoint;
use crate::tokio::point::pointed;

/// As [`tokio::sync::Notify`].
#[derive(Debug, Default)]
pub struct Notify {
    point: TaskPoint,
    inner: sync::Notify,
}

impl Notify {
    /// Without a notification.
    #[must_use]
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Waits for a notification. As with tokio's, one that is sent to all after this call is received
    /// even if it comes before the first poll.
    pub fn notified(&self) -> impl Future<Output = ()> + '_ {
        pointed(&self.point, self.inner.notified())
    }

    /// Wakes one task that waits, or lets the next one not wait.
    pub fn notify_one(&self) {
        self.point.reach();
        self.inner.notify_one();
    }

    /// Wakes all tasks that wait.
    pub fn notify_waiters(&self) {
        self.point.reach();
        self.inner.notify_waiters();
    }
}
