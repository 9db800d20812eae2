//! A cell that loom watches: it detects when two threads access it without synchronisation and at
//! least one of them writes. Elsewhere it is std's.

#[cfg(feature = "loom")]
use crate::rt::{self, CurrentEngine};

/// As [`std::cell::UnsafeCell`], with closures instead of `get`, so that a model checker knows when
/// the pointer is used.
///
/// ```
/// let cell = mallory::sync::cell::UnsafeCell::new(1);
/// // SAFETY: one thread has the cell.
/// cell.with_mut(|value| unsafe { *value += 1 });
/// assert_eq!(cell.into_inner(), 2);
/// ```
#[derive(Debug)]
pub struct UnsafeCell<T> {
    #[cfg(feature = "loom")]
    loom: Option<(u64, loom::cell::UnsafeCell<()>)>,
    value: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    #[cfg(not(feature = "loom"))]
    pub const fn new(value: T) -> Self {
        UnsafeCell { value: std::cell::UnsafeCell::new(value) }
    }

    /// A cell with this value. Without the feature `loom` this is a `const fn`; with it loom has to
    /// see how the cell is made.
    #[cfg(feature = "loom")]
    pub fn new(value: T) -> Self {
        let make = || (rt::run(), loom::cell::UnsafeCell::new(()));
        let loom = (rt::engine() == CurrentEngine::Loom).then(make);
        UnsafeCell { loom, value: std::cell::UnsafeCell::new(value) }
    }

    /// Calls `read` with a pointer to the value, which it may read through while it runs.
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        #[cfg(feature = "loom")]
        if let Some(loom) = self.loom_cell() {
            return loom.with(|_| read(self.value.get()));
        }
        read(self.value.get())
    }

    /// Calls `write` with a pointer to the value, which it may read and write through while it
    /// runs.
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(feature = "loom")]
        if let Some(loom) = self.loom_cell() {
            return loom.with_mut(|_| write(self.value.get()));
        }
        write(self.value.get())
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    /// Loom's cell, if this one was made in the present run of loom's.
    #[cfg(feature = "loom")]
    fn loom_cell(&self) -> Option<&loom::cell::UnsafeCell<()>> {
        let (made_in, loom) = self.loom.as_ref()?;
        (*made_in == rt::run() && rt::engine() == CurrentEngine::Loom).then_some(loom)
    }
}
