//! The twin of std's condition variable: a model checker sees its waits and notifications.

use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use crate::sync::mutex::MutexGuard;
use crate::sync::raw::RawCondvar;
use crate::sync::twin::guarded;
use crate::time::{Instant, nanoseconds};

/// A condition variable, as [`std::sync::Condvar`]. In a model a wait may end without a
/// notification, as std's may: the exploration tries that, a limited number of times per run.
#[derive(Debug, Default)]
pub struct Condvar {
    raw: RawCondvar,
    std: std::sync::Condvar,
}

/// Whether a wait ended because its time was up, as [`std::sync::WaitTimeoutResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable that no thread waits on.
    #[must_use]
    pub const fn new() -> Self {
        Condvar { raw: RawCondvar::new(), std: std::sync::Condvar::new() }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again.
    ///
    /// # Errors
    /// If the mutex is poisoned. The error holds the guard: the mutex is locked all the same.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let MutexGuard { mutex, data, held } = guard;
        if held.is_modelled() {
            drop(data);
            return mutex.lock_held(held.wait(&self.raw, None).0);
        }
        match self.std.wait(data) {
            Ok(data) => Ok(MutexGuard { mutex, data, held }),
            Err(poisoned) => {
                let data = poisoned.into_inner();
                Err(PoisonError::new(MutexGuard { mutex, data, held }))
            }
        }
    }

    /// Waits while the condition is true.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits for at most `time`. In a model it is simulated time, and the exploration also lets it
    /// pass while others could run. Under loom the time is never up.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let MutexGuard { mutex, data, held } = guard;
        if held.is_modelled() {
            drop(data);
            let (held, is_late) = held.wait(&self.raw, Some(nanoseconds(time)));
            return guarded(mutex.lock_held(held), |guard| (guard, WaitTimeoutResult(is_late)));
        }
        match self.std.wait_timeout(data, time) {
            Ok((data, end)) => {
                Ok((MutexGuard { mutex, data, held }, WaitTimeoutResult(end.timed_out())))
            }
            Err(poisoned) => {
                let (data, end) = poisoned.into_inner();
                let guard = MutexGuard { mutex, data, held };
                Err(PoisonError::new((guard, WaitTimeoutResult(end.timed_out()))))
            }
        }
    }

    /// Waits for at most `time` while the condition is true.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let start = Instant::now();
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
            else {
                return Ok((guard, WaitTimeoutResult(true)));
            };
            guard = self.wait_timeout(guard, left)?.0;
        }
    }

    /// Wakes one thread that waits. In a model the schedule says which.
    pub fn notify_one(&self) {
        self.notify(false);
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.notify(true);
    }

    fn notify(&self, all: bool) {
        self.raw.notify(all);
        if all {
            self.std.notify_all();
        } else {
            self.std.notify_one();
        }
    }
}
