//! How the threads of a model start, wait and end. Under shuttle the lock table decides which
//! thread can run, and the engine is told. Under loom, loom decides, and the table is told, for
//! reports.

use std::panic::Location;

#[cfg(feature = "loom")]
use crate::rt::execution::{abandon, abandon_at_thread_limit, begin_thread};
use crate::rt::execution::{
    across_switch, current_thread, engine, record_operation, report_deadlock, scheduling_point,
};
#[cfg(feature = "shuttle")]
use crate::rt::execution::{apply_wake_changes, count_point, scheduling_point_on};
use crate::rt::lock_table;
use crate::rt::lock_table::{LockMode, ObjectId, WaitsFor};
use crate::rt::point::{CurrentEngine, SharedOp, SharedOpKind};
#[cfg(feature = "loom")]
use crate::rt::stack::on_large_stack;
#[cfg(feature = "shuttle")]
use crate::rt::task_pool;

// ---- waiting under shuttle: the table decides, the engine is told ----

/// Blocks the present thread until the table has made it runnable again.
#[cfg(feature = "shuttle")]
fn block(want: WaitsFor) {
    use shuttle_engine::runtime::execution::ExecutionState;
    let thread = current_thread();
    if let Some(blocked) = lock_table::begin_wait(thread, want) {
        report_deadlock(&blocked);
    }
    count_point(thread);
    ExecutionState::with(|state| state.current_mut().block(false));
    across_switch(shuttle_engine::runtime::thread::switch);
    lock_table::end_wait(thread);
}

/// Takes a lock, after a scheduling point. Under shuttle a lock is held by the table alone.
#[cfg(feature = "shuttle")]
pub(crate) fn acquire(id: &ObjectId, mode: LockMode) {
    scheduling_point_on(id, SharedOpKind::Lock);
    acquire_without_point(id, mode);
}

#[cfg(feature = "shuttle")]
fn acquire_without_point(id: &ObjectId, mode: LockMode) {
    let lock = id.number();
    while !try_acquire(id, mode) {
        block(WaitsFor::Lock(lock, mode));
    }
}

/// Takes a lock if it is free, without a scheduling point. Returns whether it was.
#[cfg(feature = "shuttle")]
pub(crate) fn try_acquire(id: &ObjectId, mode: LockMode) -> bool {
    match lock_table::acquire(id.number(), current_thread(), mode) {
        Some(changes) => {
            apply_wake_changes(changes);
            true
        }
        None => false,
    }
}

/// Releases a lock, without a scheduling point.
#[cfg(feature = "shuttle")]
pub(crate) fn release(id: &ObjectId) {
    apply_wake_changes(lock_table::release(id.number(), current_thread()));
}

/// Releases `lock` and waits for a notification, in one step; then takes the lock again.
#[cfg(feature = "shuttle")]
pub(crate) fn wait_on_condvar(condvar: &ObjectId, lock: &ObjectId) {
    scheduling_point_on(condvar, SharedOpKind::Wait);
    apply_wake_changes(lock_table::release(lock.number(), current_thread()));
    block(WaitsFor::Notification(condvar.number()));
    apply_wake_changes(lock_table::consume_notification(condvar.number(), current_thread()));
    acquire_without_point(lock, LockMode::Exclusive);
}

/// Wakes all threads that wait for a notification, or one, which the scheduler chooses.
#[cfg(feature = "shuttle")]
pub(crate) fn notify(condvar: &ObjectId, all: bool) {
    scheduling_point_on(condvar, SharedOpKind::Notify);
    apply_wake_changes(lock_table::notify(condvar.number(), all));
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
    // Only shuttle wants to know the place.
    let _ = at;
    match engine() {
        CurrentEngine::None => {
            unreachable!("[mallory bug] a model's thread is started outside of a model")
        }
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            // Shuttle lets other threads run before it starts one.
            count_point(current_thread());
            let thread = task_pool::start_thread(work, at);
            lock_table::add_thread(thread);
            record_operation(SharedOp { what: SharedOpKind::Spawn, object: u32::from(thread) });
            Spawned {
                thread,
                #[cfg(feature = "loom")]
                handle: None,
            }
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            let thread = lock_table::thread_count() as u16;
            if usize::from(thread) == LOOM_THREADS_MAX {
                abandon_at_thread_limit();
            }
            lock_table::add_thread(thread);
            let handle = across_switch(|| {
                loom::thread::spawn(move || {
                    begin_thread(thread);
                    on_large_stack(work);
                    let _ = lock_table::end_thread(thread);
                })
            });
            record_operation(SharedOp { what: SharedOpKind::Spawn, object: u32::from(thread) });
            Spawned { thread, handle: Some(handle) }
        }
    }
}

/// Notes that thread 0, the subject's own, has ended.
pub(crate) fn end_main_thread() {
    if engine() != CurrentEngine::None {
        let thread = current_thread();
        record_operation(SharedOp { what: SharedOpKind::End, object: u32::from(thread) });
        let _ = lock_table::end_thread(thread);
    }
}

/// The number of threads that loom can have in a run, the subject's own included.
#[cfg(feature = "loom")]
pub(crate) const LOOM_THREADS_MAX: usize = 5;

/// The number of threads that the run has had so far.
#[cfg(feature = "loom")]
pub(crate) fn thread_count() -> usize {
    lock_table::thread_count()
}

/// Waits until a thread has ended.
pub(crate) fn join(spawned: Spawned) {
    let thread = spawned.thread;
    scheduling_point(SharedOp { what: SharedOpKind::Join, object: u32::from(thread) });
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
                note_wait(WaitsFor::End(thread));
                // A panic of the thread was caught in the thread itself.
                let _ = across_switch(|| handle.join());
                lock_table::end_wait(current_thread());
            }
        }
    }
}

// ---- waiting under loom: loom decides, the table is told ----

/// Notes that the present thread is about to wait for this, if it has to. If no thread can run
/// then, the run is abandoned here: loom would panic on a stack that still holds locks, and
/// unlocking them during the unwind would panic again.
#[cfg(feature = "loom")]
pub(crate) fn note_wait(want: WaitsFor) {
    if let Some(blocked) = lock_table::begin_wait(current_thread(), want) {
        report_deadlock(&blocked);
        abandon();
    }
}

/// Notes that the present thread has taken a lock.
#[cfg(feature = "loom")]
pub(crate) fn note_acquired(id: &ObjectId, mode: LockMode) {
    lock_table::end_wait(current_thread());
    let _ = lock_table::acquire(id.number(), current_thread(), mode);
}

/// Notes that a notification has woken the present thread.
#[cfg(feature = "loom")]
pub(crate) fn note_woken(condvar: &ObjectId) {
    lock_table::end_wait(current_thread());
    let _ = lock_table::consume_notification(condvar.number(), current_thread());
}

/// Notes that the present thread releases a lock.
#[cfg(feature = "loom")]
pub(crate) fn note_released(id: &ObjectId) {
    let _ = lock_table::release(id.number(), current_thread());
}

/// Notes a notification of one or all of the threads that wait for it.
#[cfg(feature = "loom")]
pub(crate) fn note_notify(condvar: &ObjectId, all: bool) {
    let _ = lock_table::notify(condvar.number(), all);
}
