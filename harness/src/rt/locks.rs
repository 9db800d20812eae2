//! What is done to locks, condition variables, and what counts permits or phases: channels, tokens of
//! parked threads, barriers.

use crate::rt::access::{AccessKind, Object, Orders};
use crate::rt::lock_table::{LockMode, Notification, WaitsFor, with_table};
use crate::rt::thread_set::ThreadSet;

/// Takes a lock. Returns whether it was free.
pub(crate) fn acquire(lock: u32, thread: u16, mode: LockMode, waits: bool) -> bool {
    with_table(|table| {
        let is_shared = mode == LockMode::Shared;
        let object = Object::Shared(lock);
        if !table.is_free(lock, mode) {
            table.access(object, AccessKind::TryFail);
            return false;
        }
        table.access(
            object,
            match (waits, is_shared) {
                (true, false) => AccessKind::Acquire,
                (true, true) => AccessKind::AcquireShared,
                (false, false) => AccessKind::TryAcquire,
                (false, true) => AccessKind::TryAcquireShared,
            },
        );
        // The thread's own latest operation is the one that asked for the lock; other threads may
        // have performed some since then.
        let step = table.threads.get(usize::from(thread)).map_or(table.steps, |of| of.last);
        let object = &mut table.objects[lock as usize];
        object.exclusive = !is_shared;
        object.taken.push((thread, step));
        table.recheck_lock(lock);
        true
    })
}

/// Releases a lock.
pub(crate) fn release(lock: u32, thread: u16) {
    with_table(|table| {
        let object = &mut table.objects[lock as usize];
        let last = object.taken.iter().rposition(|(holder, _)| *holder == thread);
        // Another thread than the one that took the lock may drop the guard.
        let last = last.or_else(|| object.taken.len().checked_sub(1));
        if let Some(last) = last {
            object.taken.remove(last);
        }
        let kind = if object.exclusive { AccessKind::Release } else { AccessKind::ReleaseShared };
        table.access(Object::Shared(lock), kind);
        table.recheck_lock(lock);
    });
}

/// Notes that a thread is about to wait for a notification.
#[cfg(feature = "shuttle")]
pub(crate) fn log_wait(condvar: u32) {
    with_table(|table| table.access(Object::Shared(condvar), AccessKind::Wait));
}

/// Sends a notification to one or all of the threads that wait for one now.
pub(crate) fn notify(condvar: u32, all: bool) {
    with_table(|table| {
        table.access(Object::Shared(condvar), AccessKind::Notify);
        let waits = |thread: &u16| {
            let want = table.threads[usize::from(*thread)].want;
            matches!(want, Some(WaitsFor::Notification { condvar: wanted, .. }) if wanted == condvar)
        };
        let waiting: ThreadSet = table.waiting.iter().filter(waits).collect();
        if waiting.is_empty() {
            return;
        }
        let sets: Vec<ThreadSet> =
            if all { waiting.iter().map(ThreadSet::of).collect() } else { vec![waiting] };
        for wakes in sets {
            let object = &mut table.objects[condvar as usize];
            let number = object.notified;
            object.notified += 1;
            object.notifications.push(Notification { number, wakes });
            // The lock orders what threads do, not the notification.
            table.ordering_access(Object::Slot(condvar, number), AccessKind::Give, Orders::NOTHING);
        }
        table.recheck_object(condvar);
    });
}

/// Lets a notification wake this thread and no other: among those that can wake it, the one that
/// can wake the fewest threads, so that the others keep the most choice. If there is none, no
/// notification can wake the thread from here on.
pub(crate) fn consume_notification(condvar: u32, thread: u16) {
    with_table(|table| {
        let notifications = &mut table.objects[condvar as usize].notifications;
        let consumed = (0..notifications.len())
            .filter(|at| notifications[*at].wakes.contains(thread))
            .min_by_key(|at| notifications[*at].wakes.len());
        let consumed = consumed.map(|consumed| notifications.remove(consumed));
        for notification in notifications.iter_mut() {
            notification.wakes.remove(thread);
        }
        notifications.retain(|notification| !notification.wakes.is_empty());
        if let Some(Notification { number, mut wakes }) = consumed {
            table.ordering_access(Object::Slot(condvar, number), AccessKind::Take, Orders::NOTHING);
            wakes.remove(thread);
            table.add_rivals(wakes);
        }
        table.recheck_object(condvar);
    });
}

/// Sets the number of permits that an object has, and whether all waits for one end in any case.
#[cfg(feature = "shuttle")]
pub(crate) fn set_permits(object: u32, permits: u64, is_closed: bool) {
    with_table(|table| {
        let shared = &mut table.objects[object as usize];
        if (shared.permits, shared.is_closed) != (permits, is_closed) {
            (shared.permits, shared.is_closed) = (permits, is_closed);
            table.recheck_object(object);
        }
    });
}

/// The phase that an object is in.
#[cfg(feature = "shuttle")]
pub(crate) fn phase(object: u32) -> u64 {
    with_table(|table| table.objects[object as usize].phase)
}

/// Notes that a thread arrives at a barrier for this many threads. Returns whether it is the last
/// one, which lets the barrier reach its next phase.
#[cfg(feature = "shuttle")]
pub(crate) fn arrive(barrier: u32, threads: u64) -> bool {
    with_table(|table| {
        let object = &mut table.objects[barrier as usize];
        object.arrived += 1;
        let is_last = object.arrived >= threads;
        if is_last {
            object.arrived = 0;
            object.phase += 1;
            table.recheck_object(barrier);
        }
        is_last
    })
}
