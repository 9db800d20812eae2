//! Waiting for a subject's threads.

use std::panic::resume_unwind;

use crate::thread::JoinHandle;

/// Waits for a thread; if it panicked, the panic continues on this thread.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
