//! A cell that loom watches: of two threads that touch it without an order between them, of which
//! one writes, it says so. Elsewhere it is std's.

/// As [`std::cell::UnsafeCell`], with closures in the place of `get`, so that a model checker knows
/// when a pointer is used.
#[derive(Debug)]
pub struct UnsafeCell<T> {
    #[cfg(feature = "loom")]
    loom: Option<(u64, loom::cell::UnsafeCell<()>)>,
    value: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// One with this value.
    #[cfg(not(feature = "loom"))]
    pub const fn new(value: T) -> Self {
        UnsafeCell { value: std::cell::UnsafeCell::new(value) }
    }

    /// One with this value. Not `const`, as without the feature `loom`: loom has to see it being
    /// made.
    #[cfg(feature = "loom")]
    pub fn new(value: T) -> Self {
        use crate::rt;
        use crate::rt::CurrentEngine;
        let make = || (rt::run(), loom::cell::UnsafeCell::new(()));
        let loom = (rt::engine() == CurrentEngine::Loom).then(make);
        UnsafeCell { loom, value: std::cell::UnsafeCell::new(value) }
    }

    /// Lends a pointer to read through, as long as the call takes.
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        #[cfg(feature = "loom")]
        if let Some(loom) = self.watched() {
            return loom.with(|_| read(self.value.get()));
        }
        read(self.value.get())
    }

    /// Lends a pointer to write through, as long as the call takes.
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(feature = "loom")]
        if let Some(loom) = self.watched() {
            return loom.with_mut(|_| write(self.value.get()));
        }
        write(self.value.get())
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    #[cfg(feature = "loom")]
    fn watched(&self) -> Option<&loom::cell::UnsafeCell<()>> {
        use crate::rt;
        use crate::rt::CurrentEngine;
        let (made_in, loom) = self.loom.as_ref()?;
        (*made_in == rt::run() && rt::engine() == CurrentEngine::Loom).then_some(loom)
    }
}
