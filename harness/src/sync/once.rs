//! The twins of std's `Once`, `OnceLock` and `LazyLock`: a model checker sees the initialisation.
//!
//! The thread that initialises a value holds a lock meanwhile. In a model a thread that reads the
//! value takes that lock as well, for a moment: under loom the lock is what makes the writes of the
//! initialisation visible to it.
//!
//! Statics live longer than a run of a model. So what a run puts into a cell belongs to that run:
//! the next one finds the cell as it was before all runs. The values of former runs stay where they
//! are, since `'static` references to them may exist.

use std::fmt;
use std::ops::Deref;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::rt;
use crate::rt::CurrentEngine;
use crate::sync::lazy::Lazy;
use crate::sync::lock_request::LockRequest;
use crate::sync::raw::{HeldLock, RawCondvar, RawLock};

/// Where threads of a model wait until something was done once. It is used with the lock held that
/// whoever does it holds.
#[derive(Debug, Default)]
struct Completion {
    raw: RawCondvar,
    /// How many threads wait. While there is none, the end is no operation that a model sees.
    waiters: Lazy<AtomicUsize>,
}

impl Completion {
    const fn new() -> Completion {
        Completion { raw: RawCondvar::new(), waiters: Lazy::new() }
    }

    fn wait<'a>(&self, held: HeldLock<'a>) -> HeldLock<'a> {
        let waiters = self.waiters.get(AtomicUsize::default);
        waiters.fetch_add(1, Ordering::Relaxed);
        let held = held.wait(&self.raw, None).0;
        waiters.fetch_sub(1, Ordering::Relaxed);
        if rt::is_abandoned() {
            rt::abandon();
        }
        held
    }

    fn notify(&self) {
        let is_modelled = rt::engine() != CurrentEngine::None;
        if is_modelled && self.waiters.get(AtomicUsize::default).load(Ordering::Relaxed) > 0 {
            self.raw.notify(true);
        }
    }
}

/// A cell that is initialised once, as [`std::sync::OnceLock`]. In a model it is initialised once
/// per run, unless it was before the model's first run.
#[derive(Default)]
pub struct OnceLock<T> {
    raw: RawLock,
    value: std::sync::OnceLock<T>,
    /// The values that runs of a model have made.
    by_run: Lazy<std::sync::OnceLock<T>>,
    completion: Completion,
}

impl<T> OnceLock<T> {
    /// An empty cell.
    #[must_use]
    pub const fn new() -> Self {
        OnceLock {
            raw: RawLock::new(),
            value: std::sync::OnceLock::new(),
            by_run: Lazy::new(),
            completion: Completion::new(),
        }
    }

    /// The cell that counts at present.
    fn cell(&self) -> &std::sync::OnceLock<T> {
        if rt::engine() == CurrentEngine::None || self.value.get().is_some() {
            return &self.value;
        }
        self.by_run.get(std::sync::OnceLock::new)
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        if rt::engine() == CurrentEngine::None {
            return self.value.get();
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        self.cell().get()
    }

    /// The value, if there is one, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if rt::engine() == CurrentEngine::None || self.value.get().is_some() {
            return self.value.get_mut();
        }
        self.by_run.get_mut()?.get_mut()
    }

    /// Initialises the cell with this value.
    ///
    /// # Errors
    /// With `value`, if the cell has one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _held = self.raw.lock(LockRequest::Mutex);
        self.cell().set(value)?;
        self.completion.notify();
        Ok(())
    }

    /// The value, after waiting until there is one.
    pub fn wait(&self) -> &T {
        if rt::engine() == CurrentEngine::None {
            return self.value.wait();
        }
        let mut held = self.raw.lock(LockRequest::Mutex);
        loop {
            if let Some(value) = self.cell().get() {
                return value;
            }
            held = self.completion.wait(held);
        }
    }

    /// The value, which `make` makes if there is none.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if rt::engine() == CurrentEngine::None {
            return self.value.get_or_init(make);
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        let cell = self.cell();
        if let Some(value) = cell.get() {
            return value;
        }
        // Not inside of std's own initialisation, in which no other thread may run.
        let made = make();
        assert!(cell.set(made).is_ok(), "the value was set while it was made");
        self.completion.notify();
        cell.get().expect("[mallory bug] a value that was just set")
    }

    /// Takes the value out, if there is one.
    pub fn take(&mut self) -> Option<T> {
        if rt::engine() == CurrentEngine::None || self.value.get().is_some() {
            return self.value.take();
        }
        self.by_run.get_mut()?.take()
    }

    /// Returns the value, if there is one.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(OnceLock::new, |value| OnceLock::from(value.clone()))
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let cell = OnceLock::new();
        let _ = cell.set(value);
        cell
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

/// Work that is done once, as [`std::sync::Once`]. In a model it is done once per run.
#[derive(Debug, Default)]
pub struct Once {
    raw: RawLock,
    by_run: Lazy<OnceProgress>,
    std: OnceProgress,
    completion: Completion,
}

/// How far the work is, for the thread that holds the lock.
#[derive(Debug, Default)]
struct OnceProgress {
    lock: std::sync::Mutex<()>,
    /// Notified when an attempt has ended. A model has a [`Completion`] for that.
    ended: std::sync::Condvar,
    is_done: AtomicBool,
    is_poisoned: AtomicBool,
}

