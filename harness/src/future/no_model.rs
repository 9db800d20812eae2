//! How a task waits to be woken, in a build without a model checker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::thread::{self, Thread};

/// What a task waits for between two polls.
pub(crate) struct TaskToken {
    thread: Thread,
    is_woken: AtomicBool,
}

impl TaskToken {
    /// The token of the present thread's task.
    pub(crate) fn new() -> TaskToken {
        TaskToken { thread: thread::current(), is_woken: AtomicBool::new(false) }
    }

    /// Waits until it is woken. Returns that the future is not to be dropped.
    pub(crate) fn wait(&self, _: bool) -> bool {
        while !self.is_woken.swap(false, Ordering::SeqCst) {
            thread::park();
        }
        false
    }

    pub(crate) fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Something that futures are about.
#[derive(Debug, Default)]
pub(crate) struct TaskPoint {}

impl TaskPoint {
    pub(crate) fn reach(&self) {}
}

/// How a future inside of a task waits: nothing ever drops it.
pub(crate) struct InnerWait {}

impl InnerWait {
    pub(crate) fn new() -> InnerWait {
        InnerWait {}
    }

    pub(crate) fn is_dropped(&self) -> bool {
        false
    }

    pub(crate) fn begin(&self, _: &mut Context<'_>) {}

    pub(crate) fn end(&self) {}
}

pub(crate) fn is_abandoned() -> bool {
    false
}
