//! Loom's locks behind ours: they carry what one thread may know of another's writes.

use std::sync::PoisonError;

use crate::rt;
use crate::rt::{Id, Mode, Touch, Want, What};
use crate::sync::lazy::Lazy;
use crate::sync::lock_request::Ask;

/// Loom's lock; which of the two it is, the first to ask decides.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    mutex: Lazy<loom::sync::Mutex<()>>,
    shared: Lazy<loom::sync::RwLock<()>>,
}

/// A lock of loom's that is held.
#[allow(dead_code, reason = "they are held, not looked at")]
pub(crate) enum Guard<'a> {
    Alone(loom::sync::MutexGuard<'a, ()>),
    Read(loom::sync::RwLockReadGuard<'a, ()>),
    Write(loom::sync::RwLockWriteGuard<'a, ()>),
}

/// Notes that the present thread asks for a lock: here it stands, should it have to wait.
fn asks(id: &Id) {
    rt::touched(Touch { what: What::Lock, object: id.number() });
}

impl Lock {
    pub(crate) const fn new() -> Lock {
        Lock { mutex: Lazy::new(), shared: Lazy::new() }
    }

    fn mutex(&self) -> &loom::sync::Mutex<()> {
        self.mutex.get(|| loom::sync::Mutex::new(()))
    }

    fn shared(&self) -> &loom::sync::RwLock<()> {
        self.shared.get(|| loom::sync::RwLock::new(()))
    }

    pub(crate) fn lock(&self, id: &Id, ask: Ask) -> Guard<'_> {
        asks(id);
        rt::expect(Want::Lock(id.number(), ask.mode()));
        let unpoisoned = "[mallory bug] nothing panics while it holds one of loom's locks";
        let guard = rt::away(|| match ask {
            Ask::Mutex => Guard::Alone(self.mutex().lock().expect(unpoisoned)),
            Ask::Read => Guard::Read(self.shared().read().expect(unpoisoned)),
            Ask::Write => Guard::Write(self.shared().write().expect(unpoisoned)),
        });
        rt::got(id, ask.mode());
        guard
    }

    pub(crate) fn try_lock(&self, id: &Id, ask: Ask) -> Option<Guard<'_>> {
        asks(id);
        let guard = rt::away(|| match ask {
            Ask::Mutex => self.mutex().try_lock().ok().map(Guard::Alone),
            Ask::Read => self.shared().try_read().ok().map(Guard::Read),
            Ask::Write => self.shared().try_write().ok().map(Guard::Write),
        })?;
        rt::got(id, ask.mode());
        Some(guard)
    }
}

impl Guard<'_> {
    /// Gives the lock back; where the run is gone or given up, it is forgotten instead.
    pub(crate) fn give(self, id: &Id, is_here: bool) {
        if !is_here {
            std::mem::forget(self);
            return;
        }
        rt::touched(Touch { what: What::Unlock, object: id.number() });
        rt::gave(id);
        rt::away(|| drop(self));
    }
}

/// Loom's condition variable.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    loom: Lazy<loom::sync::Condvar>,
}

impl Notices {
    pub(crate) const fn new() -> Notices {
        Notices { loom: Lazy::new() }
    }

    fn get(&self) -> &loom::sync::Condvar {
        self.loom.get(loom::sync::Condvar::new)
    }

    pub(crate) fn wait<'a>(&self, id: &Id, lock: &Id, guard: Guard<'a>) -> Guard<'a> {
        let Guard::Alone(guard) = guard else { return guard };
        rt::touched(Touch { what: What::Wait, object: id.number() });
        rt::gave(lock);
        rt::expect(Want::Notice(id.number()));
        let guard = rt::away(|| self.get().wait(guard)).unwrap_or_else(PoisonError::into_inner);
        rt::noticed(id);
        rt::got(lock, Mode::Alone);
        Guard::Alone(guard)
    }

    pub(crate) fn notify(&self, id: &Id, all: bool) {
        rt::touched(Touch { what: What::Notify, object: id.number() });
        rt::notified(id, all);
        let notices = self.get();
        rt::away(|| if all { notices.notify_all() } else { notices.notify_one() });
    }
}
