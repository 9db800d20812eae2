//! Starting and joining threads, yielding and sleeping, in a model and elsewhere.

use crate::report::format::panic_message;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, Location};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Result;
use std::time::Duration;

use crate::process::backtrace;
use crate::rt;
use crate::rt::{AbandonedRun, CurrentEngine, Spawned};
use crate::thread::current;
use crate::thread::current::Thread;
use crate::thread::local;
use crate::thread::settings::ThreadSettings;
use crate::time::nanoseconds;

/// A handle to wait for a thread with, as [`std::thread::JoinHandle`].
pub struct JoinHandle<T> {
    kind: JoinKind<T>,
    name: Option<String>,
    thread: OnceLock<Thread>,
}

enum JoinKind<T> {
    Std(std::thread::JoinHandle<T>),
    Model { spawned: Spawned, result: Arc<ThreadResult<T>> },
}

/// The result of a model's thread, for the thread that joins it.
pub(crate) struct ThreadResult<T>(Mutex<Option<Result<T>>>);

impl<T> ThreadResult<T> {
    pub(crate) fn new() -> Arc<ThreadResult<T>> {
        Arc::new(ThreadResult(Mutex::new(None)))
    }

    fn set(&self, result: Result<T>) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(result);
        }
    }

    pub(crate) fn take(&self) -> Result<T> {
        let result = self.0.lock().ok().and_then(|mut slot| slot.take());
        // There is none only in a run that is being abandoned.
        result.unwrap_or_else(|| Err(Box::new("the thread never ended: its run was abandoned")))
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn of_std(handle: std::thread::JoinHandle<T>) -> Self {
        JoinHandle { kind: JoinKind::Std(handle), name: None, thread: OnceLock::new() }
    }

    pub(crate) fn of_model(
        spawned: Spawned,
        result: Arc<ThreadResult<T>>,
        name: Option<String>,
    ) -> Self {
        JoinHandle { kind: JoinKind::Model { spawned, result }, name, thread: OnceLock::new() }
    }

    /// The thread's own handle.
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
    /// With the panic's payload, if the thread panicked.
    pub fn join(self) -> Result<T> {
        match self.kind {
            JoinKind::Std(handle) => handle.join(),
            JoinKind::Model { spawned, result } => {
                rt::join(spawned);
                result.take()
            }
        }
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        match &self.kind {
            JoinKind::Std(handle) => handle.is_finished(),
            JoinKind::Model { spawned, .. } => spawned.has_ended(),
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinHandle")
    }
}

/// Starts a thread whose requests are the subject's if those of the present thread are. In a model
/// it is a thread of the model: its panic is an `Err` for the thread that joins it, and an outcome
/// of the run.
///
/// # Panics
/// As [`std::thread::spawn`], if there is no memory for a thread.
#[track_caller]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn_with(ThreadSettings::default(), work)
        .unwrap_or_else(|error| panic!("cannot start a thread: {error}"))
}

/// As [`spawn`], with a name and a stack size where they are given.
#[track_caller]
pub(crate) fn spawn_with<T: Send + 'static>(
    settings: ThreadSettings,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    if rt::engine() == CurrentEngine::None {
        return Ok(JoinHandle::of_std(settings.spawn_std(work)?));
    }
    let result = ThreadResult::new();
    let work = body(work, Arc::clone(&result), settings.name.clone());
    let spawned = start(Box::new(work), settings.name.as_deref(), Location::caller());
    Ok(JoinHandle::of_model(spawned, result, settings.name))
}

/// Starts a model's thread.
pub(crate) fn start(
    work: Box<dyn FnOnce() + Send>,
    name: Option<&str>,
    at: &'static Location<'static>,
) -> Spawned {
    let spawned = rt::spawn(at, work);
    if rt::is_daemon_name(name) {
        rt::set_daemon(spawned.thread);
    }
    spawned
}

/// What a model's thread does: its work, then the drop of its thread-locals and its handle. A panic
/// of either of the first two becomes its result, if a thread can still join it.
pub(crate) fn body<T: Send>(
    work: impl FnOnce() -> T + Send,
    result: Arc<ThreadResult<T>>,
    name: Option<String>,
) -> impl FnOnce() + Send {
    move || {
        let is_modelled = rt::engine() != CurrentEngine::None;
        if is_modelled && name.is_some() {
            Thread::of_model(rt::current_thread(), name.as_deref());
        }
        let ended = catch(work);
        result.set(ended);
        // As in std, a result that no thread can get any more is dropped now, while the thread still
        // has its thread-locals.
        let shared = Arc::downgrade(&result);
        let dropped = catch(|| drop(result)).and(catch(local::drop_values));
        if let (Err(payload), Some(result)) = (dropped, shared.upgrade()) {
            result.set(Err(payload));
        }
        current::drop_handle();
    }
}

/// What the subject's own thread does at its end: it drops its thread-locals and its handle.
pub(crate) fn end_of_main_thread() {
    let _ = catch(local::drop_values);
    current::drop_handle();
}

/// Catches a thread's panic, and notes it as the run's. If the run is being abandoned, unwinds on.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T> {
    let ended = call_in_backtrace(work);
    if let Err(payload) = &ended
        && !payload.is::<AbandonedRun>()
    {
        rt::note_panic(panic_message(&**payload));
    }
    if rt::is_abandoned() {
        drop(ended);
        rt::abandon();
    }
    ended
}

/// Calls a thread's work. Its backtraces end here.
#[inline(never)]
fn call_in_backtrace<T>(work: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(|| backtrace::within(work)))
}

/// Lets other threads run, as [`std::thread::yield_now`]. In a model a thread that yields says that it
/// can't get on before others have. So others go on first, and a thread that yields twice waits for
/// each one that could have run all the time between; that it goes on all the same is explored as
/// well, at the cost of a preemption each time.
pub fn yield_now() {
    rt::yield_now();
}

/// Says that the present thread waits in a loop, as [`std::hint::spin_loop`]. In a model it yields: see
/// [`yield_now`].
pub fn spin_loop() {
    if rt::engine() == CurrentEngine::None {
        return std::hint::spin_loop();
    }
    rt::yield_now();
}

/// The number of threads that can run at once, as [`std::thread::available_parallelism`]. In a model it
/// is always 2: what a run does must not depend on the machine.
///
/// # Errors
/// If the operating system does not say.
pub fn available_parallelism() -> io::Result<NonZeroUsize> {
    match rt::engine() {
        CurrentEngine::None => std::thread::available_parallelism(),
        _ => Ok(NonZeroUsize::MIN.saturating_add(1)),
    }
}

/// Sleeps. In a model it is simulated time: see [`mallory::time`](crate::time).
pub fn sleep(time: Duration) {
    if !rt::sleep(nanoseconds(time)) {
        std::thread::sleep(time);
    }
}
