//! The twins of std's atomics. Under shuttle each operation is a scheduling point, followed by
//! std's operation: one OS thread runs the whole model, so all of them are sequentially consistent.
//! Under loom they are loom's, with weak orderings.

use std::fmt;
use std::sync::atomic::Ordering;

use crate::rt::refused::LoomsAtomicMethods;
use crate::rt::{self, AccessKind, CurrentEngine, Object, Orders, SharedOpKind};
use crate::sync::model_atomic::{ModelAtomic, Values};

/// Defines an atomic of the type `$plain`, with the methods that all atomics have.
macro_rules! atomic {
    ($name:ident $(<$t:ident>)?, $plain:ty, $loom:ty) => {
        #[doc = concat!("As [`std::sync::atomic::", stringify!($name), "`].")]
        pub struct $name $(<$t>)? {
            std: std::sync::atomic::$name $(<$t>)?,
            model: ModelAtomic<$loom>,
        }

        impl $(<$t>)? $name $(<$t>)? {
            /// An atomic with this value.
            #[cfg(not(feature = "loom"))]
            pub const fn new(value: $plain) -> Self {
                $name { std: std::sync::atomic::$name::new(value), model: ModelAtomic::new() }
            }

            /// An atomic with this value. Without the feature `loom` this is a `const fn`; with it
            /// loom has to see how the atomic is made.
            #[cfg(feature = "loom")]
            pub fn new(value: $plain) -> Self {
                let model = ModelAtomic::new(|| <$loom>::new(value));
                $name { std: std::sync::atomic::$name::new(value), model }
            }

            /// What an operation that saw this leaves.
            fn values(&self, seen: Option<$plain>) -> Values {
                let latest = self.std.load(Ordering::Relaxed) as u64;
                Values { seen: seen.map(|value| value as u64), latest }
            }

            /// As std's.
            pub fn load(&self, order: Ordering) -> $plain {
                let on_std = || self.std.load(order);
                self.model.perform(SharedOpKind::Load, order, |loom| {
                    let seen = loom.load(order);
                    (seen, self.values(Some(seen)))
                }, on_std)
            }

            /// As std's.
            pub fn store(&self, value: $plain, order: Ordering) {
                let std = || self.std.store(value, order);
                self.model.perform(SharedOpKind::Store, order, |loom| {
                    loom.store(value, order);
                    self.std.store(value, Ordering::Relaxed);
                    ((), self.values(None))
                }, std);
            }

            /// As std's.
            pub fn swap(&self, value: $plain, order: Ordering) -> $plain {
                let std = || self.std.swap(value, order);
                self.model.perform(SharedOpKind::Rmw, order, |loom| {
                    let seen = loom.swap(value, order);
                    self.std.store(value, Ordering::Relaxed);
                    (seen, self.values(Some(seen)))
                }, std)
            }

            /// As std's.
            ///
            /// # Errors
            /// With the present value, if it is not `current`.
            pub fn compare_exchange(
                &self,
                current: $plain,
                new: $plain,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$plain, $plain> {
                self.model.perform_as(
                    SharedOpKind::Rmw,
                    |result: &Result<$plain, $plain>| match result {
                        Ok(_) => (SharedOpKind::Rmw, success),
                        // A failed attempt only reads.
                        Err(_) => (SharedOpKind::Load, failure),
                    },
                    |loom| {
                        let result = loom.compare_exchange(current, new, success, failure);
                        if result.is_ok() {
                            self.std.store(new, Ordering::Relaxed);
                        }
                        let (Ok(seen) | Err(seen)) = result;
                        (result, self.values(Some(seen)))
                    },
                    || self.std.compare_exchange(current, new, success, failure),
                )
            }

            /// As std's. In a model it never fails spuriously.
            ///
            /// # Errors
            /// With the present value, if it is not `current`.
            pub fn compare_exchange_weak(
                &self,
                current: $plain,
                new: $plain,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$plain, $plain> {
                if rt::engine() == CurrentEngine::None {
                    return self.std.compare_exchange_weak(current, new, success, failure);
                }
                self.compare_exchange(current, new, success, failure)
            }

            /// As std's.
            ///
            /// # Errors
            /// With the present value, if `change` returns `None` for it.
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut change: impl FnMut($plain) -> Option<$plain>,
            ) -> Result<$plain, $plain> {
                let mut found = self.load(fetch);
                while let Some(next) = change(found) {
                    match self.compare_exchange_weak(found, next, set, fetch) {
                        Ok(found) => return Ok(found),
                        Err(other) => found = other,
                    }
                }
                Err(found)
            }

            /// Changes the value to the one that `change` returns for it, as std's. Returns the former
            /// value.
            ///
            /// Std has this since Rust 1.95.
            pub fn update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut change: impl FnMut($plain) -> $plain,
            ) -> $plain {
                let changed = self.fetch_update(set, fetch, |value| Some(change(value)));
                changed.unwrap_or_else(|value| value)
            }

            /// As [`fetch_update`](Self::fetch_update). Std has this since Rust 1.95.
            ///
            /// # Errors
            /// With the present value, if `change` returns `None` for it.
            pub fn try_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                change: impl FnMut($plain) -> Option<$plain>,
            ) -> Result<$plain, $plain> {
                self.fetch_update(set, fetch, change)
            }

            /// As std's, where it is deprecated as well.
            #[deprecated(note = "use `compare_exchange`, as std says")]
            pub fn compare_and_swap(&self, current: $plain, new: $plain, order: Ordering) -> $plain {
                let failure = match order {
                    Ordering::Release => Ordering::Relaxed,
                    Ordering::AcqRel => Ordering::Acquire,
                    other => other,
                };
                let exchanged = self.compare_exchange(current, new, order, failure);
                exchanged.unwrap_or_else(|found| found)
            }

            /// Of loom, and not here: std has no such method.
            #[doc(hidden)]
            pub fn unsync_load<'a>(&'a self) -> $plain
            where
                Self: LoomsAtomicMethods<'a>,
            {
                self.load(Ordering::Relaxed)
            }

            /// Of loom, and not here: std has no such method.
            #[doc(hidden)]
            pub fn with_mut<'a, R>(&'a mut self, change: impl FnOnce(&mut $plain) -> R) -> R
            where
                Self: LoomsAtomicMethods<'a>,
            {
                change(&mut self.load(Ordering::Relaxed))
            }

            /// Borrows the value. With the feature `loom` there is no such method.
            #[cfg(not(feature = "loom"))]
            pub fn get_mut(&mut self) -> &mut $plain {
                self.std.get_mut()
            }

            /// Returns the value.
            pub fn into_inner(self) -> $plain {
                #[cfg(feature = "loom")]
                if let Some((made_in, loom)) = self.model.loom
                    && made_in == rt::run()
                    && rt::engine() == CurrentEngine::Loom
                {
                    return loom.into_inner();
                }
                self.std.into_inner()
            }
        }

        impl $(<$t>)? From<$plain> for $name $(<$t>)? {
            fn from(value: $plain) -> Self {
                $name::new(value)
            }
        }

        impl $(<$t>)? fmt::Debug for $name $(<$t>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.load(Ordering::Relaxed).fmt(f)
            }
        }
    };
}

