//! Handles on threads: which one this is, and waiting until it is woken.

use std::cell::RefCell;
use std::time::Duration;

use crate::rt;
use crate::rt::CurrentEngine;
use crate::sync::{Arc, Condvar, Mutex, PoisonError};

/// A handle on a thread, as [`std::thread::Thread`].
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
    /// Whether it was woken before it waits.
    token: Mutex<bool>,
    came: Condvar,
}

thread_local! {
    /// The handles of a run's threads, which are made when somebody asks for them: by the run.
    static HANDLES: RefCell<(u64, Vec<Arc<ModelThread>>)> = const { RefCell::new((0, Vec::new())) };
}

/// Which thread, as [`std::thread::ThreadId`]: in a model its number.
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

    /// A thread of the present model. Whoever asks first has to know its name.
    pub(crate) fn of_model(number: u16, name: Option<&str>) -> Thread {
        HANDLES.with_borrow_mut(|(run, handles)| {
            if *run != rt::run() {
                // Those of a run that is over may be what a model checker has given up.
                std::mem::forget(std::mem::take(handles));
                *run = rt::run();
            }
            let known = handles.iter().find(|inner| inner.number == number);
            let inner = known.cloned().unwrap_or_else(|| {
                let (token, came, name) =
                    (Mutex::new(false), Condvar::new(), name.map(str::to_owned));
                let inner = Arc::new(ModelThread { number, name, token, came });
                handles.push(Arc::clone(&inner));
                inner
            });
            Thread(ThreadKind::Model(inner))
        })
    }

    /// Its name, if it was given one. The subject's own has none in a model.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            ThreadKind::Std(thread) => thread.name(),
            ThreadKind::Model(inner) => inner.name.as_deref(),
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        ThreadId(match &self.0 {
            ThreadKind::Std(thread) => ThreadIdKind::Std(thread.id()),
            ThreadKind::Model(inner) => ThreadIdKind::Model(inner.number),
        })
    }

    /// Lets it go on where it waits in [`park`], or where it comes to one next.
    pub fn unpark(&self) {
        match &self.0 {
            ThreadKind::Std(thread) => thread.unpark(),
            ThreadKind::Model(inner) => {
                *inner.token.lock().unwrap_or_else(PoisonError::into_inner) = true;
                inner.came.notify_one();
            }
        }
    }
}

/// A handle on the present thread, as [`std::thread::current`].
#[must_use]
pub fn current() -> Thread {
    if rt::engine() == CurrentEngine::None {
        return Thread::of_std(&std::thread::current());
    }
    Thread::of_model(rt::logical(), None)
}

/// The present thread of a model has come to its end.
pub(crate) fn end() {
    let gone = HANDLES.with_borrow_mut(|(run, handles)| {
        let mine = |inner: &Arc<ModelThread>| *run == rt::run() && inner.number == rt::logical();
        handles.iter().position(mine).map(|place| handles.swap_remove(place))
    });
    drop(gone);
}

/// Waits until another thread calls [`Thread::unpark`], as [`std::thread::park`]. In a model it never
/// goes on for nothing.
pub fn park() {
    let Thread(ThreadKind::Model(inner)) = current() else { return std::thread::park() };
    let mut token = inner.token.lock().unwrap_or_else(PoisonError::into_inner);
    while !*token {
        token = inner.came.wait(token).unwrap_or_else(PoisonError::into_inner);
    }
    *token = false;
}

/// [`park`], but not longer than this; in a model, where time does not pass, it may be for ever.
pub fn park_timeout(time: Duration) {
    if rt::engine() == CurrentEngine::None {
        std::thread::park_timeout(time);
    } else {
        park();
    }
}
