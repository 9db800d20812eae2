//! Threads that belong to the run that starts them, and that a model checker can let take turns.
//!
//! Without the features `shuttle` and `loom`, and outside of a model in any case, these are std's
//! threads. In a model ([`Explore`](crate::Explore)) they are the model's: numbered in the order in
//! which they are started, the subject's own being 0.

#[cfg(mallory_model)]
mod builder;
#[cfg(mallory_model)]
mod current;
#[cfg(mallory_model)]
mod local;
#[cfg(mallory_model)]
mod modelled;
#[cfg(mallory_model)]
mod scope;
#[cfg(all(test, mallory_model))]
mod tests;

pub use std::thread::{Result, available_parallelism, panicking};

#[cfg(mallory_model)]
pub use builder::Builder;
#[cfg(mallory_model)]
pub use current::{Thread, ThreadId, current, park, park_timeout};
#[cfg(mallory_model)]
pub use local::{AccessError, LocalKey};
#[cfg(mallory_model)]
pub use modelled::{JoinHandle, sleep, spawn, yield_now};
#[cfg(mallory_model)]
pub use scope::{Scope, ScopedJoinHandle, scope};
#[cfg(not(mallory_model))]
pub use std::thread::{
    AccessError, Builder, JoinHandle, LocalKey, Scope, ScopedJoinHandle, Thread, ThreadId, current,
    park, park_timeout, scope, sleep, yield_now,
};

#[cfg(not(mallory_model))]
use crate::global::{attribute, is_attributed};

/// Starts a thread whose requests are the subject's, as those of the present thread are.
///
/// Only where runs are made in process does that make a difference: under a
/// [`GlobalHeap`](crate::GlobalHeap) the requests of a test runner's other threads pass there, and
/// are reported as unattributed. In a child all threads are the subject's.
///
/// # Panics
/// As [`std::thread::spawn`], where there is no memory for a thread.
#[cfg(not(mallory_model))]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let is_ours = is_attributed();
    std::thread::spawn(move || {
        attribute(is_ours);
        work()
    })
}