impl<T> fmt::Pointer for AtomicPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.load(Ordering::Relaxed), f)
    }
}

/// Changes of pointers, which std has since Rust 1.91.
impl<T> AtomicPtr<T> {
    /// Performs a change as one operation.
    fn change(&self, order: Ordering, change: impl Fn(*mut T) -> *mut T) -> *mut T {
        let update = |found| Some(change(found));
        let result = self.model.perform(
            SharedOpKind::Rmw,
            order,
            |loom| {
                let result = loom.fetch_update(order, Ordering::Relaxed, update);
                let (Ok(seen) | Err(seen)) = result;
                self.std.store(change(seen), Ordering::Relaxed);
                (result, self.values(Some(seen)))
            },
            || self.std.fetch_update(order, Ordering::Relaxed, update),
        );
        result.unwrap_or_else(|found| found)
    }

    /// As std's.
    pub fn fetch_ptr_add(&self, count: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.wrapping_add(count))
    }

    /// As std's.
    pub fn fetch_ptr_sub(&self, count: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.wrapping_sub(count))
    }

    /// As std's.
    pub fn fetch_byte_add(&self, bytes: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.wrapping_byte_add(bytes))
    }

    /// As std's.
    pub fn fetch_byte_sub(&self, bytes: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.wrapping_byte_sub(bytes))
    }

    /// As std's.
    pub fn fetch_or(&self, bits: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.map_addr(|address| address | bits))
    }

    /// As std's.
    pub fn fetch_and(&self, bits: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.map_addr(|address| address & bits))
    }

    /// As std's.
    pub fn fetch_xor(&self, bits: usize, order: Ordering) -> *mut T {
        self.change(order, |pointer| pointer.map_addr(|address| address ^ bits))
    }
}

