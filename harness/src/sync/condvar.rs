//! A condition variable as std's, whose waits and notices a model checker sees.

use crate::sync::raw::RawCondvar;
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use crate::rt;
use crate::rt::{CurrentEngine, ObjectId};
use crate::sync::mutex::MutexGuard;

/// A condition variable, as [`std::sync::Condvar`]. In a model no wait ends without a notice.
#[derive(Debug, Default)]
pub struct Condvar {
    notices: RawCondvar,
    std: std::sync::Condvar,
}

/// Whether a wait ended since its time was up, as [`std::sync::WaitTimeoutResult`]. In a model
/// time does not pass, so there it never is.
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
    /// One that nobody waits for.
    #[must_use]
    pub const fn new() -> Self {
        Condvar {
            notices: RawCondvar {
                id: ObjectId::new(),
                #[cfg(feature = "loom")]
                loom: crate::sync::loom_lock::LoomCondvar::new(),
            },
            std: std::sync::Condvar::new(),
        }
    }

    /// Gives the lock back, waits for a notice, and takes the lock again.
    ///
    /// # Errors
    /// Where the mutex is poisoned; it is taken all the same.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let MutexGuard { mutex, data, held } = guard;
        if held.is_modelled() {
            drop(data);
            return mutex.lock_held(held.wait(&self.notices));
        }
        match self.std.wait(data) {
            Ok(data) => Ok(MutexGuard { mutex, data, held }),
            Err(poisoned) => {
                let data = poisoned.into_inner();
                Err(PoisonError::new(MutexGuard { mutex, data, held }))
            }
        }
    }

    /// Waits as long as the condition is true.
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

    /// Waits, but not longer than this.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        if guard.held.is_modelled() {
            return match self.wait(guard) {
                Ok(guard) => Ok((guard, WaitTimeoutResult(false))),
                Err(poisoned) => {
                    Err(PoisonError::new((poisoned.into_inner(), WaitTimeoutResult(false))))
                }
            };
        }
        let MutexGuard { mutex, data, held } = guard;
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

    /// Wakes one thread that waits: in a model whichever the schedule says.
    pub fn notify_one(&self) {
        self.notify(false);
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.notify(true);
    }

    fn notify(&self, all: bool) {
        match rt::engine() {
            CurrentEngine::None => {}
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => rt::notify(&self.notices.id, all),
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => self.notices.loom.notify(&self.notices.id, all),
        }
        if all {
            self.std.notify_all();
        } else {
            self.std.notify_one();
        }
    }
}
