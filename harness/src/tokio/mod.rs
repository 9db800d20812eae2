//! The parts of tokio that services use, so that an async service is explored with the schedules of
//! its tasks (feature `tokio`).
//!
//! ```
//! #[cfg(test)]
//! use mallory::tokio;
//! # fn main() {}
//! ```
//!
//! The synchronisation is tokio's own: what is here adds a scheduling point before each poll and each
//! operation. In a model a task is a thread of the model, and time is simulated
//! ([`mallory::time`](crate::time)). Outside of a model, and in builds without a model checker,
//! everything is tokio's and needs its runtime.

#[cfg(mallory_model)]
#[doc(hidden)]
pub mod broadcast;
#[cfg(mallory_model)]
pub(crate) mod locks;
#[cfg(mallory_model)]
#[doc(hidden)]
pub mod mpsc;
#[cfg(mallory_model)]
pub(crate) mod notify;
#[cfg(mallory_model)]
#[doc(hidden)]
pub mod oneshot;
#[cfg(mallory_model)]
pub(crate) mod point;
#[cfg(mallory_model)]
#[doc(hidden)]
pub mod select;
#[cfg(mallory_model)]
pub(crate) mod semaphore;
#[cfg(mallory_model)]
pub mod sync;
#[cfg(mallory_model)]
pub mod task;
#[cfg(mallory_model)]
pub mod time;
#[cfg(mallory_model)]
#[doc(hidden)]
pub mod watch;

#[cfg(mallory_model)]
pub use crate::tokio::select::select;
#[cfg(not(mallory_model))]
pub use ::tokio::select;
pub use ::tokio::{join, pin, try_join};
#[cfg(not(mallory_model))]
pub use ::tokio::{spawn, sync, task, time};

#[cfg(mallory_model)]
pub use crate::tokio::task::spawn;
