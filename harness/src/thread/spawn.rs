//! Starting, joining and giving way, in a model and elsewhere.

use crate::report::format::panic_message;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::rt;
use crate::rt::{AbandonedRun, CurrentEngine, Spawned};
use crate::thread::current::Thread;
use crate::thread::settings::ThreadSettings;
use crate::thread::{Result, current, local};

/// A thread to wait for, as [`std::thread::JoinHandle`].
pub struct JoinHandle<T> {
    kind: JoinKind<T>,
    name: Option<String>,
    thread: OnceLock<Thread>,
}

enum JoinKind<T> {
    Std(std::thread::JoinHandle<T>),
    Model { spawned: Spawned, answer: Arc<ThreadResult<T>> },
}

/// What a model's thread leaves to whoever joins it.
pub(crate) struct ThreadResult<T>(std::sync::Mutex<Option<Result<T>>>);

impl<T> ThreadResult<T> {
    pub(crate) fn new() -> Arc<ThreadResult<T>> {
        Arc::new(ThreadResult(std::sync::Mutex::new(None)))
    }

    fn leave(&self, answer: Result<T>) {
        if let Ok(mut place) = self.0.lock() {
            *place = Some(answer);
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.lock().is_ok_and(|place| place.is_some())
    }

    pub(crate) fn take(&self) -> Result<T> {
        let left = self.0.lock().ok().and_then(|mut place| place.take());
        // Only in a run that is being given up.
        left.unwrap_or_else(|| Err(Box::new("the thread never came to its end")))
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn of_std(handle: std::thread::JoinHandle<T>) -> Self {
        JoinHandle { kind: JoinKind::Std(handle), name: None, thread: OnceLock::new() }
    }

    pub(crate) fn of_model(
        spawned: Spawned,
        answer: Arc<ThreadResult<T>>,
        name: Option<String>,
    ) -> Self {
        JoinHandle { kind: JoinKind::Model { spawned, answer }, name, thread: OnceLock::new() }
    }

    /// A handle on the thread itself.
    pub fn thread(&self) -> &Thread {
        self.thread.get_or_init(|| match &self.kind {
            JoinKind::Std(handle) => Thread::of_std(handle.thread()),
            JoinKind::Model { spawned, .. } => {
                Thread::of_model(spawned.thread, self.name.as_deref())
            }
        })
    }

    /// Waits until the thread has ended.
    ///
    /// # Errors
    /// With what it threw, where it panicked.
    pub fn join(self) -> Result<T> {
        match self.kind {
            JoinKind::Std(handle) => handle.join(),
            JoinKind::Model { spawned, answer } => {
                rt::join(spawned);
                answer.take()
            }
        }
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        match &self.kind {
            JoinKind::Std(handle) => handle.is_finished(),
            JoinKind::Model { answer, .. } => answer.is_there(),
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinHandle")
    }
}

/// Starts a thread whose requests are the subject's, as those of the present thread are; in a model
/// one of the model's, whose panic is an `Err` for whoever joins it, and an outcome of the run.
///
/// # Panics
/// As [`std::thread::spawn`], where there is no memory for a thread.
#[track_caller]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn_with(ThreadSettings::default(), work)
        .unwrap_or_else(|error| panic!("cannot start a thread: {error}"))
}

/// As [`spawn`], with a name or a stack of this size.
#[track_caller]
pub(crate) fn spawn_with<T: Send + 'static>(
    settings: ThreadSettings,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    if rt::engine() == CurrentEngine::None {
        return Ok(JoinHandle::of_std(settings.spawn_std(work)?));
    }
    let answer = ThreadResult::new();
    let work = body(work, Arc::clone(&answer), settings.name.clone());
    let spawned = start(Box::new(work), Location::caller());
    Ok(JoinHandle::of_model(spawned, answer, settings.name))
}

pub(crate) fn start(work: Box<dyn FnOnce() + Send>, at: &'static Location<'static>) -> Spawned {
    rt::spawn(at, work)
}

/// What a model's thread does: its work, whatever comes of it, and the end of its locals.
pub(crate) fn body<T: Send>(
    work: impl FnOnce() -> T + Send,
    answer: Arc<ThreadResult<T>>,
    name: Option<String>,
) -> impl FnOnce() + Send {
    move || {
        let is_modelled = rt::engine() != CurrentEngine::None;
        if is_modelled && name.is_some() {
            Thread::of_model(rt::logical(), name.as_deref());
        }
        let ended = catch(work);
        let ended = match catch(local::end) {
            Ok(()) => ended,
            Err(payload) => Err(payload),
        };
        current::end();
        answer.leave(ended);
    }
}

/// Catches what a thread throws, and notes it as the run's. What we throw ourselves goes on.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T> {
    let ended = within(work);
    if let Err(payload) = &ended
        && !payload.is::<AbandonedRun>()
    {
        rt::note_panic(panic_message(&**payload));
    }
    if rt::is_over() {
        drop(ended);
        rt::abandon();
    }
    ended
}

/// Calls a thread's work: its call stacks end here.
#[inline(never)]
fn within<T>(work: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(|| crate::process::backtrace::within(work)))
}

/// Lets other threads run, as [`std::thread::yield_now`]: in a model the others come first.
pub fn yield_now() {
    rt::yield_now();
}

/// Sleeps; in a model, where time does not pass, this is [`yield_now`].
pub fn sleep(time: Duration) {
    if rt::engine() == CurrentEngine::None {
        std::thread::sleep(time);
    } else {
        rt::yield_now();
    }
}
