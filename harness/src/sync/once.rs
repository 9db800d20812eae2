//! What is made once as std's, whose making a model checker sees.
//!
//! Who makes it holds a lock meanwhile, and who looks whether it is made takes that lock for a
//! moment under loom, whose own knowledge of what was written before goes with the lock.

use std::fmt;
use std::ops::Deref;

use crate::rt;
use crate::rt::CurrentEngine;
use crate::sync::lock_request::LockRequest;
use crate::sync::raw::RawLock;

/// A place that is filled once, as [`std::sync::OnceLock`].
#[derive(Default)]
pub struct OnceLock<T> {
    raw: RawLock,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        OnceLock { raw: RawLock::new(), value: std::sync::OnceLock::new() }
    }

    /// What is in it, if anything is.
    pub fn get(&self) -> Option<&T> {
        if rt::engine() == CurrentEngine::None {
            return self.value.get();
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        self.value.get()
    }

    /// What is in it, which nobody else can have.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Fills it.
    ///
    /// # Errors
    /// With the value, where it is full.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _held = self.raw.lock(LockRequest::Mutex);
        self.value.set(value)
    }

    /// What is in it, which is made now if nothing is.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if rt::engine() == CurrentEngine::None {
            return self.value.get_or_init(make);
        }
        let _held = self.raw.lock(LockRequest::Mutex);
        self.value.get_or_init(make)
    }

    /// What is in it.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Something that is done once, as [`std::sync::Once`].
#[derive(Debug, Default)]
pub struct Once {
    done: OnceLock<()>,
}

impl Once {
    /// Not done yet.
    #[must_use]
    pub const fn new() -> Self {
        Once { done: OnceLock::new() }
    }

    /// Does it, unless it is done; whoever comes meanwhile waits.
    pub fn call_once(&self, work: impl FnOnce()) {
        self.done.get_or_init(work);
    }

    /// Whether it is done.
    pub fn is_completed(&self) -> bool {
        self.done.get().is_some()
    }
}

/// What is made at its first use, as [`std::sync::LazyLock`].
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: std::sync::Mutex<Option<F>>,
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// One that is made by this.
    pub const fn new(make: F) -> Self {
        LazyLock { value: OnceLock::new(), make: std::sync::Mutex::new(Some(make)) }
    }

    /// Makes it, unless it is made.
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init(|| {
            let make = this.make.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            make.expect("its making panicked before")()
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
