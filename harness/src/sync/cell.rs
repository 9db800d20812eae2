//! A cell that model checkers watch: two threads that access it, at least one of them to write, must
//! be ordered by something. Elsewhere it is std's.

#[doc(hidden)]
pub use crate::rt::refused::Cell;
#[cfg(mallory_model)]
use crate::rt::{self, AccessKind, CurrentEngine, ObjectId, SharedOp, SharedOpKind};

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
    #[cfg(mallory_model)]
    id: ObjectId,
    value: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    #[cfg(not(feature = "loom"))]
    pub const fn new(value: T) -> Self {
        UnsafeCell {
            #[cfg(mallory_model)]
            id: ObjectId::new(),
            value: std::cell::UnsafeCell::new(value),
        }
    }

    /// A cell with this value. Without the feature `loom` this is a `const fn`; with it loom has to
    /// see how the cell is made.
    #[cfg(feature = "loom")]
    pub fn new(value: T) -> Self {
        let make = || (rt::run(), loom::cell::UnsafeCell::new(()));
        let loom = (rt::engine() == CurrentEngine::Loom).then(make);
        UnsafeCell { loom, id: ObjectId::new(), value: std::cell::UnsafeCell::new(value) }
    }

    /// Calls `read` with a pointer to the value, which it may read through while it runs.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        #[cfg(mallory_model)]
        self.note_access(SharedOpKind::CellRead, AccessKind::CellRead);
        #[cfg(feature = "loom")]
        if let Some(loom) = self.loom_cell() {
            return loom.with(|_| read(self.value.get()));
        }
        read(self.value.get())
    }

    /// Calls `write` with a pointer to the value, which it may read and write through while it
    /// runs.
    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(mallory_model)]
        self.note_access(SharedOpKind::CellWrite, AccessKind::CellWrite);
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

    /// Adds an access to the log of the run. It is no scheduling point: if its order with another
    /// access makes a difference, that is a data race.
    #[cfg(mallory_model)]
    fn note_access(&self, what: SharedOpKind, kind: AccessKind) {
        if rt::engine() == CurrentEngine::None {
            return;
        }
        rt::record_operation(SharedOp { what, object: self.id.number() });
        rt::log_access(self.id.object(), kind);
        rt::log_block_access(self.value.get() as usize, AccessKind::BlockUse);
    }

    /// Loom's cell, if this one was made in the present run of loom's.
    #[cfg(feature = "loom")]
    fn loom_cell(&self) -> Option<&loom::cell::UnsafeCell<()>> {
        let (made_in, loom) = self.loom.as_ref()?;
        (*made_in == rt::run() && rt::engine() == CurrentEngine::Loom).then_some(loom)
    }
}
