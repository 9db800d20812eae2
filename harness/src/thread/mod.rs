//! Threads that belong to the run that starts them: `std::thread`, or its twin that a model checker
//! drives.
//!
//! Without the features `shuttle` and `loom`, and outside of a model in any case, these are std's
//! threads. In a model ([`Explore`](crate::Explore)) the model checker schedules them. There they
//! are numbered in the order in which they are started; the subject's own thread is 0.

#[cfg(mallory_model)]
pub(crate) mod builder;
#[cfg(mallory_model)]
pub(crate) mod current;
#[cfg(mallory_model)]
pub(crate) mod local;
#[cfg(mallory_model)]
pub(crate) mod scope;
#[cfg(mallory_model)]
pub(crate) mod settings;
#[cfg(mallory_model)]
pub(crate) mod spawn;

#[cfg(not(mallory_model))]
pub use std::thread::{
    AccessError, Builder, JoinHandle, LocalKey, Scope, ScopedJoinHandle, Thread, ThreadId,
    available_parallelism, current, park, park_timeout, scope, sleep, yield_now,
};
pub use std::thread::{Result, panicking};
#[cfg(not(mallory_model))]
pub use std::thread_local;

#[cfg(mallory_model)]
pub use crate::__thread_local as thread_local;
#[cfg(not(mallory_model))]
use crate::heap::thread_context::{attribute, is_attributed};
#[cfg(mallory_model)]
pub use crate::thread::builder::Builder;
#[cfg(mallory_model)]
pub use crate::thread::current::{Thread, ThreadId, current, park, park_timeout};
#[cfg(mallory_model)]
pub use crate::thread::local::{AccessError, LocalKey};
#[cfg(mallory_model)]
pub use crate::thread::scope::{Scope, ScopedJoinHandle, scope};
#[cfg(mallory_model)]
pub use crate::thread::spawn::{JoinHandle, available_parallelism, sleep, spawn, yield_now};

/// Starts a thread whose requests are the subject's if those of the present thread are.
///
/// This differs from [`std::thread::spawn`] only under a [`GlobalHeap`](crate::GlobalHeap) whose
/// runs are made in process: there the requests of the test runner's other threads never fail, and
/// are reported as unattributed. In a child process all threads are the subject's.
///
/// # Panics
/// As [`std::thread::spawn`], if there is no memory for a thread.
#[cfg(not(mallory_model))]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let is_subjects = is_attributed();
    std::thread::spawn(move || {
        attribute(is_subjects);
        work()
    })
}
