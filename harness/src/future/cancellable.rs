//! A future inside of a task that the exploration may drop at each of its awaits, as a caller does
//! with a branch of a `select!`, or with what takes too long.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

#[cfg(not(mallory_model))]
use crate::future::no_model::InnerWait;
#[cfg(mallory_model)]
use crate::future::points::InnerWait;

/// Says that the exploration dropped a future, of which there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled(());

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the future was dropped at an await")
    }
}

impl std::error::Error for Cancelled {}

/// Awaits a future that the exploration may drop at each of its awaits, while the task goes on:
/// at most as often per run as [`Explore::cancellations`](crate::Explore::cancellations) says. Without
/// them, and outside of an exploration, it is as the future itself.
///
/// ```
/// use mallory::future::{block_on, cancellable};
///
/// let sum = block_on(async {
///     match cancellable(async { 1 + 1 }).await {
///         Ok(sum) => sum,
///         Err(_cancelled) => 0, // What the future shared has to be whole.
///     }
/// });
/// assert_eq!(sum, 2);
/// ```
///
/// # Errors
/// If the exploration dropped the future.
pub async fn cancellable<F: Future>(future: F) -> Result<F::Output, Cancelled> {
    let wait = InnerWait::new();
    let mut future = pin!(future);
    poll_fn(|context| {
        if wait.is_dropped() {
            return Poll::Ready(Err(Cancelled(())));
        }
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            wait.begin(context);
        } else {
            wait.end();
        }
        polled.map(Ok)
    })
    .await
}
