//! How threads wait, start and end. Under shuttle the table decides who can go on, and the engine is
//! told; under loom loom decides, and the table is told.

use crate::rt::execution::settle;
use std::panic::Location;

use crate::rt::execution::*;
use crate::rt::lock_table;
use crate::rt::lock_table::{Id, Mode, Want};
use crate::rt::point::{Engine, Touch, What};

// ---- waiting, under shuttle: the table decides who can go on, the engine is told ----

/// Lets the present thread wait until [`wake`] names it.
#[cfg(feature = "shuttle")]
fn block(want: Want) {
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
pub(crate) fn acquire(id: &Id, mode: Mode) {
    point_at(id, What::Lock);
    take(id, mode);
}

/// Takes a lock without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn take(id: &Id, mode: Mode) {
    let lock = id.number();
    while !try_take(id, mode) {
        block(Want::Lock(lock, mode));
    }
}

/// Takes a lock if that is possible at once, without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn try_take(id: &Id, mode: Mode) -> bool {
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
pub(crate) fn give(id: &Id) {
    settle(lock_table::give(id.number(), logical()));
}

/// Waits for a notice, and gives the lock back meanwhile, in one step.
#[cfg(feature = "shuttle")]
pub(crate) fn wait(notices: &Id, lock: &Id) {
    point_at(notices, What::Wait);
    settle(lock_table::give(lock.number(), logical()));
    block(Want::Notice(notices.number()));
    settle(lock_table::noticed(notices.number(), logical()));
    take(lock, Mode::Alone);
}

/// Wakes one thread that waits for a notice, whichever the scheduler likes, or all.
#[cfg(feature = "shuttle")]
pub(crate) fn notify(notices: &Id, all: bool) {
    point_at(notices, What::Notify);
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
        Engine::None => {
            unreachable!("[mallory bug] a model's thread is started outside of a model")
        }
        #[cfg(feature = "shuttle")]
        Engine::Shuttle => {
            // The engine lets others go on before it starts a thread.
            count_point(logical());
            let thread = crate::rt::task_pool::start(work, at);
            lock_table::born(thread);
            touched(Touch { what: What::Spawn, object: u32::from(thread) });
            Spawned {
                thread,
                #[cfg(feature = "loom")]
                handle: None,
            }
        }
        #[cfg(feature = "loom")]
        Engine::Loom => {
            let thread = lock_table::threads() as u16;
            if usize::from(thread) == LOOM_THREADS_MAX {
                crowd();
            }
            lock_table::born(thread);
            let handle = away(|| {
                loom::thread::spawn(move || {
                    enter(thread);
                    crate::rt::stack::widely(work);
                    let _ = lock_table::end(thread);
                })
            });
            touched(Touch { what: What::Spawn, object: u32::from(thread) });
            Spawned { thread, handle: Some(handle) }
        }
    }
}

/// The subject's own thread has come to its end.
pub(crate) fn leave() {
    if engine() != Engine::None {
        touched(Touch { what: What::End, object: u32::from(logical()) });
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
    point(Touch { what: What::Join, object: u32::from(thread) });
    match engine() {
        Engine::None => {}
        #[cfg(feature = "shuttle")]
        Engine::Shuttle => {
            while !lock_table::has_ended(thread) {
                block(Want::End(thread));
            }
        }
        #[cfg(feature = "loom")]
        Engine::Loom => {
            if let Some(handle) = spawned.handle {
                expect(Want::End(thread));
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
pub(crate) fn expect(want: Want) {
    if let Some(blocked) = lock_table::wait(logical(), want) {
        tell_stuck(&blocked);
        abandon();
    }
}

/// Notes that it has what it waited for.
#[cfg(feature = "loom")]
pub(crate) fn got(id: &Id, mode: Mode) {
    lock_table::go_on(logical());
    let _ = lock_table::take(id.number(), logical(), mode);
}

/// Notes that it goes on after a notice.
#[cfg(feature = "loom")]
pub(crate) fn noticed(id: &Id) {
    lock_table::go_on(logical());
    let _ = lock_table::noticed(id.number(), logical());
}

/// Notes that it gives a lock back.
#[cfg(feature = "loom")]
pub(crate) fn gave(id: &Id) {
    let _ = lock_table::give(id.number(), logical());
}

/// Notes a notice.
#[cfg(feature = "loom")]
pub(crate) fn notified(id: &Id, all: bool) {
    let _ = lock_table::notify(id.number(), all);
}
