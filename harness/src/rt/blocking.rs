//! How the threads of a model start, wait and end. Under shuttle the lock table decides which
//! thread can run. Under loom, loom decides, and the table is told, for reports.

use std::panic::Location;

#[cfg(feature = "shuttle")]
use crate::rt::access::Orders;
use crate::rt::access::{AccessKind, Object};
use crate::rt::current::current_thread;
#[cfg(feature = "loom")]
use crate::rt::execution::{
    abandon, abandon_at_thread_limit, across_switch, begin_thread, report_deadlock,
};
use crate::rt::execution::{end_thread, engine, record_operation, scheduling_point};
#[cfg(feature = "shuttle")]
use crate::rt::execution::{own_operation, scheduling_point_on, wait_at_point};
use crate::rt::lock_table::{LockMode, WaitsFor};
use crate::rt::object_id::ObjectId;
#[cfg(feature = "shuttle")]
use crate::rt::own_choice::{Offers, OwnChoice};
use crate::rt::point::{CurrentEngine, SharedOp, SharedOpKind};
#[cfg(feature = "loom")]
use crate::rt::stack::on_large_stack;
#[cfg(feature = "shuttle")]
use crate::rt::task_pool;
#[cfg(feature = "shuttle")]
use crate::rt::waits::{WaitEnd, WaitLimits};
use crate::rt::{access_log, locks, run_threads, waits};

// ---- waiting under shuttle: the table decides ----

/// Waits at a scheduling point until an operation on an object is possible.
#[cfg(feature = "shuttle")]
fn wait_on(id: &ObjectId, what: SharedOpKind, want: WaitsFor, limits: WaitLimits) -> WaitEnd {
    wait_at_point(SharedOp { what, object: id.number() }, want, limits)
}

/// Takes a lock, at a scheduling point. Under shuttle a lock is held by the table alone.
#[cfg(feature = "shuttle")]
pub(crate) fn acquire(id: &ObjectId, mode: LockMode) {
    let kind = match mode {
        LockMode::Exclusive => AccessKind::Acquire,
        LockMode::Shared => AccessKind::AcquireShared,
    };
    let limits = WaitLimits { pending: Some((id.object(), kind)), ..WaitLimits::default() };
    wait_on(id, SharedOpKind::Lock, WaitsFor::Lock(id.number(), mode), limits);
    let is_acquired = locks::acquire(id.number(), current_thread(), mode, true);
    debug_assert!(is_acquired, "[mallory bug] a thread goes on although its lock is held");
}

/// Takes a lock if it is free, at a scheduling point. Returns whether it was.
#[cfg(feature = "shuttle")]
pub(crate) fn try_acquire(id: &ObjectId, mode: LockMode) -> bool {
    scheduling_point_on(id, SharedOpKind::Lock);
    locks::acquire(id.number(), current_thread(), mode, false)
}

/// Releases a lock, at a scheduling point.
#[cfg(feature = "shuttle")]
pub(crate) fn release(id: &ObjectId) {
    scheduling_point_on(id, SharedOpKind::Unlock);
    locks::release(id.number(), current_thread());
}

/// How long a thread waits at most: the wait may end without a reason if it is not a wait for a
/// time.
#[cfg(feature = "shuttle")]
fn limits_of(time: Option<u64>) -> WaitLimits {
    WaitLimits { time, may_wake: true, ..WaitLimits::default() }
}

/// Releases `lock` and waits for a notification, for at most `time` nanoseconds; then takes the lock
/// again. Returns whether the time was up.
#[cfg(feature = "shuttle")]
pub(crate) fn wait_on_condvar(condvar: &ObjectId, lock: &ObjectId, time: Option<u64>) -> bool {
    scheduling_point_on(condvar, SharedOpKind::Wait);
    let thread = current_thread();
    let (condvar_number, lock_number) = (condvar.number(), lock.number());
    locks::log_wait(condvar_number);
    locks::release(lock_number, thread);
    let want = WaitsFor::Notification { condvar: condvar_number, lock: lock_number };
    let mut limits = limits_of(time);
    limits.pending = Some((lock.object(), AccessKind::Acquire));
    let end = wait_on(condvar, SharedOpKind::Lock, want, limits);
    locks::consume_notification(condvar_number, thread);
    let is_acquired = locks::acquire(lock_number, thread, LockMode::Exclusive, true);
    debug_assert!(is_acquired, "[mallory bug] a wait ends although its lock is held");
    end == WaitEnd::TimedOut
}

