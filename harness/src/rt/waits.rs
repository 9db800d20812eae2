//! How a thread waits: until what it wants is there, until its time is up, or until the schedule ends
//! the wait in another way. Simulated time passes here.

use crate::rt::access::{AccessKind, Object};
use crate::rt::lock_table::{BlockedThread, LockMode, WaitsFor, with_table};
#[cfg(feature = "shuttle")]
use crate::rt::own_choice::Offers;
use crate::rt::own_choice::OwnChoice;

/// Whether a thread would get this now.
#[cfg(feature = "shuttle")]
pub(crate) fn is_available(thread: u16, want: WaitsFor) -> bool {
    with_table(|table| match want {
        // Whoever sleeps or yields asks the scheduler.
        WaitsFor::Time | WaitsFor::Turn | WaitsFor::Notification { .. } => false,
        want => table.is_available(thread, want),
    })
}

/// How long a thread waits at most, and how else its wait may end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WaitLimits {
    /// In nanoseconds from now.
    pub(crate) time: Option<u64>,
    /// Whether it may end without a reason.
    pub(crate) may_wake: bool,
    /// A bit for each future of the task that may be dropped instead.
    pub(crate) drops: u64,
    /// What the operation after the wait accesses, if it is known.
    pub(crate) pending: Option<(Object, AccessKind)>,
}

/// Notes that a thread waits. Returns the blocked threads if none can continue.
pub(crate) fn begin_wait(
    thread: u16,
    want: WaitsFor,
    limits: WaitLimits,
) -> Option<Vec<BlockedThread>> {
    with_table(|table| {
        let deadline = limits.time.map(|time| table.now.saturating_add(time));
        let state = table.threads.get_mut(usize::from(thread))?;
        (state.want, state.since, state.deadline) = (Some(want), state.last, deadline);
        state.pending = limits.pending;
        table.waiting.insert(thread);
        if deadline.is_some() || limits.may_wake {
            table.special.insert(thread);
        }
        if want == WaitsFor::Turn {
            table.yields.begin(thread, table.ready);
        }
        if let WaitsFor::Lock(lock, LockMode::Exclusive) = want
            && !table.is_free(lock, LockMode::Exclusive)
        {
            // A thread that reads and is about to read again waits for this one from now on.
            table.recheck_lock(lock);
        }
        if table.is_available(thread, want) {
            return None;
        }
        table.ready.remove(thread);
        table.choices_changed = true;
        table.find_deadlock()
    })
}

/// How a thread's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    /// What it waited for is there.
    Ready,
    /// Its time was up.
    TimedOut,
    /// For no reason.
    Spurious,
    /// The future with this number is dropped instead.
    Cancelled(u8),
}

/// Notes that a thread has ceased to wait, and how its wait ended. If its time was up, time passes
/// until then.
pub(crate) fn end_wait(thread: u16) -> WaitEnd {
    with_table(|table| {
        let Some(state) = table.threads.get(usize::from(thread)) else { return WaitEnd::Ready };
        let (want, deadline) = (state.want, state.deadline);
        let end = match (want, deadline) {
            _ if let OwnChoice::Drop(nth) = state.own => WaitEnd::Cancelled(nth),
            (Some(want), _) if table.is_available(thread, want) => {
                if want == WaitsFor::Time {
                    table.access(Object::Clock, AccessKind::Read);
                }
                WaitEnd::Ready
            }
            (Some(_), Some(deadline)) => {
                if deadline > table.now {
                    table.now = deadline;
                    table.access(Object::Clock, AccessKind::Write);
                } else {
                    table.access(Object::Clock, AccessKind::Read);
                }
                WaitEnd::TimedOut
            }
            (Some(WaitsFor::Turn) | None, _) => WaitEnd::Ready,
            (Some(_), None) => WaitEnd::Spurious,
        };
        let state = &mut table.threads[usize::from(thread)];
        (state.want, state.deadline, state.pending) = (None, None, None);
        state.own = OwnChoice::Nothing;
        table.waiting.remove(thread);
        table.special.remove(thread);
        table.yields.end(thread);
        table.ready.insert(thread);
        table.choices_changed = true;
        if end == WaitEnd::TimedOut {
            table.recheck(|_| true);
        }
        end
    })
}

/// Lets the present thread choose by itself at the point that it reaches next.
#[cfg(feature = "shuttle")]
pub(crate) fn offer(offers: Offers) {
    with_table(|table| {
        table.choices_changed |= offers != table.offers;
        table.offers = offers;
    });
}

/// What a thread chose by itself at its latest point. It is asked once.
#[cfg(feature = "shuttle")]
pub(crate) fn take_own_choice(thread: u16) -> OwnChoice {
    with_table(|table| {
        // It is left where the point was passed without a step.
        table.offers = Offers::NONE;
        let state = table.threads.get_mut(usize::from(thread));
        state.map_or(OwnChoice::Nothing, |state| std::mem::take(&mut state.own))
    })
}

/// Notes that what the present thread was offered at the step with this number made no difference.
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) fn withdraw_offer(step: usize) {
    with_table(|table| {
        let Some(step) = table.log.steps.get(step) else { return };
        if let Some(choices) = table.log.choices.get_mut(step.choices as usize) {
            choices.offers = Offers::NONE;
        }
    });
}

/// The number of the present step in the log.
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) fn present_step() -> usize {
    with_table(|table| table.log.steps.len().saturating_sub(1))
}

/// Wakes the task of a thread at this time, if it waits then.
#[cfg(feature = "tokio")]
pub(crate) fn wake_at(thread: u16, time: u64) {
    with_table(|table| {
        if let Some(state) = table.threads.get_mut(usize::from(thread)) {
            state.wake_at = Some(state.wake_at.map_or(time, |earlier| earlier.min(time)));
        }
    });
}

/// How long the task of a thread waits at most, in nanoseconds. It is asked once for each wait.
#[cfg(feature = "shuttle")]
pub(crate) fn take_wake_time(thread: u16) -> Option<u64> {
    with_table(|table| {
        let at = table.threads.get_mut(usize::from(thread))?.wake_at.take()?;
        Some(at.saturating_sub(table.now))
    })
}

/// The simulated time since the beginning of the run, in nanoseconds.
pub(crate) fn now() -> u64 {
    with_table(|table| {
        table.access(Object::Clock, AccessKind::Read);
        table.now
    })
}

/// Lets simulated time pass.
#[cfg(feature = "loom")]
pub(crate) fn advance(nanoseconds: u64) {
    with_table(|table| table.now = table.now.saturating_add(nanoseconds));
}
