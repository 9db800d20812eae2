//! Loom's locks behind ours: they carry what one thread may know of another's writes.

use std::sync::PoisonError;

use crate::rt;
use crate::rt::{LockMode, ObjectId, SharedOp, SharedOpKind, WaitsFor};
use crate::sync::lazy::Lazy;
use crate::sync::lock_request::LockRequest;

/// Loom's lock; which of the two it is, the first to ask decides.
#[derive(Debug, Default)]
pub(crate) struct LoomLock {
    mutex: Lazy<loom::sync::Mutex<()>>,
    shared: Lazy<loom::sync::RwLock<()>>,
}

/// A lock of loom's that is held.
#[allow(dead_code, reason = "they are held, not looked at")]
pub(crate) enum LoomGuard<'a> {
    Alone(loom::sync::MutexGuard<'a, ()>),
    Read(loom::sync::RwLockReadGuard<'a, ()>),
    Write(loom::sync::RwLockWriteGuard<'a, ()>),
}

/// Notes that the present thread asks for a lock: here it stands, should it have to wait.
fn asks(id: &ObjectId) {
    rt::touched(SharedOp { what: SharedOpKind::Lock, object: id.number() });
}

impl LoomLock {
    pub(crate) const fn new() -> LoomLock {
        LoomLock { mutex: Lazy::new(), shared: Lazy::new() }
    }

    fn mutex(&self) -> &loom::sync::Mutex<()> {
        self.mutex.get(|| loom::sync::Mutex::new(()))
    }

    fn shared(&self) -> &loom::sync::RwLock<()> {
        self.shared.get(|| loom::sync::RwLock::new(()))
    }

    pub(crate) fn lock(&self, id: &ObjectId, ask: LockRequest) -> LoomGuard<'_> {
        asks(id);
        rt::expect(WaitsFor::Lock(id.number(), ask.mode()));
        let unpoisoned = "[mallory bug] nothing panics while it holds one of loom's locks";
        let guard = rt::away(|| match ask {
            LockRequest::Mutex => LoomGuard::Alone(self.mutex().lock().expect(unpoisoned)),
            LockRequest::Read => LoomGuard::Read(self.shared().read().expect(unpoisoned)),
            LockRequest::Write => LoomGuard::Write(self.shared().write().expect(unpoisoned)),
        });
        rt::got(id, ask.mode());
        guard
    }

    pub(crate) fn try_lock(&self, id: &ObjectId, ask: LockRequest) -> Option<LoomGuard<'_>> {
        asks(id);
        let guard = rt::away(|| match ask {
            LockRequest::Mutex => self.mutex().try_lock().ok().map(LoomGuard::Alone),
            LockRequest::Read => self.shared().try_read().ok().map(LoomGuard::Read),
            LockRequest::Write => self.shared().try_write().ok().map(LoomGuard::Write),
        })?;
        rt::got(id, ask.mode());
        Some(guard)
    }
}

impl LoomGuard<'_> {
    /// Gives the lock back; where the run is gone or given up, it is forgotten instead.
    pub(crate) fn give(self, id: &ObjectId, is_here: bool) {
        if !is_here {
            std::mem::forget(self);
            return;
        }
        rt::touched(SharedOp { what: SharedOpKind::Unlock, object: id.number() });
        rt::gave(id);
        rt::away(|| drop(self));
    }
}

/// Loom's condition variable.
#[derive(Debug, Default)]
pub(crate) struct LoomCondvar {
    loom: Lazy<loom::sync::Condvar>,
}

impl LoomCondvar {
    pub(crate) const fn new() -> LoomCondvar {
        LoomCondvar { loom: Lazy::new() }
    }

    fn get(&self) -> &loom::sync::Condvar {
        self.loom.get(loom::sync::Condvar::new)
    }

    pub(crate) fn wait<'a>(
        &self,
        id: &ObjectId,
        lock: &ObjectId,
        guard: LoomGuard<'a>,
    ) -> LoomGuard<'a> {
        let LoomGuard::Alone(guard) = guard else { return guard };
        rt::touched(SharedOp { what: SharedOpKind::Wait, object: id.number() });
        rt::gave(lock);
        rt::expect(WaitsFor::Notice(id.number()));
        let guard = rt::away(|| self.get().wait(guard)).unwrap_or_else(PoisonError::into_inner);
        rt::noticed(id);
        rt::got(lock, LockMode::Alone);
        LoomGuard::Alone(guard)
    }

    pub(crate) fn notify(&self, id: &ObjectId, all: bool) {
        rt::touched(SharedOp { what: SharedOpKind::Notify, object: id.number() });
        rt::notified(id, all);
        let notices = self.get();
        rt::away(|| if all { notices.notify_all() } else { notices.notify_one() });
    }
}