/// Wakes all threads that wait for a notification, or one, which the scheduler chooses.
#[cfg(feature = "shuttle")]
pub(crate) fn notify(condvar: &ObjectId, all: bool) {
    scheduling_point_on(condvar, SharedOpKind::Notify);
    locks::notify(condvar.number(), all);
}

/// Waits until an object has a permit or is closed, for at most `time` nanoseconds. Returns whether
/// the time was up. The caller has told the table how many permits there are.
#[cfg(feature = "shuttle")]
pub(crate) fn wait_for_permit(id: &ObjectId, what: SharedOpKind, time: Option<u64>) -> bool {
    let limits = WaitLimits { time, ..WaitLimits::default() };
    wait_on(id, what, WaitsFor::Permit(id.number()), limits) == WaitEnd::TimedOut
}

/// Waits until the present thread is unparked, for at most `time` nanoseconds, or until nothing.
#[cfg(feature = "shuttle")]
pub(crate) fn park(token: &ObjectId, time: Option<u64>) {
    let mut limits = limits_of(time);
    limits.pending = Some((token.object(), AccessKind::Write));
    wait_on(token, SharedOpKind::Park, WaitsFor::Permit(token.number()), limits);
    access_log::log_ordering_access(token.object(), AccessKind::Write, Orders::TOKEN);
    locks::set_permits(token.number(), 0, false);
}

/// Lets the thread that parks on this token continue, or not wait the next time.
#[cfg(feature = "shuttle")]
pub(crate) fn unpark(token: &ObjectId) {
    scheduling_point_on(token, SharedOpKind::Unpark);
    access_log::log_ordering_access(token.object(), AccessKind::Write, Orders::TOKEN);
    locks::set_permits(token.number(), 1, false);
}

/// A scheduling point before a future of an object is polled, or before another operation on it. Which
/// of them commute is not known, so none do.
#[cfg(feature = "shuttle")]
pub(crate) fn poll_point(id: &ObjectId) {
    scheduling_point_on(id, SharedOpKind::Await);
    access_log::log_ordering_access(id.object(), AccessKind::Write, Orders::TOKEN);
}

/// Waits until a task is woken. One of the futures with a bit in `drops` may be dropped instead:
/// returns its number if one is to be.
#[cfg(feature = "shuttle")]
pub(crate) fn await_wake(token: &ObjectId, drops: u64) -> Option<u8> {
    let thread = current_thread();
    let time = waits::take_wake_time(thread);
    let limits = WaitLimits { time, drops, ..WaitLimits::default() };
    let want = WaitsFor::Permit(token.number());
    let is_woken = waits::is_available(thread, want);
    let end = wait_on(token, SharedOpKind::Await, want, limits);
    access_log::log_ordering_access(token.object(), AccessKind::Write, Orders::TOKEN);
    locks::set_permits(token.number(), 0, false);
    match end {
        WaitEnd::Cancelled(nth) => Some(nth),
        // What was handed to a task that waited is lost with a future that is dropped only now.
        _ if !is_woken && drops != 0 => match choose(Offers { drops, branches: 0 }) {
            OwnChoice::Drop(nth) => Some(nth),
            _ => None,
        },
        _ => None,
    }
}

/// A scheduling point at which the present thread may choose by itself.
#[cfg(feature = "shuttle")]
fn choose(offers: Offers) -> OwnChoice {
    if std::thread::panicking() {
        return OwnChoice::Nothing;
    }
    waits::offer(offers);
    scheduling_point(own_operation(SharedOpKind::Choose));
    waits::take_own_choice(current_thread())
}

/// Chooses which of this many branches is polled first, at a scheduling point. Returns the step as
/// well, for which the offer may be withdrawn.
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) fn choose_branch(branches: u8) -> (u8, usize) {
    let own = choose(Offers { drops: 0, branches });
    let nth = if let OwnChoice::Branch(nth) = own { nth } else { 0 };
    (nth, waits::present_step())
}

/// Wakes a task. It is no scheduling point: whoever wakes may have locks that no model knows.
#[cfg(feature = "shuttle")]
pub(crate) fn wake_task(token: &ObjectId) {
    access_log::log_ordering_access(token.object(), AccessKind::Write, Orders::TOKEN);
    locks::set_permits(token.number(), 1, false);
}

