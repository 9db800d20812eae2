//! Where a thread pauses by itself: it yields, it sleeps, and it looks at the simulated time.

#[cfg(all(feature = "shuttle", feature = "tokio"))]
use crate::rt::current::current_thread;
#[cfg(feature = "shuttle")]
use crate::rt::execution::wait_at_point;
#[cfg(feature = "loom")]
use crate::rt::execution::{across_switch, record_operation};
use crate::rt::execution::{engine, own_operation, scheduling_point};
#[cfg(feature = "shuttle")]
use crate::rt::lock_table::WaitsFor;
use crate::rt::point::{CurrentEngine, SharedOpKind};
use crate::rt::waits;
#[cfg(feature = "shuttle")]
use crate::rt::waits::WaitLimits;

/// Lets other threads run first, as [`std::thread::yield_now`].
pub(crate) fn yield_now() {
    match engine() {
        CurrentEngine::None => std::thread::yield_now(),
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle if std::thread::panicking() => {}
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            wait_at_point(
                own_operation(SharedOpKind::Yield),
                WaitsFor::Turn,
                WaitLimits::default(),
            );
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            across_switch(loom::thread::yield_now);
            record_operation(own_operation(SharedOpKind::Yield));
        }
    }
}

/// Sleeps until this much simulated time has passed. Returns whether a model did it.
pub(crate) fn sleep(nanoseconds: u64) -> bool {
    match engine() {
        CurrentEngine::None => return false,
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle if std::thread::panicking() => {}
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            let limits = WaitLimits { time: Some(nanoseconds), ..WaitLimits::default() };
            wait_at_point(own_operation(SharedOpKind::Sleep), WaitsFor::Time, limits);
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            waits::advance(nanoseconds);
            across_switch(loom::thread::yield_now);
            record_operation(own_operation(SharedOpKind::Sleep));
        }
    }
    true
}

/// The simulated time since the beginning of the run, in nanoseconds; `None` outside of a model.
pub(crate) fn simulated_now() -> Option<u64> {
    if engine() == CurrentEngine::None {
        return None;
    }
    scheduling_point(own_operation(SharedOpKind::Clock));
    Some(waits::now())
}

/// The simulated time, without a scheduling point.
#[cfg(feature = "tokio")]
pub(crate) fn present_time() -> u64 {
    waits::now()
}

/// Wakes the present task at this time. Loom has no time: there it is woken at once, as late as that.
#[cfg(feature = "tokio")]
pub(crate) fn wake_at(time: u64) {
    match engine() {
        CurrentEngine::None => {}
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => waits::wake_at(current_thread(), time),
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => waits::advance(time.saturating_sub(waits::now())),
    }
}
