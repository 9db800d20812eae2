//! The part of a lock that a model checker sees, without the data. It is locked before std's own
//! lock and unlocked after it.

use crate::rt;
use crate::rt::{CurrentEngine, ObjectId};
use crate::sync::lock_request::LockRequest;

/// A lock as the present engine sees it. Outside of a model it does nothing.
#[derive(Debug, Default)]
pub(crate) struct RawLock {
    pub(crate) id: ObjectId,
    #[cfg(feature = "loom")]
    loom: crate::sync::loom_lock::LoomLock,
}

/// A locked [`RawLock`], unlocked when this is dropped.
pub(crate) struct HeldLock<'a> {
    raw: &'a RawLock,
    /// The run in which it was locked; 0 outside of a model.
    run: u64,
    #[cfg(feature = "loom")]
    loom: Option<crate::sync::loom_lock::LoomGuard<'a>>,
}

impl RawLock {
    pub(crate) const fn new() -> RawLock {
        RawLock {
            id: ObjectId::new(),
            #[cfg(feature = "loom")]
            loom: crate::sync::loom_lock::LoomLock::new(),
        }
    }

    fn held(&self, run: u64) -> HeldLock<'_> {
        HeldLock {
            raw: self,
            run,
            #[cfg(feature = "loom")]
            loom: None,
        }
    }

    /// Locks it, after waiting until that is possible.
    pub(crate) fn lock(&self, request: LockRequest) -> HeldLock<'_> {
        match rt::engine() {
            CurrentEngine::None => self.held(0),
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => {
                rt::acquire(&self.id, request.mode());
                self.held(rt::run())
            }
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => {
                let guard = self.loom.lock(&self.id, request);
                HeldLock { raw: self, run: rt::run(), loom: Some(guard) }
            }
        }
    }

    /// Locks it if that is possible at once.
    pub(crate) fn try_lock(&self, request: LockRequest) -> Option<HeldLock<'_>> {
        match rt::engine() {
            CurrentEngine::None => Some(self.held(0)),
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => {
                rt::try_acquire(&self.id, request.mode()).then(|| self.held(rt::run()))
            }
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => {
                let guard = self.loom.try_lock(&self.id, request)?;
                Some(HeldLock { raw: self, run: rt::run(), loom: Some(guard) })
            }
        }
    }
}

impl<'a> HeldLock<'a> {
    /// Unlocks it, waits for a notification, for at most `time` nanoseconds, and locks it again.
    /// Returns whether the time was up. Under loom time does not end a wait.
    #[cfg_attr(not(feature = "loom"), allow(unused_mut, reason = "only loom replaces its guard"))]
    pub(crate) fn wait(mut self, condvar: &RawCondvar, time: Option<u64>) -> (HeldLock<'a>, bool) {
        if self.run != rt::run() {
            return (self, false);
        }
        #[cfg_attr(not(feature = "shuttle"), allow(unused_mut, reason = "only shuttle has time"))]
        let mut is_late = false;
        match rt::engine() {
            CurrentEngine::None => {}
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => {
                is_late = rt::wait_on_condvar(&condvar.id, &self.raw.id, time);
            }
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => {
                let guard = self.loom.take();
                self.loom = guard.map(|guard| condvar.loom.wait(&condvar.id, &self.raw.id, guard));
            }
        }
        let _ = time;
        (self, is_late)
    }

    /// Whether it was locked in a model.
    pub(crate) fn is_modelled(&self) -> bool {
        self.run != 0
    }
}

impl Drop for HeldLock<'_> {
    fn drop(&mut self) {
        if self.run == 0 {
            return;
        }
        let engine = if self.run == rt::run() { rt::engine() } else { CurrentEngine::None };
        #[cfg(feature = "loom")]
        if let Some(guard) = self.loom.take() {
            guard.unlock(&self.raw.id, engine == CurrentEngine::Loom);
            return;
        }
        #[cfg(feature = "shuttle")]
        if engine == CurrentEngine::Shuttle {
            rt::release(&self.raw.id);
        }
        let _ = engine;
    }
}

/// The part of a condition variable that a model checker sees.
#[derive(Debug, Default)]
pub(crate) struct RawCondvar {
    pub(crate) id: ObjectId,
    #[cfg(feature = "loom")]
    pub(crate) loom: crate::sync::loom_lock::LoomCondvar,
}

impl RawCondvar {
    pub(crate) const fn new() -> RawCondvar {
        RawCondvar {
            id: ObjectId::new(),
            #[cfg(feature = "loom")]
            loom: crate::sync::loom_lock::LoomCondvar::new(),
        }
    }

    /// Wakes one thread that waits in a model, or all of them.
    pub(crate) fn notify(&self, all: bool) {
        match rt::engine() {
            CurrentEngine::None => {}
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => rt::notify(&self.id, all),
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => self.loom.notify(&self.id, all),
        }
    }
}
