//! What a lock is to a model checker, without the data: taken before std's, and given back after.

use crate::rt;
#[cfg(feature = "shuttle")]
use crate::rt::SharedOpKind;
use crate::rt::{CurrentEngine, ObjectId};
use crate::sync::lock_request::LockRequest;

/// A lock as the present engine has it; outside of a model there is nothing to it.
#[derive(Debug, Default)]
pub(crate) struct RawLock {
    pub(crate) id: ObjectId,
    #[cfg(feature = "loom")]
    loom: crate::sync::loom_lock::LoomLock,
}

/// A lock that is held, until this is dropped.
pub(crate) struct HeldLock<'a> {
    raw: &'a RawLock,
    /// The run in which it was taken; 0 outside of one.
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

    /// Waits until it can be had, and takes it.
    pub(crate) fn lock(&self, ask: LockRequest) -> HeldLock<'_> {
        match rt::engine() {
            CurrentEngine::None => self.held(0),
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => {
                rt::acquire(&self.id, ask.mode());
                self.held(rt::run())
            }
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => {
                let guard = self.loom.lock(&self.id, ask);
                HeldLock { raw: self, run: rt::run(), loom: Some(guard) }
            }
        }
    }

    /// Takes it, if it can be had at once.
    pub(crate) fn try_lock(&self, ask: LockRequest) -> Option<HeldLock<'_>> {
        match rt::engine() {
            CurrentEngine::None => Some(self.held(0)),
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => {
                rt::point_at(&self.id, SharedOpKind::Lock);
                rt::try_take(&self.id, ask.mode()).then(|| self.held(rt::run()))
            }
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => {
                let guard = self.loom.try_lock(&self.id, ask)?;
                Some(HeldLock { raw: self, run: rt::run(), loom: Some(guard) })
            }
        }
    }
}

impl<'a> HeldLock<'a> {
    /// Gives it back, waits for a notice, and takes it again.
    #[cfg_attr(not(feature = "loom"), allow(unused_mut, reason = "loom alone lends its guard out"))]
    pub(crate) fn wait(mut self, notices: &RawCondvar) -> HeldLock<'a> {
        if self.run != rt::run() {
            return self;
        }
        match rt::engine() {
            CurrentEngine::None => {}
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => rt::wait(&notices.id, &self.raw.id),
            #[cfg(feature = "loom")]
            CurrentEngine::Loom => {
                let guard = self.loom.take();
                self.loom = guard.map(|guard| notices.loom.wait(&notices.id, &self.raw.id, guard));
            }
        }
        self
    }

    /// Whether it was taken from a model checker.
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
            guard.give(&self.raw.id, engine == CurrentEngine::Loom);
            return;
        }
        #[cfg(feature = "shuttle")]
        if engine == CurrentEngine::Shuttle {
            rt::point_at(&self.raw.id, SharedOpKind::Unlock);
            rt::give(&self.raw.id);
        }
        let _ = engine;
    }
}

/// What a condition variable is to a model checker.
#[derive(Debug, Default)]
pub(crate) struct RawCondvar {
    pub(crate) id: ObjectId,
    #[cfg(feature = "loom")]
    pub(crate) loom: crate::sync::loom_lock::LoomCondvar,
}
