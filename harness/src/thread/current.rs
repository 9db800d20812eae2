//! Handles to threads: the present thread's handle, its name and number, and parking.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::rt;
use crate::rt::CurrentEngine;
#[cfg(feature = "shuttle")]
use crate::rt::ObjectId;
use crate::sync::condvar::Condvar;
use crate::sync::mutex::Mutex;
#[cfg(feature = "shuttle")]
use crate::time::nanoseconds;

/// A handle to a thread, as [`std::thread::Thread`].
#[derive(Clone, Debug)]
pub struct Thread(ThreadKind);

#[derive(Clone, Debug)]
enum ThreadKind {
    Std(std::thread::Thread),
    Model(Arc<ModelThread>),
}

/// A model's thread.
#[derive(Debug)]
struct ModelThread {
    number: u16,
    name: Option<String>,
    /// Whether it was unparked since it last left [`park`].
    token: Mutex<bool>,
    unparked: Condvar,
    #[cfg(feature = "shuttle")]
    token_id: ObjectId,
}

thread_local! {
    /// The number of a run, and the handles of its threads, which are made when they are first
    /// asked for.
    static HANDLES: RefCell<(u64, Vec<Arc<ModelThread>>)> = const { RefCell::new((0, Vec::new())) };
}

/// The identity of a thread, as [`std::thread::ThreadId`]. In a model it is the thread's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(ThreadIdKind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ThreadIdKind {
    Std(std::thread::ThreadId),
    Model(u16),
}

impl Thread {
    pub(crate) fn of_std(thread: &std::thread::Thread) -> Thread {
        Thread(ThreadKind::Std(thread.clone()))
    }

    /// The handle of a thread of the present run. Only the first call for a thread sets its name.
    pub(crate) fn of_model(number: u16, name: Option<&str>) -> Thread {
        HANDLES.with_borrow_mut(|(run, handles)| {
            if *run != rt::run() {
                // The former run may have been abandoned: its handles are leaked, not dropped.
                std::mem::forget(std::mem::take(handles));
                *run = rt::run();
            }
            let known = handles.iter().find(|inner| inner.number == number);
            let inner = known.cloned().unwrap_or_else(|| {
                let name = name.map(str::to_owned);
                let (token, unparked) = (Mutex::new(false), Condvar::new());
                let inner = Arc::new(ModelThread {
                    number,
                    name,
                    token,
                    unparked,
                    #[cfg(feature = "shuttle")]
                    token_id: ObjectId::new(),
                });
                handles.push(Arc::clone(&inner));
                inner
            });
            Thread(ThreadKind::Model(inner))
        })
    }

    /// The thread's name, if it was given one. In a model the subject's own thread has none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            ThreadKind::Std(thread) => thread.name(),
            ThreadKind::Model(inner) => inner.name.as_deref(),
        }
    }

    /// The thread's identity.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        ThreadId(match &self.0 {
            ThreadKind::Std(thread) => ThreadIdKind::Std(thread.id()),
            ThreadKind::Model(inner) => ThreadIdKind::Model(inner.number),
        })
    }

    /// Wakes the thread from [`park`], or lets its next call of `park` return at once.
    pub fn unpark(&self) {
        match &self.0 {
            ThreadKind::Std(thread) => thread.unpark(),
            #[cfg(feature = "shuttle")]
            ThreadKind::Model(inner) if rt::engine() == CurrentEngine::Shuttle => {
                rt::unpark(&inner.token_id);
            }
            ThreadKind::Model(inner) => {
                *inner.token.lock().unwrap_or_else(PoisonError::into_inner) = true;
                inner.unparked.notify_one();
            }
        }
    }
}

/// The handle of the present thread, as [`std::thread::current`].
#[must_use]
pub fn current() -> Thread {
    if rt::engine() == CurrentEngine::None {
        return Thread::of_std(&std::thread::current());
    }
    Thread::of_model(rt::current_thread(), None)
}

/// Drops the handle of the present thread of a model, at the thread's end.
pub(crate) fn drop_handle() {
    let handle = HANDLES.with_borrow_mut(|(run, handles)| {
        let is_own =
            |inner: &Arc<ModelThread>| *run == rt::run() && inner.number == rt::current_thread();
        handles.iter().position(is_own).map(|place| handles.swap_remove(place))
    });
    drop(handle);
}

/// Waits until another thread calls [`Thread::unpark`], as [`std::thread::park`]. In a model it may
/// return without that, as std's may: the exploration tries it, a limited number of times per run.
pub fn park() {
    park_for(None);
}

/// [`park`] for at most `time`; in a model it is simulated time. Under loom the time is never up.
pub fn park_timeout(time: Duration) {
    park_for(Some(time));
}

fn park_for(time: Option<Duration>) {
    let Thread(ThreadKind::Model(inner)) = current() else {
        return time.map_or_else(std::thread::park, std::thread::park_timeout);
    };
    #[cfg(feature = "shuttle")]
    if rt::engine() == CurrentEngine::Shuttle {
        return rt::park(&inner.token_id, time.map(nanoseconds));
    }
    let mut token = inner.token.lock().unwrap_or_else(PoisonError::into_inner);
    while !*token {
        token = inner.unparked.wait(token).unwrap_or_else(PoisonError::into_inner);
    }
    *token = false;
}
