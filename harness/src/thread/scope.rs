//! Threads that may borrow, since whoever starts them waits for them.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::rt;
use crate::rt::{CurrentEngine, Spawned};
use crate::thread::Result;
use crate::thread::current::Thread;
use crate::thread::settings::ThreadSettings;
use crate::thread::spawn::{ThreadResult, body, start};

/// Where such threads are started, as [`std::thread::Scope`].
pub struct Scope<'scope, 'env: 'scope> {
    started: Mutex<Vec<Arc<StartedThread>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A thread, until somebody waits for it.
struct StartedThread {
    thread: Mutex<Option<ScopedKind>>,
    panicked: AtomicBool,
}

enum ScopedKind {
    Std(std::thread::JoinHandle<()>),
    Model(Spawned),
}

impl StartedThread {
    /// Waits for it, unless somebody has. Answers whether nobody had.
    fn wait(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            None => return false,
            // What the thread threw was caught in it.
            Some(ScopedKind::Std(handle)) => drop(handle.join()),
            Some(ScopedKind::Model(spawned)) => rt::join(spawned),
        }
        true
    }
}

/// A thread to wait for, as [`std::thread::ScopedJoinHandle`].
pub struct ScopedJoinHandle<'scope, T> {
    started: Arc<StartedThread>,
    answer: Arc<ThreadResult<T>>,
    thread: ScopedThread,
    scope: PhantomData<&'scope ()>,
}

/// Which thread it is: a model's has a handle once somebody asks for it.
enum ScopedThread {
    Std(Thread),
    Model { number: u16, name: Option<String>, handle: OnceLock<Thread> },
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread has ended.
    ///
    /// # Errors
    /// With what it threw, where it panicked.
    pub fn join(self) -> Result<T> {
        self.started.wait();
        self.answer.take()
    }

    /// A handle on the thread itself.
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
        self.answer.is_there()
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
    /// As [`std::thread::Scope::spawn`], where there is no memory for a thread.
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
        let answer = ThreadResult::new();
        let started =
            Arc::new(StartedThread { thread: Mutex::new(None), panicked: AtomicBool::new(false) });
        let (its_answer, itself) = (Arc::clone(&answer), Arc::clone(&started));
        let noted = move || {
            // Whether it panicked is told even where nobody joins it.
            struct NotePanic<'a>(&'a AtomicBool);
            impl Drop for NotePanic<'_> {
                fn drop(&mut self) {
                    self.0.store(std::thread::panicking(), Ordering::Relaxed);
                }
            }
            let _panicked = NotePanic(&itself.panicked);
            work()
        };
        let whole: Box<dyn FnOnce() + Send + 'scope> =
            Box::new(body(noted, its_answer, name.clone()));
        // SAFETY: only the lifetime changes. `scope` waits for every thread before it comes back,
        // whichever way, so what this borrows outlives it; where a model's run is given up, its
        // threads never run again.
        let whole = unsafe {
            std::mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Box<dyn FnOnce() + Send>>(
                whole,
            )
        };
        let (kind, thread) = if rt::engine() == CurrentEngine::None {
            let handle = settings.spawn_std(whole)?;
            let which = ScopedThread::Std(Thread::of_std(handle.thread()));
            (ScopedKind::Std(handle), which)
        } else {
            let spawned = start(whole, Location::caller());
            let which =
                ScopedThread::Model { number: spawned.thread, name, handle: OnceLock::new() };
            (ScopedKind::Model(spawned), which)
        };
        *started.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
        let mut all = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&started));
        Ok(ScopedJoinHandle { started, answer, thread, scope: PhantomData })
    }
}

/// Calls this with a scope for threads, and waits for all of them, as [`std::thread::scope`].
///
/// # Panics
/// Where a thread panicked that nobody joined.
pub fn scope<'env, T>(work: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    let scope = Scope { started: Mutex::new(Vec::new()), scope: PhantomData, env: PhantomData };
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| work(&scope)));
    if rt::is_over() {
        rt::abandon();
    }
    let mut panicked = false;
    loop {
        let next = scope.started.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(started) = next else { break };
        let nobody_did = started.wait();
        panicked |= nobody_did && started.panicked.load(Ordering::Relaxed);
    }
    match answer {
        Err(payload) => std::panic::resume_unwind(payload),
        Ok(_) if panicked => panic!("a scoped thread panicked"),
        Ok(answer) => answer,
    }
}
