//! The futures inside of the tasks of a run that wait and may be dropped, in the order in which each
//! began to wait.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use crate::rt;
use crate::rt::CurrentEngine;
#[cfg(feature = "shuttle")]
use crate::rt::own_choice::OFFERS_MAX;

/// What the future and the list share.
#[derive(Default)]
struct Shared {
    is_dropped: AtomicBool,
    /// Wakes whoever polls the future.
    waker: Mutex<Option<Waker>>,
}

/// The futures that wait, each with the logical thread of its task.
#[derive(Default)]
struct Waiting {
    /// The run that they belong to. A run that can't continue leaves them behind.
    run: u64,
    futures: Vec<(u16, Arc<Shared>)>,
}

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// Changes the list of the present run. No code of a subject runs meanwhile.
fn with_waiting<R>(change: impl FnOnce(&mut Vec<(u16, Arc<Shared>)>) -> R) -> R {
    let (result, stale) = WAITING.with_borrow_mut(|waiting| {
        let is_stale = std::mem::replace(&mut waiting.run, rt::run()) != rt::run();
        let stale = if is_stale { std::mem::take(&mut waiting.futures) } else { Vec::new() };
        (change(&mut waiting.futures), stale)
    });
    // Their wakers are a subject's, whose stacks are gone.
    std::mem::forget(stale);
    result
}

/// How a future inside of a task waits.
pub(crate) struct InnerWait {
    shared: Arc<Shared>,
}

impl InnerWait {
    pub(crate) fn new() -> InnerWait {
        InnerWait { shared: Arc::default() }
    }

    /// Whether the exploration has dropped the future.
    pub(crate) fn is_dropped(&self) -> bool {
        self.shared.is_dropped.load(Ordering::Relaxed)
    }

    /// The future waits in the present task.
    pub(crate) fn begin(&self, context: &mut Context<'_>) {
        if rt::engine() == CurrentEngine::None {
            return;
        }
        let waker = Some(context.waker().clone());
        let before = {
            let mut present = self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *present, waker)
        };
        drop(before);
        let thread = rt::current_thread();
        with_waiting(|futures| {
            let own = futures.iter_mut().find(|(_, other)| Arc::ptr_eq(other, &self.shared));
            match own {
                Some((of, _)) => *of = thread,
                None => futures.push((thread, Arc::clone(&self.shared))),
            }
        });
    }

    /// It doesn't wait any more.
    pub(crate) fn end(&self) {
        if rt::engine() != CurrentEngine::None {
            with_waiting(|futures| futures.retain(|(_, other)| !Arc::ptr_eq(other, &self.shared)));
        }
    }
}

impl Drop for InnerWait {
    fn drop(&mut self) {
        self.end();
    }
}

/// A bit for each future that waits in the present task, from bit 1 on: bit 0 is the task's own.
#[cfg(feature = "shuttle")]
pub(crate) fn drops() -> u64 {
    let thread = rt::current_thread();
    let of_task = |futures: &mut Vec<(u16, Arc<Shared>)>| {
        futures.iter().filter(|(of, _)| *of == thread).count()
    };
    let count = with_waiting(of_task).min(OFFERS_MAX - 1);
    ((1_u64 << count) - 1) << 1
}

/// Lets the nth future that waits in the present task, counted from 1, end without an output.
#[cfg(feature = "shuttle")]
pub(crate) fn drop_nth(nth: usize) {
    let thread = rt::current_thread();
    let shared = with_waiting(|futures| {
        let mut own = futures.iter().filter(|(of, _)| *of == thread);
        own.nth(nth.saturating_sub(1)).map(|(_, shared)| Arc::clone(shared))
    });
    let Some(shared) = shared else { return };
    shared.is_dropped.store(true, Ordering::Relaxed);
    let waker = shared.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
    waker.into_iter().for_each(Waker::wake);
}