/// Implements read-modify-write operations that take one value.
macro_rules! changes {
    ($name:ident, $plain:ty, $($change:ident)*) => {
        impl $name {
            $(
                /// As std's.
                pub fn $change(&self, value: $plain, order: Ordering) -> $plain {
                    let std = || self.std.$change(value, order);
                    self.model.perform(SharedOpKind::Rmw, order, |loom| {
                        let seen = loom.$change(value, order);
                        // The other one may hold a store that this operation did not see.
                        self.std.store(seen, Ordering::Relaxed);
                        self.std.$change(value, Ordering::Relaxed);
                        (seen, self.values(Some(seen)))
                    }, std)
                }
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name::new(<$plain>::default())
            }
        }
    };
}

/// Defines atomics with loom's types of the same names. Without loom the last argument is a
/// placeholder.
macro_rules! atomics {
    ($($name:ident, $plain:ty;)*) => {
        $(
            #[cfg(feature = "loom")]
            atomic!($name, $plain, loom::sync::atomic::$name);
            #[cfg(not(feature = "loom"))]
            atomic!($name, $plain, std::sync::atomic::$name);
        )*
    };
}

atomics! {
    AtomicBool, bool;
    AtomicI8, i8;
    AtomicI16, i16;
    AtomicI32, i32;
    AtomicI64, i64;
    AtomicIsize, isize;
    AtomicU8, u8;
    AtomicU16, u16;
    AtomicU32, u32;
    AtomicU64, u64;
    AtomicUsize, usize;
}

#[cfg(feature = "loom")]
atomic!(AtomicPtr<T>, *mut T, loom::sync::atomic::AtomicPtr<T>);
#[cfg(not(feature = "loom"))]
atomic!(AtomicPtr<T>, *mut T, std::sync::atomic::AtomicPtr<T>);

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        AtomicPtr::new(std::ptr::null_mut())
    }
}

changes!(AtomicBool, bool, fetch_and fetch_nand fetch_or fetch_xor);

impl AtomicBool {
    /// As std's.
    pub fn fetch_not(&self, order: Ordering) -> bool {
        self.fetch_xor(true, order)
    }
}

macro_rules! integers {
    ($($name:ident, $plain:ty;)*) => {
        $(changes!(
            $name, $plain,
            fetch_add fetch_sub fetch_and fetch_nand fetch_or fetch_xor fetch_max fetch_min
        );)*
    };
}

integers! {
    AtomicI8, i8;
    AtomicI16, i16;
    AtomicI32, i32;
    AtomicI64, i64;
    AtomicIsize, isize;
    AtomicU8, u8;
    AtomicU16, u16;
    AtomicU32, u32;
    AtomicU64, u64;
    AtomicUsize, usize;
}

/// As [`std::sync::atomic::fence`].
pub fn fence(order: Ordering) {
    if rt::engine() != CurrentEngine::None {
        let orders = Orders {
            releases: order != Ordering::Acquire,
            acquires: order != Ordering::Release,
            continues: false,
        };
        rt::log_ordering_access(Object::Atomics, AccessKind::Fence, orders);
    }
    #[cfg(feature = "loom")]
    if rt::engine() == CurrentEngine::Loom {
        return rt::across_switch(|| loom::sync::atomic::fence(order));
    }
    std::sync::atomic::fence(order);
}
