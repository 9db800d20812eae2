//! How threads wait, start and end. Under shuttle the table decides who can go on, and the engine is
//! told; under loom loom decides, and the table is told.

use crate::rt::execution::settle;
use std::panic::Location;

use crate::rt::execution::*;
use crate::rt::lock_table;
use crate::rt::lock_table::{LockMode, ObjectId, WaitsFor};
use crate::rt::point::{CurrentEngine, SharedOp, SharedOpKind};

// ---- waiting, under shuttle: the table decides who can go on, the engine is told ----

/// Lets the present thread wait until [`wake`] names it.
#[cfg(feature = "shuttle")]
fn block(want: WaitsFor) {
    use shuttle_engine::runtime::execution::ExecutionState;
    let me = logical();
    if let Some(blocked) = lock_table::wait(me, want) {
        tell_stuck(&blocked);
    }
    count_point(me);
    ExecutionState::with(|state| state.current_mut().block(false));
    away(shuttle_engine::runtime::thread::switch);
    lock_table::go_on(me);
}

/// Takes a lock, which shuttle's threads have by the table alone.
#[cfg(feature = "shuttle")]
pub(crate) fn acquire(id: &ObjectId, mode: LockMode) {
    point_at(id, SharedOpKind::Lock);
    take(id, mode);
}

/// Takes a lock without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn take(id: &ObjectId, mode: LockMode) {
    let lock = id.number();
    while !try_take(id, mode) {
        block(WaitsFor::Lock(lock, mode));
    }
}

/// Takes a lock if that is possible at once, without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn try_take(id: &ObjectId, mode: LockMode) -> bool {
    match lock_table::take(id.number(), logical(), mode) {
        Some(changed) => {
            settle(changed);
            true
        }
        None => false,
    }
}

/// Gives a lock back, without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn give(id: &ObjectId) {
    settle(lock_table::give(id.number(), logical()));
}

/// Waits for a notice, and gives the lock back meanwhile, in one step.
#[cfg(feature = "shuttle")]
pub(crate) fn wait(notices: &ObjectId, lock: &ObjectId) {
    point_at(notices, SharedOpKind::Wait);
    settle(lock_table::give(lock.number(), logical()));
    block(WaitsFor::Notice(notices.number()));
    settle(lock_table::noticed(notices.number(), logical()));
    take(lock, LockMode::Alone);
}

/// Wakes one thread that waits for a notice, whichever the scheduler likes, or all.
#[cfg(feature = "shuttle")]
pub(crate) fn notify(notices: &ObjectId, all: bool) {
    point_at(notices, SharedOpKind::Notify);
    settle(lock_table::notify(notices.number(), all));
}

// ---- threads ----

/// A thread of the model that was started.
pub(crate) struct Spawned {
    pub(crate) thread: u16,
    #[cfg(feature = "loom")]
    handle: Option<loom::thread::JoinHandle<()>>,
}

/// Starts a thread of the model.
pub(crate) fn spawn(at: &'static Location<'static>, work: Box<dyn FnOnce() + Send>) -> Spawned {
    let _ = at;
    match engine() {
        CurrentEngine::None => {
            unreachable!("[mallory bug] a model's thread is started outside of a model")
        }
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            // The engine lets others go on before it starts a thread.
            count_point(logical());
            let thread = crate::rt::task_pool::start(work, at);
            lock_table::born(thread);
            touched(SharedOp { what: SharedOpKind::Spawn, object: u32::from(thread) });
            Spawned {
                thread,
                #[cfg(feature = "loom")]
                handle: None,
            }
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            let thread = lock_table::threads() as u16;
            if usize::from(thread) == LOOM_THREADS_MAX {
                crowd();
            }
            lock_table::born(thread);
            let handle = away(|| {
                loom::thread::spawn(move || {
                    enter(thread);
                    crate::rt::stack::on_large_stack(work);
                    let _ = lock_table::end(thread);
                })
            });
            touched(SharedOp { what: SharedOpKind::Spawn, object: u32::from(thread) });
            Spawned { thread, handle: Some(handle) }
        }
    }
}

/// The subject's own thread has come to its end.
pub(crate) fn leave() {
    if engine() != CurrentEngine::None {
        touched(SharedOp { what: SharedOpKind::End, object: u32::from(logical()) });
        let _ = lock_table::end(logical());
    }
}

/// Loom's most threads, the subject's own included.
#[cfg(feature = "loom")]
pub(crate) const LOOM_THREADS_MAX: usize = 5;

/// Threads that there were in the run so far.
#[cfg(feature = "loom")]
pub(crate) fn threads() -> usize {
    lock_table::threads()
}

/// Waits until a thread has ended.
pub(crate) fn join(spawned: Spawned) {
    let thread = spawned.thread;
    point(SharedOp { what: SharedOpKind::Join, object: u32::from(thread) });
    match engine() {
        CurrentEngine::None => {}
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            while !lock_table::has_ended(thread) {
                block(WaitsFor::End(thread));
            }
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            if let Some(handle) = spawned.handle {
                expect(WaitsFor::End(thread));
                // What the thread threw was caught in it.
                let _ = away(|| handle.join());
                lock_table::go_on(logical());
            }
        }
    }
}

// ---- waiting, under loom: loom decides, the table is told ----

/// Notes that the present thread is about to wait for this, if it has to. Where it would be the
/// last one that runs, the run is given up here: loom would panic on a stack that then has locks to
/// give back, and panic again.
#[cfg(feature = "loom")]
pub(crate) fn expect(want: WaitsFor) {
    if let Some(blocked) = lock_table::wait(logical(), want) {
        tell_stuck(&blocked);
        abandon();
    }
}

/// Notes that it has what it waited for.
#[cfg(feature = "loom")]
pub(crate) fn got(id: &ObjectId, mode: LockMode) {
    lock_table::go_on(logical());
    let _ = lock_table::take(id.number(), logical(), mode);
}

/// Notes that it goes on after a notice.
#[cfg(feature = "loom")]
pub(crate) fn noticed(id: &ObjectId) {
    lock_table::go_on(logical());
    let _ = lock_table::noticed(id.number(), logical());
}

/// Notes that it gives a lock back.
#[cfg(feature = "loom")]
pub(crate) fn gave(id: &ObjectId) {
    let _ = lock_table::give(id.number(), logical());
}

/// Notes a notice.
#[cfg(feature = "loom")]
pub(crate) fn notified(id: &ObjectId, all: bool) {
    let _ = lock_table::notify(id.number(), all);
}
