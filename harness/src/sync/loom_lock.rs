//! Loom's locks and condition variables, which ours use under loom. Loom's objects carry
//! happens-before: which of another thread's writes a thread can see.

use std::sync::PoisonError;

use crate::rt;
use crate::rt::{LockMode, ObjectId, SharedOp, SharedOpKind, WaitsFor};
use crate::sync::lazy::Lazy;
use crate::sync::lock_request::LockRequest;

/// One of loom's two locks: a mutex uses the first field, a lock for readers and writers the
/// second.
#[derive(Debug, Default)]
pub(crate) struct LoomLock {
    mutex: Lazy<loom::sync::Mutex<()>>,
    shared: Lazy<loom::sync::RwLock<()>>,
}

/// A lock of loom's that is held.
#[allow(dead_code, reason = "the guards are held for their drop, not read")]
pub(crate) enum LoomGuard<'a> {
    Mutex(loom::sync::MutexGuard<'a, ()>),
    Read(loom::sync::RwLockReadGuard<'a, ()>),
    Write(loom::sync::RwLockWriteGuard<'a, ()>),
}

/// Records that the present thread asks for a lock. If it has to wait, this is its latest
/// operation.
fn record_request(id: &ObjectId) {
    rt::record_operation(SharedOp { what: SharedOpKind::Lock, object: id.number() });
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

    pub(crate) fn lock(&self, id: &ObjectId, request: LockRequest) -> LoomGuard<'_> {
        record_request(id);
        rt::note_wait(WaitsFor::Lock(id.number(), request.mode()));
        let unpoisoned = "[mallory bug] no thread panics while it holds one of loom's locks";
        let guard = rt::across_switch(|| match request {
            LockRequest::Mutex => LoomGuard::Mutex(self.mutex().lock().expect(unpoisoned)),
            LockRequest::Read => LoomGuard::Read(self.shared().read().expect(unpoisoned)),
            LockRequest::Write => LoomGuard::Write(self.shared().write().expect(unpoisoned)),
        });
        rt::note_acquired(id, request.mode());
        guard
    }

    pub(crate) fn try_lock(&self, id: &ObjectId, request: LockRequest) -> Option<LoomGuard<'_>> {
        record_request(id);
        let guard = rt::across_switch(|| match request {
            LockRequest::Mutex => self.mutex().try_lock().ok().map(LoomGuard::Mutex),
            LockRequest::Read => self.shared().try_read().ok().map(LoomGuard::Read),
            LockRequest::Write => self.shared().try_write().ok().map(LoomGuard::Write),
        })?;
        rt::note_acquired(id, request.mode());
        Some(guard)
    }
}

impl LoomGuard<'_> {
    /// Unlocks the lock. If its run is over or abandoned, leaks the guard instead.
    pub(crate) fn unlock(self, id: &ObjectId, is_running: bool) {
        if !is_running {
            std::mem::forget(self);
            return;
        }
        rt::record_operation(SharedOp { what: SharedOpKind::Unlock, object: id.number() });
        rt::note_released(id);
        rt::across_switch(|| drop(self));
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
        let LoomGuard::Mutex(guard) = guard else { return guard };
        rt::record_operation(SharedOp { what: SharedOpKind::Wait, object: id.number() });
        rt::note_released(lock);
        rt::note_wait(WaitsFor::Notification { condvar: id.number(), lock: lock.number() });
        let guard =
            rt::across_switch(|| self.get().wait(guard)).unwrap_or_else(PoisonError::into_inner);
        rt::note_woken(id);
        rt::note_acquired(lock, LockMode::Exclusive);
        LoomGuard::Mutex(guard)
    }

    pub(crate) fn notify(&self, id: &ObjectId, all: bool) {
        rt::record_operation(SharedOp { what: SharedOpKind::Notify, object: id.number() });
        rt::note_notify(id, all);
        let condvar = self.get();
        rt::across_switch(|| if all { condvar.notify_all() } else { condvar.notify_one() });
    }
}
