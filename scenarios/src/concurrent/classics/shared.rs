//! What the programs have in common: how threads are started and joined, locks that a panic doesn't
//! poison, a binary semaphore, and a critical section that notices a second thread.

use std::panic::resume_unwind;

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use crate::thread;

/// Runs `work` on this number of threads, which know their number from 0 up, and returns what they
/// return. If one of them panics, the panic continues here when all of them have ended.
pub(super) fn together<S, R>(
    shared: &Arc<S>,
    threads: usize,
    work: impl Fn(&S, usize) -> R + Copy + Send + 'static,
) -> Vec<R>
where
    S: Send + Sync + 'static,
    R: Send + 'static,
{
    let start = |number| {
        let shared = Arc::clone(shared);
        thread::spawn(move || work(&shared, number))
    };
    let started: Vec<_> = (0..threads).map(start).collect();
    let ended: Vec<_> = started.into_iter().map(|thread| thread.join()).collect();
    ended.into_iter().map(|end| end.unwrap_or_else(|panic| resume_unwind(panic))).collect()
}

/// Locks a mutex. That a thread panicked while it held the lock is reported as its panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification.
pub(super) fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits while the condition is true.
pub(super) fn wait_while<'a, T>(
    changed: &Condvar,
    mut guard: MutexGuard<'a, T>,
    condition: impl Fn(&T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&guard) {
        guard = wait(changed, guard);
    }
    guard
}

/// A semaphore that is either free or taken. Any thread may release it; releasing a free one changes
/// nothing.
pub(super) struct BinarySemaphore {
    is_free: Mutex<bool>,
    released: Condvar,
}

impl BinarySemaphore {
    pub(super) fn new(is_free: bool) -> Self {
        BinarySemaphore { is_free: Mutex::new(is_free), released: Condvar::new() }
    }

    pub(super) fn acquire(&self) {
        *wait_while(&self.released, lock(&self.is_free), |is_free| !is_free) = false;
    }

    pub(super) fn release(&self) {
        *lock(&self.is_free) = true;
        self.released.notify_one();
    }
}

/// A section that one thread at a time may be in. It notes whether two were, rather than panic at
/// once: a thread that panics would never leave, and others might wait for it forever.
#[derive(Default)]
pub(super) struct CriticalSection {
    threads: AtomicUsize,
    was_shared: AtomicBool,
}

impl CriticalSection {
    /// Enters and leaves.
    pub(super) fn visit(&self) {
        if self.threads.fetch_add(1, Ordering::SeqCst) != 0 {
            self.was_shared.store(true, Ordering::SeqCst);
        }
        self.threads.fetch_sub(1, Ordering::SeqCst);
    }

    /// Panics if two threads were inside at the same time.
    pub(super) fn assert_exclusive(&self) {
        let was_shared = self.was_shared.load(Ordering::SeqCst);
        assert!(!was_shared, "two threads were in the critical section");
    }
}