/// Whether an earlier attempt to do the work panicked, as [`std::sync::OnceState`].
#[derive(Debug)]
pub struct OnceState {
    is_poisoned: bool,
}

impl OnceState {
    /// Whether an earlier attempt to do the work panicked.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }
}

/// Notifies who waits, for the thread that holds the lock.
struct NotifyOnDrop<'a>(&'a Completion);

impl Drop for NotifyOnDrop<'_> {
    fn drop(&mut self) {
        self.0.notify();
    }
}

impl OnceProgress {
    const fn new() -> OnceProgress {
        OnceProgress {
            lock: std::sync::Mutex::new(()),
            ended: std::sync::Condvar::new(),
            is_done: AtomicBool::new(false),
            is_poisoned: AtomicBool::new(false),
        }
    }

    /// Whether nothing is left to wait for, for the thread that holds the lock.
    fn has_ended(&self, ignores_poison: bool) -> bool {
        let is_poisoned = self.is_poisoned.load(Ordering::Relaxed);
        assert!(!is_poisoned || ignores_poison, "Once instance has previously been poisoned");
        self.is_done.load(Ordering::Acquire)
    }

    /// Does the work, for the thread that holds the lock.
    fn perform(&self, ignores_poison: bool, work: impl FnOnce(&OnceState)) {
        struct PoisonOnPanic<'a>(&'a OnceProgress);
        impl Drop for PoisonOnPanic<'_> {
            fn drop(&mut self) {
                self.0.is_poisoned.store(std::thread::panicking(), Ordering::Relaxed);
                self.0.ended.notify_all();
            }
        }
        if self.is_done.load(Ordering::Acquire) {
            return;
        }
        let is_poisoned = self.is_poisoned.load(Ordering::Relaxed);
        assert!(!is_poisoned || ignores_poison, "Once instance has previously been poisoned");
        let poison = PoisonOnPanic(self);
        work(&OnceState { is_poisoned });
        // Before the drop, which wakes threads that look at it.
        self.is_done.store(true, Ordering::Release);
        drop(poison);
    }
}

impl Once {
    /// Work that is still to be done.
    #[must_use]
    pub const fn new() -> Self {
        Once {
            raw: RawLock::new(),
            by_run: Lazy::new(),
            std: OnceProgress::new(),
            completion: Completion::new(),
        }
    }

    fn call(&self, ignores_poison: bool, work: impl FnOnce(&OnceState)) {
        if rt::engine() == CurrentEngine::None {
            if self.std.is_done.load(Ordering::Acquire) {
                return;
            }
            let _lock = self.std.lock.lock().unwrap_or_else(PoisonError::into_inner);
            return self.std.perform(ignores_poison, work);
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        // Threads that wait are woken also if the work panics: then they panic as well.
        let _ended = NotifyOnDrop(&self.completion);
        self.progress().perform(ignores_poison, work);
    }

    fn progress(&self) -> &OnceProgress {
        let is_std =
            rt::engine() == CurrentEngine::None || self.std.is_done.load(Ordering::Acquire);
        if is_std { &self.std } else { self.by_run.get(OnceProgress::new) }
    }

    /// Does the work, unless it is done. Threads that call this meanwhile wait.
    ///
    /// # Panics
    /// If the work panicked before.
    pub fn call_once(&self, work: impl FnOnce()) {
        self.call(false, |_| work());
    }

    /// Does the work, unless it is done; also if it panicked before.
    pub fn call_once_force(&self, work: impl FnOnce(&OnceState)) {
        self.call(true, work);
    }

    /// Waits until the work is done.
    ///
    /// # Panics
    /// If the work panicked.
    pub fn wait(&self) {
        self.wait_for_end(false);
    }

    /// Waits until the work is done; also if it panicked, for another attempt.
    pub fn wait_force(&self) {
        self.wait_for_end(true);
    }

    fn wait_for_end(&self, ignores_poison: bool) {
        if rt::engine() == CurrentEngine::None {
            let mut lock = self.std.lock.lock().unwrap_or_else(PoisonError::into_inner);
            while !self.std.has_ended(ignores_poison) {
                lock = self.std.ended.wait(lock).unwrap_or_else(PoisonError::into_inner);
            }
            return;
        }
        let mut held = self.raw.lock(LockRequest::Mutex);
        while !self.progress().has_ended(ignores_poison) {
            held = self.completion.wait(held);
        }
    }

    /// Whether the work is done.
    pub fn is_completed(&self) -> bool {
        if rt::engine() == CurrentEngine::None {
            return self.std.is_done.load(Ordering::Acquire);
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        self.progress().is_done.load(Ordering::Acquire)
    }
}

/// A value that is made at its first use, as [`std::sync::LazyLock`]. In a model it is made once per
/// run, so `make` has to be a closure that can be called again.
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    poisoned: OnceLock<()>,
    make: F,
}

impl<T, F: Fn() -> T> LazyLock<T, F> {
    /// A value that `make` makes.
    pub const fn new(make: F) -> Self {
        LazyLock { value: OnceLock::new(), poisoned: OnceLock::new(), make }
    }

    /// Makes the value, unless it is made, and returns it.
    ///
    /// # Panics
    /// If `make` panics, and at each use after that.
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init(|| {
            let is_first = this.poisoned.cell().set(()).is_ok();
            assert!(is_first, "the closure of this LazyLock panicked before");
            (this.make)()
        })
    }
}

impl<T, F: Fn() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
