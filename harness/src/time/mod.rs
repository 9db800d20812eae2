//! Time as the code under test sees it: std's, or in a model ([`Explore`](crate::Explore)) a
//! simulated one.
//!
//! Simulated time begins at zero in each run, and passes only where a thread sleeps or waits for a
//! limited time: when no other thread can go on, it jumps to the end of the earliest sleep or timed
//! wait. The exploration also lets it jump while others could go on, as they may be slow: to the end of a
//! sleep at the cost of a preemption, to that of a timed wait as often as
//! [`Explore::wakeups`](crate::Explore::wakeups) says. Code that runs takes no time at all.

#[cfg(mallory_model)]
pub(crate) mod instant;

#[cfg(not(mallory_model))]
pub use std::time::Instant;
pub use std::time::{Duration, TryFromFloatSecsError};

#[doc(hidden)]
pub use crate::rt::refused::SystemTime;
#[cfg(mallory_model)]
pub use crate::time::instant::Instant;
#[cfg(mallory_model)]
pub(crate) use crate::time::instant::nanoseconds;
