//! Time: tokio's, or in a model a simulated one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::future::points::{Timer, is_modelled};
pub use crate::time::Instant;

/// Waits for this long, as [`tokio::time::sleep`].
pub async fn sleep(time: Duration) {
    if !is_modelled() {
        return ::tokio::time::sleep(time).await;
    }
    let mut timer = Timer::new(time);
    poll_fn(|context| timer.poll(context)).await;
}

/// Waits until then.
pub async fn sleep_until(end: Instant) {
    sleep(end.saturating_duration_since(Instant::now())).await;
}

/// Says that a time was up, as [`tokio::time::error::Elapsed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

/// Awaits a future for at most this long, as [`tokio::time::timeout`].
///
/// # Errors
/// If the time was up first.
pub async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    let (mut future, mut end) = (pin!(future), pin!(sleep(time)));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        end.as_mut().poll(context).map(|()| Err(Elapsed(())))
    })
    .await
}

/// Ticks in equal distances, as [`tokio::time::Interval`]. The first tick is at once.
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
}

/// Ticks from now on, with this time between two ticks.
#[must_use]
pub fn interval(period: Duration) -> Interval {
    Interval { next: Instant::now(), period }
}

impl Interval {
    /// Waits for the next tick.
    pub async fn tick(&mut self) -> Instant {
        sleep_until(self.next).await;
        let tick = self.next;
        self.next += self.period;
        tick
    }
}
