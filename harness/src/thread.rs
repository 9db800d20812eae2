//! Threads that belong to the run that starts them.

use std::thread::JoinHandle;

use crate::global::{attribute, is_attributed};

/// Starts a thread whose requests are the subject's, as those of the present thread are.
///
/// Only where runs are made in process does that make a difference: under a
/// [`GlobalHeap`](crate::GlobalHeap) the requests of a test runner's other threads pass there, and
/// are reported as unattributed. In a child all threads are the subject's.
///
/// # Panics
/// As [`std::thread::spawn`], where there is no memory for a thread.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let is_ours = is_attributed();
    std::thread::spawn(move || {
        attribute(is_ours);
        work()
    })
}
