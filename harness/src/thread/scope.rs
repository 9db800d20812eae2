//! The twin of `std::thread::scope`: threads that may borrow, since the scope waits for them.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Result;

use crate::rt;
use crate::rt::{CurrentEngine, Spawned};
use crate::thread::current::Thread;
use crate::thread::settings::ThreadSettings;
use crate::thread::spawn::{ThreadResult, body, start};

/// A scope in which threads can be started that borrow, as [`std::thread::Scope`].
pub struct Scope<'scope, 'env: 'scope> {
    started: Mutex<Vec<Arc<StartedThread>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A thread that was started in a scope. `thread` is `None` once a thread waits for it.
struct StartedThread {
    thread: Mutex<Option<ScopedKind>>,
    panicked: AtomicBool,
}

enum ScopedKind {
    Std(std::thread::JoinHandle<()>),
    Model(Spawned),
}

impl StartedThread {
    /// Whether a thread of std's has ended, or a call waits for it.
    fn has_ended(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*thread {
            Some(ScopedKind::Std(handle)) => handle.is_finished(),
            _ => true,
        }
    }

    /// Waits for the thread, unless another call has. Returns whether this call was the one that
    /// did.
    fn wait(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            None => return false,
            // A panic of the thread was caught in the thread itself.
            Some(ScopedKind::Std(handle)) => drop(handle.join()),
            Some(ScopedKind::Model(spawned)) => rt::join(spawned),
        }
        true
    }
}

/// A handle to wait for a scoped thread with, as [`std::thread::ScopedJoinHandle`].
pub struct ScopedJoinHandle<'scope, T> {
    started: Arc<StartedThread>,
    result: Arc<ThreadResult<T>>,
    thread: ScopedThread,
    scope: PhantomData<&'scope ()>,
}

/// The thread's own handle. A model's thread has one once it is asked for.
enum ScopedThread {
    Std(Thread),
    Model { number: u16, name: Option<String>, handle: OnceLock<Thread> },
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread has ended.
    ///
    /// # Errors
    /// With the panic's payload, if the thread panicked.
    pub fn join(self) -> Result<T> {
        self.started.wait();
        self.result.take()
    }

    /// The thread's own handle.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        match &self.thread {
            ScopedThread::Std(thread) => thread,
            ScopedThread::Model { number, name, handle } => {
                handle.get_or_init(|| Thread::of_model(*number, name.as_deref()))
            }
        }
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.thread {
            ScopedThread::Std(_) => self.started.has_ended(),
            ScopedThread::Model { number, .. } => rt::is_thread_finished(*number),
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScopedJoinHandle")
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that may borrow what lives longer than the scope.
    ///
    /// # Panics
    /// As [`std::thread::Scope::spawn`], if there is no memory for a thread.
    #[track_caller]
    pub fn spawn<T: Send + 'scope>(
        &'scope self,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        let started = self.start(ThreadSettings::default(), work);
        started.unwrap_or_else(|error| panic!("cannot start a thread: {error}"))
    }

    #[track_caller]
    pub(crate) fn start<T: Send + 'scope>(
        &'scope self,
        settings: ThreadSettings,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> io::Result<ScopedJoinHandle<'scope, T>> {
        let name = settings.name.clone();
        let result = ThreadResult::new();
        let started =
            Arc::new(StartedThread { thread: Mutex::new(None), panicked: AtomicBool::new(false) });
        let (thread_result, thread_state) = (Arc::clone(&result), Arc::clone(&started));
        let noting_panic = move || {
            // The scope has to know of a panic also if no thread joins this one.
            struct NotePanic<'a>(&'a AtomicBool);
            impl Drop for NotePanic<'_> {
                fn drop(&mut self) {
                    self.0.store(std::thread::panicking(), Ordering::Relaxed);
                }
            }
            let _panicked = NotePanic(&thread_state.panicked);
            work()
        };
        let work: Box<dyn FnOnce() + Send + 'scope> =
            Box::new(body(noting_panic, thread_result, name.clone()));
        // SAFETY: only the lifetime changes. `scope` waits for every thread before it returns or
        // unwinds, so what the work borrows outlives the thread. If a model's run is abandoned,
        // `scope` unwinds without waiting, but the run's threads never run again.
        let work = unsafe {
            std::mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Box<dyn FnOnce() + Send>>(work)
        };
        let (kind, thread) = if rt::engine() == CurrentEngine::None {
            let handle = settings.spawn_std(work)?;
            let own_handle = ScopedThread::Std(Thread::of_std(handle.thread()));
            (ScopedKind::Std(handle), own_handle)
        } else {
            let spawned = start(work, name.as_deref(), Location::caller());
            let own_handle =
                ScopedThread::Model { number: spawned.thread, name, handle: OnceLock::new() };
            (ScopedKind::Model(spawned), own_handle)
        };
        *started.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
        let mut all = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&started));
        Ok(ScopedJoinHandle { started, result, thread, scope: PhantomData })
    }
}

/// Calls `work` with a scope for threads, and waits for all of its threads, as
/// [`std::thread::scope`].
///
/// # Panics
/// If `work` panics, or a thread panicked that was not joined.
pub fn scope<'env, T>(work: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    let scope = Scope { started: Mutex::new(Vec::new()), scope: PhantomData, env: PhantomData };
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| work(&scope)));
    if rt::is_abandoned() {
        rt::abandon();
    }
    let mut panicked = false;
    loop {
        let next = scope.started.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(started) = next else { break };
        let was_not_joined = started.wait();
        panicked |= was_not_joined && started.panicked.load(Ordering::Relaxed);
    }
    match result {
        Err(payload) => std::panic::resume_unwind(payload),
        Ok(_) if panicked => panic!("a scoped thread panicked"),
        Ok(result) => result,
    }
}
