//! The twins of std's `Once`, `OnceLock` and `LazyLock`: a model checker sees the initialisation.
//!
//! The thread that initialises a value holds a lock meanwhile. In a model a thread that reads the
//! value takes that lock as well, for a moment: under loom the lock is what makes the writes of the
//! initialisation visible to it.

use std::fmt;
use std::ops::Deref;
use std::sync::PoisonError;

use crate::rt;
use crate::rt::CurrentEngine;
use crate::sync::lock_request::LockRequest;
use crate::sync::raw::RawLock;

/// A cell that is initialised once, as [`std::sync::OnceLock`].
#[derive(Default)]
pub struct OnceLock<T> {
    raw: RawLock,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    /// An empty cell.
    #[must_use]
    pub const fn new() -> Self {
        OnceLock { raw: RawLock::new(), value: std::sync::OnceLock::new() }
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        if rt::engine() == CurrentEngine::None {
            return self.value.get();
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        self.value.get()
    }

    /// The value, if there is one, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Initialises the cell with this value.
    ///
    /// # Errors
    /// With `value`, if the cell has one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _held = self.raw.lock(LockRequest::Mutex);
        self.value.set(value)
    }

    /// The value, which `make` makes if there is none.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if rt::engine() == CurrentEngine::None {
            return self.value.get_or_init(make);
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        self.value.get_or_init(make)
    }

    /// Returns the value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Work that is done once, as [`std::sync::Once`].
#[derive(Debug, Default)]
pub struct Once {
    done: OnceLock<()>,
}

impl Once {
    /// Work that is still to be done.
    #[must_use]
    pub const fn new() -> Self {
        Once { done: OnceLock::new() }
    }

    /// Does the work, unless it is done. Threads that call this meanwhile wait.
    pub fn call_once(&self, work: impl FnOnce()) {
        self.done.get_or_init(work);
    }

    /// Whether the work is done.
    pub fn is_completed(&self) -> bool {
        self.done.get().is_some()
    }
}

/// A value that is made at its first use, as [`std::sync::LazyLock`].
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: std::sync::Mutex<Option<F>>,
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `make` makes.
    pub const fn new(make: F) -> Self {
        LazyLock { value: OnceLock::new(), make: std::sync::Mutex::new(Some(make)) }
    }

    /// Makes the value, unless it is made, and returns it.
    ///
    /// # Panics
    /// If `make` panics, and at each use after that.
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init(|| {
            let make = this.make.lock().unwrap_or_else(PoisonError::into_inner).take();
            make.expect("the closure of this LazyLock panicked before")()
        })
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
