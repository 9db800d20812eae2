//! The twins of std's atomics. Under shuttle each operation is a scheduling point, followed by
//! std's operation: one OS thread runs the whole model, so all of them are sequentially consistent.
//! Under loom they are loom's, with weak orderings.

use std::fmt;
use std::sync::atomic::Ordering;

use crate::rt;
use crate::rt::{AccessKind, CurrentEngine, Object, ObjectId, Orders, SharedOpKind};

/// What an operation on loom's atomic saw, and what the atomic holds after it.
#[cfg_attr(not(feature = "loom"), allow(dead_code, reason = "no operation is loom's"))]
struct Values {
    seen: Option<u64>,
    latest: u64,
}

/// The part of an atomic that a model checker sees: its number, and loom's atomic, if it was made
/// in a run of loom's.
struct ModelAtomic<L> {
    id: ObjectId,
    #[cfg(feature = "loom")]
    loom: Option<(u64, L)>,
    #[cfg(not(feature = "loom"))]
    _none: std::marker::PhantomData<fn() -> L>,
}

impl<L> ModelAtomic<L> {
    #[cfg(not(feature = "loom"))]
    const fn new() -> Self {
        ModelAtomic { id: ObjectId::new(), _none: std::marker::PhantomData }
    }

    /// Loom has to see how an atomic is made.
    #[cfg(feature = "loom")]
    fn new(make: impl FnOnce() -> L) -> Self {
        let loom = (rt::engine() == CurrentEngine::Loom).then(|| (rt::run(), make()));
        ModelAtomic { id: ObjectId::new(), loom }
    }

    /// Adds the access to the log of the run, and then what it saw.
    #[inline]
    fn log(&self, what: SharedOpKind, order: Ordering, add_value: impl FnOnce()) {
        if rt::engine() == CurrentEngine::None {
            return;
        }
        let is_read = what == SharedOpKind::Load;
        let kind = if is_read { AccessKind::Read } else { AccessKind::Write };
        let is_write_only = what == SharedOpKind::Store;
        let orders = Orders {
            releases: !is_read
                && matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst),
            acquires: !is_write_only
                && matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst),
            continues: what == SharedOpKind::Rmw,
        };
        rt::log_ordering_access(self.id.object(), kind, orders);
        add_value();
        rt::log_block_access(std::ptr::from_ref(self) as usize, AccessKind::BlockUse);
    }

    /// Performs an operation, after a scheduling point: on loom's atomic if that was made in the
    /// present run, otherwise on std's. What is done to loom's is done to std's as well, which so holds
    /// the value that was stored last: loom doesn't say which store a load sees.
    #[inline]
    fn perform<R>(
        &self,
        what: SharedOpKind,
        order: Ordering,
        on_loom: impl FnOnce(&L) -> (R, Values),
        on_std: impl FnOnce() -> R,
    ) -> R {
        self.perform_as(what, |_| (what, order), on_loom, on_std)
    }

    /// As [`perform`](Self::perform); `logged` says by the result what the operation was.
    #[inline]
    fn perform_as<R>(
        &self,
        what: SharedOpKind,
        logged: impl FnOnce(&R) -> (SharedOpKind, Ordering),
        on_loom: impl FnOnce(&L) -> (R, Values),
        on_std: impl FnOnce() -> R,
    ) -> R {
        rt::scheduling_point_on(&self.id, what);
        #[cfg(feature = "loom")]
        if let Some((made_in, loom)) = &self.loom
            && *made_in == rt::run()
            && rt::engine() == CurrentEngine::Loom
        {
            // Loom may let other threads run before it performs the operation.
            let (result, Values { seen, latest }) = rt::across_switch(|| on_loom(loom));
            let (what, order) = logged(&result);
            self.log(what, order, || rt::log_value(seen, latest));
            return result;
        }
        let _ = on_loom;
        let result = on_std();
        let (what, order) = logged(&result);
        self.log(what, order, || {});
        result
    }
}

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
