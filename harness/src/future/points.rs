//! How a task of a model waits to be woken, and where other threads may run.

#[cfg(feature = "tokio")]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

#[cfg(feature = "shuttle")]
use crate::future::inner_wait;
pub(crate) use crate::future::inner_wait::InnerWait;
use crate::rt;
#[cfg(any(feature = "shuttle", feature = "tokio"))]
use crate::rt::CurrentEngine;
#[cfg(feature = "shuttle")]
use crate::rt::ObjectId;
use crate::thread::{self, Thread};

/// What a task waits for between two polls.
pub(crate) struct TaskToken {
    thread: Thread,
    is_woken: AtomicBool,
    #[cfg(feature = "shuttle")]
    id: ObjectId,
}

impl TaskToken {
    /// The token of the present thread's task.
    pub(crate) fn new() -> TaskToken {
        TaskToken {
            thread: thread::current(),
            is_woken: AtomicBool::new(false),
            #[cfg(feature = "shuttle")]
            id: ObjectId::new(),
        }
    }

    /// Waits until it is woken, or one of the futures that wait in the task is to be dropped. Returns
    /// whether the task's own future is to be dropped, if it `is_task`.
    pub(crate) fn wait(&self, is_task: bool) -> bool {
        #[cfg(feature = "shuttle")]
        if rt::engine() == CurrentEngine::Shuttle {
            let drops = inner_wait::drops() | u64::from(is_task);
            return match rt::await_wake(&self.id, drops) {
                Some(0) => true,
                Some(nth) => {
                    inner_wait::drop_nth(usize::from(nth));
                    false
                }
                None => false,
            };
        }
        let _ = is_task;
        while !self.is_woken.swap(false, Ordering::SeqCst) {
            if rt::is_abandoned() {
                rt::abandon();
            }
            thread::park();
        }
        false
    }

    pub(crate) fn wake(&self) {
        match rt::engine() {
            #[cfg(feature = "shuttle")]
            CurrentEngine::Shuttle => rt::wake_task(&self.id),
            _ => {
                self.is_woken.store(true, Ordering::SeqCst);
                self.thread.unpark();
            }
        }
    }
}

/// Something that futures are about: each poll of one is a scheduling point.
#[derive(Debug, Default)]
pub(crate) struct TaskPoint {
    #[cfg(feature = "shuttle")]
    id: ObjectId,
}

impl TaskPoint {
    /// Reaches a scheduling point, before an operation on it.
    pub(crate) fn reach(&self) {
        #[cfg(feature = "shuttle")]
        if rt::engine() == CurrentEngine::Shuttle {
            rt::poll_point(&self.id);
        }
    }
}

/// The order in which a `select!` polls its branches, with what its latest poll chose.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(crate) struct SelectOrder {
    /// The step of the choice, and 1; 0 before the first one.
    step: AtomicUsize,
}

#[cfg(feature = "tokio")]
impl SelectOrder {
    /// The branch that is polled first, of this many. Outside of a model it is the first one.
    pub(crate) fn first(&self, branches: u32) -> u32 {
        #[cfg(feature = "shuttle")]
        if rt::engine() == CurrentEngine::Shuttle && branches > 1 {
            if let Some(step) = self.step.load(Ordering::Relaxed).checked_sub(1) {
                // No branch was ready, so the order of the poll before made no difference.
                rt::withdraw_offer(step);
            }
            let (first, step) = rt::choose_branch(branches as u8);
            self.step.store(step + 1, Ordering::Relaxed);
            return u32::from(first);
        }
        let _ = (branches, &self.step);
        0
    }
}

/// Whether the run is being abandoned: nothing waits any more.
pub(crate) fn is_abandoned() -> bool {
    rt::is_abandoned()
}

/// Whether a model checker drives the present thread.
#[cfg(feature = "tokio")]
pub(crate) fn is_modelled() -> bool {
    rt::engine() != CurrentEngine::None
}

/// A time for which a task of a model waits.
#[cfg(feature = "tokio")]
pub(crate) struct Timer {
    length: u64,
    /// When it is over, once it was polled.
    end: Option<u64>,
}

#[cfg(feature = "tokio")]
impl Timer {
    pub(crate) fn new(length: std::time::Duration) -> Timer {
        Timer { length: crate::time::nanoseconds(length), end: None }
    }

    /// Whether the time is over. If not, the task is woken then.
    pub(crate) fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        let now = rt::present_time();
        let end = *self.end.get_or_insert(now.saturating_add(self.length));
        if now >= end {
            return Poll::Ready(());
        }
        rt::wake_at(end);
        if rt::present_time() >= end { Poll::Ready(()) } else { Poll::Pending }
    }
}
