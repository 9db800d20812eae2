//! Futures in a model: a task is a thread of the model that polls a future, and waits where it is
//! pending until it is woken.
//!
//! Outside of a model ([`Explore`](crate::Explore)) a task is one of the operating system's threads. What
//! services use of tokio is in [`mallory::tokio`](crate::tokio) (feature `tokio`).
//!
//! With [`Explore::cancellations`](crate::Explore::cancellations) the exploration also drops the futures
//! of tasks, at each await that is reached, and futures inside of a task that are [`cancellable`].

pub(crate) mod cancellable;
#[cfg(mallory_model)]
pub(crate) mod inner_wait;
#[cfg(not(mallory_model))]
pub(crate) mod no_model;
#[cfg(mallory_model)]
pub(crate) mod points;
pub(crate) mod task;

use std::future::{Future, poll_fn};
use std::task::Poll;

pub use crate::future::cancellable::{Cancelled, cancellable};
pub use crate::future::task::{AbortHandle, JoinError, JoinHandle, block_on, spawn};
#[doc(hidden)]
pub use crate::rt::refused::spawn_local;

/// Lets other tasks run first, once.
pub fn yield_now() -> impl Future<Output = ()> {
    let mut has_yielded = false;
    poll_fn(move |context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        crate::thread::yield_now();
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