/// Waits until `threads` threads have arrived, this one included. Returns whether it was the last,
/// and the arrivals in the log.
#[cfg(feature = "shuttle")]
pub(crate) fn arrive(barrier: &ObjectId, threads: usize) -> (bool, Object) {
    scheduling_point_on(barrier, SharedOpKind::Arrive);
    let number = barrier.number();
    let phase = locks::phase(number);
    let arrivals = Object::Slot(number, phase);
    access_log::log_access(arrivals, AccessKind::Give);
    if locks::arrive(number, threads as u64) {
        return (true, arrivals);
    }
    wait_on(barrier, SharedOpKind::Arrive, WaitsFor::Phase(number, phase), WaitLimits::default());
    access_log::log_access(arrivals, AccessKind::Pass);
    (false, arrivals)
}

// ---- threads ----

/// A thread of the model that was started.
pub(crate) struct Spawned {
    pub(crate) thread: u16,
    #[cfg(feature = "loom")]
    handle: Option<loom::thread::JoinHandle<()>>,
}

impl Spawned {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        is_thread_finished(self.thread)
    }
}

/// Whether a thread has ended, at a scheduling point.
pub(crate) fn is_thread_finished(thread: u16) -> bool {
    scheduling_point(SharedOp { what: SharedOpKind::Join, object: u32::from(thread) });
    run_threads::has_ended(thread)
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
            let thread = task_pool::start_thread(work, at);
            run_threads::add_thread(thread);
            record_operation(SharedOp { what: SharedOpKind::Spawn, object: u32::from(thread) });
            Spawned {
                thread,
                #[cfg(feature = "loom")]
                handle: None,
            }
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            let thread = run_threads::thread_count() as u16;
            if usize::from(thread) == LOOM_THREADS_MAX {
                abandon_at_thread_limit();
            }
            run_threads::add_thread(thread);
            let handle = across_switch(|| {
                loom::thread::spawn(move || {
                    begin_thread(thread);
                    access_log::log_access(Object::Thread(thread), AccessKind::Pass);
                    on_large_stack(work);
                    if let Some(blocked) = run_threads::end_thread(thread) {
                        report_deadlock(&blocked);
                    }
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
        end_thread(thread);
    }
}

/// The number of threads that loom can have in a run, the subject's own included.
#[cfg(feature = "loom")]
pub(crate) const LOOM_THREADS_MAX: usize = 5;

/// The number of threads that the run has had so far.
#[cfg(feature = "loom")]
pub(crate) fn thread_count() -> usize {
    run_threads::thread_count()
}

/// Waits until a thread has ended.
pub(crate) fn join(spawned: Spawned) {
    let thread = spawned.thread;
    let operation = SharedOp { what: SharedOpKind::Join, object: u32::from(thread) };
    match engine() {
        CurrentEngine::None => {}
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            wait_at_point(operation, WaitsFor::End(thread), WaitLimits::default());
            access_log::log_access(Object::Thread(thread), AccessKind::Pass);
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            scheduling_point(operation);
            if let Some(handle) = spawned.handle {
                note_wait(WaitsFor::End(thread));
                // A panic of the thread was caught in the thread itself.
                let _ = across_switch(|| handle.join());
                waits::end_wait(current_thread());
                access_log::log_access(Object::Thread(thread), AccessKind::Pass);
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
    let pending = match want {
        WaitsFor::Lock(number, LockMode::Exclusive) => Some((number, AccessKind::Acquire)),
        WaitsFor::Lock(number, LockMode::Shared) => Some((number, AccessKind::AcquireShared)),
        _ => None,
    };
    let pending = pending.map(|(number, kind)| (Object::Shared(number), kind));
    let limits = waits::WaitLimits { pending, ..waits::WaitLimits::default() };
    if let Some(blocked) = waits::begin_wait(current_thread(), want, limits) {
        report_deadlock(&blocked);
        abandon();
    }
}

/// Notes that the present thread has taken a lock.
#[cfg(feature = "loom")]
pub(crate) fn note_acquired(id: &ObjectId, mode: LockMode) {
    waits::end_wait(current_thread());
    let _ = locks::acquire(id.number(), current_thread(), mode, true);
}

/// Notes that a notification has woken the present thread.
#[cfg(feature = "loom")]
pub(crate) fn note_woken(condvar: &ObjectId) {
    waits::end_wait(current_thread());
    locks::consume_notification(condvar.number(), current_thread());
}

/// Notes that the present thread releases a lock.
#[cfg(feature = "loom")]
pub(crate) fn note_released(id: &ObjectId) {
    locks::release(id.number(), current_thread());
}

/// Notes a notification of one or all of the threads that wait for it.
#[cfg(feature = "loom")]
pub(crate) fn note_notify(condvar: &ObjectId, all: bool) {
    locks::notify(condvar.number(), all);
}
