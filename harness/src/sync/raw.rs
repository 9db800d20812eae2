//! What a lock is to a model checker, without the data: taken before std's, and given back after.

use crate::rt;
#[cfg(feature = "shuttle")]
use crate::rt::What;
use crate::rt::{Engine, Id};
use crate::sync::lock_request::Ask;

/// A lock as the present engine has it; outside of a model there is nothing to it.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) id: Id,
    #[cfg(feature = "loom")]
    loom: crate::sync::loom_lock::Lock,
}

/// A lock that is held, until this is dropped.
pub(crate) struct Held<'a> {
    raw: &'a Raw,
    /// The run in which it was taken; 0 outside of one.
    run: u64,
    #[cfg(feature = "loom")]
    loom: Option<crate::sync::loom_lock::Guard<'a>>,
}

impl Raw {
    pub(crate) const fn new() -> Raw {
        Raw {
            id: Id::new(),
            #[cfg(feature = "loom")]
            loom: crate::sync::loom_lock::Lock::new(),
        }
    }

    fn held(&self, run: u64) -> Held<'_> {
        Held {
            raw: self,
            run,
            #[cfg(feature = "loom")]
            loom: None,
        }
    }

    /// Waits until it can be had, and takes it.
    pub(crate) fn lock(&self, ask: Ask) -> Held<'_> {
        match rt::engine() {
            Engine::None => self.held(0),
            #[cfg(feature = "shuttle")]
            Engine::Shuttle => {
                rt::acquire(&self.id, ask.mode());
                self.held(rt::run())
            }
            #[cfg(feature = "loom")]
            Engine::Loom => {
                let guard = self.loom.lock(&self.id, ask);
                Held { raw: self, run: rt::run(), loom: Some(guard) }
            }
        }
    }

    /// Takes it, if it can be had at once.
    pub(crate) fn try_lock(&self, ask: Ask) -> Option<Held<'_>> {
        match rt::engine() {
            Engine::None => Some(self.held(0)),
            #[cfg(feature = "shuttle")]
            Engine::Shuttle => {
                rt::point_at(&self.id, What::Lock);
                rt::try_take(&self.id, ask.mode()).then(|| self.held(rt::run()))
            }
            #[cfg(feature = "loom")]
            Engine::Loom => {
                let guard = self.loom.try_lock(&self.id, ask)?;
                Some(Held { raw: self, run: rt::run(), loom: Some(guard) })
            }
        }
    }
}

impl<'a> Held<'a> {
    /// Gives it back, waits for a notice, and takes it again.
    #[cfg_attr(not(feature = "loom"), allow(unused_mut, reason = "loom alone lends its guard out"))]
    pub(crate) fn wait(mut self, notices: &crate::sync::raw::Notices) -> Held<'a> {
        if self.run != rt::run() {
            return self;
        }
        match rt::engine() {
            Engine::None => {}
            #[cfg(feature = "shuttle")]
            Engine::Shuttle => rt::wait(&notices.id, &self.raw.id),
            #[cfg(feature = "loom")]
            Engine::Loom => {
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

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.run == 0 {
            return;
        }
        let engine = if self.run == rt::run() { rt::engine() } else { Engine::None };
        #[cfg(feature = "loom")]
        if let Some(guard) = self.loom.take() {
            guard.give(&self.raw.id, engine == Engine::Loom);
            return;
        }
        #[cfg(feature = "shuttle")]
        if engine == Engine::Shuttle {
            rt::point_at(&self.raw.id, What::Unlock);
            rt::give(&self.raw.id);
        }
        let _ = engine;
    }
}

/// What a condition variable is to a model checker.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    pub(crate) id: Id,
    #[cfg(feature = "loom")]
    pub(crate) loom: crate::sync::loom_lock::Notices,
}
