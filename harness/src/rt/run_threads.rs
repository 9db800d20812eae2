//! The threads of a run: how many there are, which have ended, how many scheduling points each has
//! reached, and which can go on.

use crate::rt::access::{AccessKind, Object};
use crate::rt::lock_table::{BlockedThread, ThreadState, WaitsFor, with_table};
#[cfg(feature = "shuttle")]
use crate::rt::own_choice::OwnChoice;
#[cfg(feature = "shuttle")]
use crate::rt::run_log::Choices;
#[cfg(feature = "shuttle")]
use crate::rt::thread_set::ThreadSet;

/// Counts an operation of a thread. Returns its number in the run, from 1, and the number of
/// scheduling points that the thread has reached.
pub(crate) fn count_operation(thread: u16) -> (u64, u32) {
    with_table(|table| table.count_operation(thread))
}

/// Notes that a thread reaches a scheduling point.
#[cfg(feature = "shuttle")]
pub(crate) fn count_point(thread: u16) {
    with_table(|table| {
        let Some(thread) = table.threads.get_mut(usize::from(thread)) else { return };
        thread.points += 1;
        table.points += 1;
    });
}

/// Begins the step with which a thread goes on after the decision of the scheduler, which had these
/// choices.
#[cfg(feature = "shuttle")]
pub(crate) fn begin_step(thread: u16, own: OwnChoice, choices: Choices) {
    with_table(|table| {
        if let Some(state) = table.threads.get_mut(usize::from(thread)) {
            state.own = own;
        }
        table.begin_step(thread, own, Some(choices));
    });
}

/// Whether a thread passes its next point, if that is one before the point `until`.
#[cfg(feature = "shuttle")]
pub(crate) fn passes(thread: u16, until: u32) -> bool {
    with_table(|table| {
        let points = table.threads.get(usize::from(thread)).map_or(u32::MAX - 1, |of| of.points);
        points + 1 < until && table.foreign.is_empty()
    })
}

/// Counts a scheduling point of a thread. If it comes before the point `until`, begins the step,
/// counts an operation as well, and returns the operation's number and the point's.
#[cfg(feature = "shuttle")]
#[inline]
pub(crate) fn pass_point(thread: u16, until: u32) -> Option<(u64, u32)> {
    with_table(|table| {
        let state = table.threads.get_mut(usize::from(thread))?;
        state.points += 1;
        table.points += 1;
        (state.points < until && table.foreign.is_empty()).then(|| {
            table.begin_step(thread, OwnChoice::Nothing, None);
            table.count_operation(thread)
        })
    })
}

/// The number of scheduling points that a thread has reached.
#[cfg(feature = "shuttle")]
pub(crate) fn points(thread: u16) -> u32 {
    with_table(|table| table.threads.get(usize::from(thread)).map_or(0, |thread| thread.points))
}

/// The number of threads that the run has had so far.
pub(crate) fn thread_count() -> usize {
    with_table(|table| table.threads.len())
}

/// Whether all threads have ended.
#[cfg(feature = "shuttle")]
pub(crate) fn all_ended() -> bool {
    with_table(|table| table.threads.iter().all(|thread| thread.ended))
}

/// Whether all threads that have not ended may wait for ever.
#[cfg(feature = "shuttle")]
pub(crate) fn only_daemons_are_left() -> bool {
    with_table(|table| {
        let mut alive = (0..).zip(&table.threads).filter(|(_, thread)| !thread.ended);
        alive.all(|(number, _)| table.daemons.contains(number))
    })
}

/// Says that a thread may wait for ever.
pub(crate) fn set_daemon(thread: u16) {
    with_table(|table| table.daemons.insert(thread));
}

/// The number of scheduling points that all threads together have reached.
#[cfg(feature = "shuttle")]
pub(crate) fn steps() -> u64 {
    with_table(|table| table.points)
}

/// The threads about which the engine knows more than the table: those that were started past our
/// facade, and those that have ended, on whose stacks it may still have something to do.
#[cfg(feature = "shuttle")]
pub(crate) fn foreign_threads() -> ThreadSet {
    with_table(|table| {
        let ended = (0..).zip(&table.threads).filter(|(_, thread)| thread.ended);
        table.foreign | ended.map(|(number, _)| number).collect()
    })
}

/// Adds threads that were started past our facade, so that there are as many as this.
#[cfg(feature = "shuttle")]
pub(crate) fn add_foreign_threads(threads: usize) {
    with_table(|table| {
        while table.threads.len() < threads {
            table.log.is_partial = true;
            table.foreign.insert(table.threads.len() as u16);
            table.threads.push(ThreadState::default());
        }
    });
}

/// Adds the thread with this number.
pub(crate) fn add_thread(thread: u16) {
    with_table(|table| {
        while table.threads.len() < usize::from(thread) {
            table.foreign.insert(table.threads.len() as u16);
            table.threads.push(ThreadState::default());
        }
        if table.threads.len() == usize::from(thread) {
            table.threads.push(ThreadState::default());
        }
        table.foreign.remove(thread);
        table.ready.insert(thread);
        table.choices_changed = true;
        table.access(Object::Thread(thread), AccessKind::Give);
    });
}

/// Notes that a thread has ended. Returns the blocked threads if none of those that are left can
/// continue.
pub(crate) fn end_thread(thread: u16) -> Option<Vec<BlockedThread>> {
    with_table(|table| {
        table.access(Object::Thread(thread), AccessKind::Give);
        if let Some(state) = table.threads.get_mut(usize::from(thread)) {
            state.ended = true;
        }
        table.ready.remove(thread);
        table.choices_changed = true;
        table.recheck(|want| want == WaitsFor::End(thread));
        if table.threads.iter().all(|thread| thread.ended) { None } else { table.find_deadlock() }
    })
}

/// Whether a thread has ended.
pub(crate) fn has_ended(thread: u16) -> bool {
    with_table(|table| {
        table.access(Object::Thread(thread), AccessKind::Peek);
        table.is_available(0, WaitsFor::End(thread))
    })
}

/// The threads that can go on.
#[cfg(feature = "shuttle")]
pub(crate) fn choices() -> Choices {
    with_table(|table| table.choices())
}

/// The blocked threads, if the run reached a deadlock.
pub(crate) fn deadlock() -> Option<Vec<BlockedThread>> {
    with_table(|table| table.deadlock.clone())
}
