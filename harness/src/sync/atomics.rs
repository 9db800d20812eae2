//! Atomics as std's. Under shuttle each operation is a scheduling point and then std's: one OS
//! thread runs the model, so all of them are sequentially consistent. Under loom they are loom's.

use std::fmt;
use std::sync::atomic::Ordering;

use crate::rt;
use crate::rt::{CurrentEngine, ObjectId, SharedOpKind};

/// An atomic of the model's, where there is one.
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

    /// Loom has to see it being made.
    #[cfg(feature = "loom")]
    fn new(make: impl FnOnce() -> L) -> Self {
        let loom = (rt::engine() == CurrentEngine::Loom).then(|| (rt::run(), make()));
        ModelAtomic { id: ObjectId::new(), loom }
    }

    /// Does this to loom's atomic where it is in this run, and to std's elsewhere.
    #[inline]
    fn at<R>(&self, what: SharedOpKind, weak: impl FnOnce(&L) -> R, std: impl FnOnce() -> R) -> R {
        rt::point_at(&self.id, what);
        #[cfg(feature = "loom")]
        if let Some((made_in, loom)) = &self.loom
            && *made_in == rt::run()
            && rt::engine() == CurrentEngine::Loom
        {
            return rt::away(|| weak(loom));
        }
        let _ = weak;
        std()
    }
}

/// What all atomics have, of the type `$plain`.
macro_rules! atomic {
    ($name:ident $(<$t:ident>)?, $plain:ty, $loom:ty) => {
        #[doc = concat!("As [`std::sync::atomic::", stringify!($name), "`].")]
        pub struct $name $(<$t>)? {
            std: std::sync::atomic::$name $(<$t>)?,
            shared: ModelAtomic<$loom>,
        }

        impl $(<$t>)? $name $(<$t>)? {
            /// One with this value.
            #[cfg(not(feature = "loom"))]
            pub const fn new(value: $plain) -> Self {
                $name { std: std::sync::atomic::$name::new(value), shared: ModelAtomic::new() }
            }

            /// One with this value. Not `const`, as without the feature `loom`: loom has to see it
            /// being made.
            #[cfg(feature = "loom")]
            pub fn new(value: $plain) -> Self {
                let shared = ModelAtomic::new(|| <$loom>::new(value));
                $name { std: std::sync::atomic::$name::new(value), shared }
            }

            /// As std's.
            pub fn load(&self, order: Ordering) -> $plain {
                self.shared.at(SharedOpKind::Load, |loom| loom.load(order), || self.std.load(order))
            }

            /// As std's.
            pub fn store(&self, value: $plain, order: Ordering) {
                let std = || self.std.store(value, order);
                self.shared.at(SharedOpKind::Store, |loom| loom.store(value, order), std);
            }

            /// As std's.
            pub fn swap(&self, value: $plain, order: Ordering) -> $plain {
                let std = || self.std.swap(value, order);
                self.shared.at(SharedOpKind::Rmw, |loom| loom.swap(value, order), std)
            }

            /// As std's.
            ///
            /// # Errors
            /// With the value found, where that is not `current`.
            pub fn compare_exchange(
                &self,
                current: $plain,
                new: $plain,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$plain, $plain> {
                self.shared.at(
                    SharedOpKind::Rmw,
                    |loom| loom.compare_exchange(current, new, success, failure),
                    || self.std.compare_exchange(current, new, success, failure),
                )
            }

            /// As std's; in a model it doesn't fail for nothing.
            ///
            /// # Errors
            /// With the value found, where that is not `current`.
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
            /// With the value found, where `change` wants none.
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

            /// The value, which nobody else can have.
            #[cfg(not(feature = "loom"))]
            pub fn get_mut(&mut self) -> &mut $plain {
                self.std.get_mut()
            }

            /// The value.
            pub fn into_inner(self) -> $plain {
                #[cfg(feature = "loom")]
                if let Some((made_in, loom)) = self.shared.loom
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

/// Changes that read and write at once.
macro_rules! changes {
    ($name:ident, $plain:ty, $($change:ident)*) => {
        impl $name {
            $(
                /// As std's.
                pub fn $change(&self, value: $plain, order: Ordering) -> $plain {
                    let std = || self.std.$change(value, order);
                    self.shared.at(SharedOpKind::Rmw, |loom| loom.$change(value, order), std)
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

/// Loom's type of this name; without loom nobody looks at it.
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
    #[cfg(feature = "loom")]
    if rt::engine() == CurrentEngine::Loom {
        return rt::away(|| loom::sync::atomic::fence(order));
    }
    std::sync::atomic::fence(order);
}
