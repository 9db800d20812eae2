//! What the twins of std's locks have in common. Each has std's own lock for the data and the
//! poisoning, and a [`RawLock`](crate::sync::raw::RawLock) for the model checker.

use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// Wraps std's guard in ours. A poisoned lock stays an error.
pub(crate) fn guarded<D, G>(std: LockResult<D>, guard: impl FnOnce(D) -> G) -> LockResult<G> {
    match std {
        Ok(data) => Ok(guard(data)),
        Err(poisoned) => Err(PoisonError::new(guard(poisoned.into_inner()))),
    }
}

/// As [`guarded`], for the result of an attempt to lock.
pub(crate) fn guarded_at_once<D, G>(
    std: TryLockResult<D>,
    guard: impl FnOnce(D) -> G,
) -> TryLockResult<G> {
    match std {
        Ok(data) => Ok(guard(data)),
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        Err(TryLockError::Poisoned(poisoned)) => {
            Err(TryLockError::Poisoned(PoisonError::new(guard(poisoned.into_inner()))))
        }
    }
}

/// Implements what both locks have in common, over the fields `raw` and `data`.
macro_rules! lock_twin {
    ($Lock:ident) => {
        impl<T> $Lock<T> {
            /// An unlocked lock around this value.
            pub const fn new(value: T) -> Self {
                $Lock { raw: RawLock::new(), data: std::sync::$Lock::new(value) }
            }

            /// Returns the value.
            ///
            /// # Errors
            /// If it is poisoned.
            pub fn into_inner(self) -> LockResult<T> {
                self.data.into_inner()
            }
        }

        impl<T: ?Sized> $Lock<T> {
            /// Whether a thread panicked while it held the lock exclusively.
            pub fn is_poisoned(&self) -> bool {
                self.data.is_poisoned()
            }

            /// Clears the poisoning.
            pub fn clear_poison(&self) {
                self.data.clear_poison();
            }

            /// Borrows the value. Takes no lock: a mutable borrow excludes all other threads.
            ///
            /// # Errors
            /// If it is poisoned.
            pub fn get_mut(&mut self) -> LockResult<&mut T> {
                self.data.get_mut()
            }
        }

        impl<T> From<T> for $Lock<T> {
            fn from(value: T) -> Self {
                $Lock::new(value)
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $Lock<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.data.fmt(f)
            }
        }
    };
}
pub(crate) use lock_twin;

/// Implements dereferencing and printing of a guard, by its field `data`. With `mut`, the guard can
/// be dereferenced mutably as well.
macro_rules! guard_twin {
    ($Guard:ident mut) => {
        guard_twin!($Guard);

        impl<T: ?Sized> DerefMut for $Guard<'_, T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.data
            }
        }
    };
    ($Guard:ident) => {
        impl<T: ?Sized> Deref for $Guard<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.data
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $Guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.data.fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $Guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.data.fmt(f)
            }
        }
    };
}
pub(crate) use guard_twin;
