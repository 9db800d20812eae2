//! What threads share: `std::sync`, or its twin that a model checker drives.
//!
//! Without the features `shuttle` and `loom` everything here *is* std's: re-exports, at no cost.
//! With one or both of them these are types of our own, with std's names and signatures. In a model
//! ([`Explore`](crate::Explore)) their operations are the scheduling points at which the model
//! checker may switch threads. Everywhere else they do what std's do, so ordinary tests and sweeps
//! work in such builds, too.
//!
//! # Production code
//! Production code needs Mallory as a dev-dependency only. Four lines choose between the two, and
//! all other code says `crate::sync`, `crate::thread` and `crate::time`:
//!
//! ```
//! #[cfg(test)]
//! pub(crate) use mallory::{sync, thread, time};
//! #[cfg(not(test))]
//! pub(crate) use std::{sync, thread, time};
//! # fn main() { crate::thread::spawn(|| crate::sync::Mutex::new(1)).join().expect("no panic"); }
//! ```
//!
//! To keep all other tests on std's types, choose by a feature of your own as well as by `test`.
//! Tests in `tests/` see a library that was built without `test`, and so with std's types: write
//! explorations as unit tests, beside the code.
//!
//! # What is here
//! `docs/threads.md` has a table of all primitives, also of those of shuttle and loom that are not
//! here. Anything else of std's is not here: named through `crate::sync`, it does not compile. What
//! is named otherwise compiles, but the model checker does not see it: `std::sync` spelled out, and
//! crates with locks of their own (parking_lot, crossbeam). A thread that waits in one of those
//! stops the whole model.
//!
//! # Differences from std
//! - [`Arc`] and [`Weak`] are std's own. Their counts are correct by construction, so the order in
//!   which they change need not be explored. But reading a count, or asking for the only reference
//!   ([`Arc::get_mut`], [`Arc::try_unwrap`]), is no scheduling point.
//! - Locks are poisoned as std's are.
//! - A thread that reads an [`RwLock`] which it reads already waits behind a writer that waits, and so for
//!   ever. Std leaves open whether it does. Under loom it doesn't.
//! - Time is simulated: see [`mallory::time`](crate::time).
//! - A wait for a notification may end without one, as std's may, and a timed wait may end while
//!   others could continue: by default once in a run
//!   ([`Explore::wakeups`](crate::Explore::wakeups)). Under loom neither happens.
//! - Statics that are made at their first use ([`OnceLock`], [`Once`], [`LazyLock`], and those that
//!   `lazy_static!` declares) are made anew in each run. So the closure of a [`LazyLock`] has to be
//!   `Fn`.
//! - Channels and [`Barrier`] are primitives under shuttle: one scheduling point per operation, and
//!   one where a thread then waits. Under loom they are made of a mutex and condition variables.
//! - While a thread unwinds from a panic, no other thread runs unless the first waits for a lock:
//!   std counts panics per OS thread.
//! - Under shuttle every atomic is sequentially consistent. Only loom shows what weaker orderings
//!   allow. For data races the orderings count as they are written, under both.
//! - Only what is in a [`cell::UnsafeCell`], or in a block of a heap that
//!   [tracks races](crate::Heap::track_races), is watched for data races. A plain reference is not
//!   seen.
//!
//! # Limits of loom
//! - Loom has to see how an atomic is made, so with the feature `loom` the atomics' `new` is no
//!   `const fn`, and a `static` atomic does not compile. Put it into a structure that the subject
//!   makes, or behind a [`OnceLock`]. Locks may be statics.
//! - An atomic that was made outside of the model is std's in the model: loom does not see it.
//! - At most five threads, the subject's own included. `docs/threads.md` has the other limits.
//!
//! # What partial-order reduction can miss
//! Schedules are left out that differ only in the order of operations that commute. Under shuttle,
//! requests, frees and faults count, so this misses only what depends on something that Mallory
//! does not see: [`Explore::every_order`](crate::Explore::every_order) is for such code. Loom knows
//! *its* objects alone. So under loom requests are no scheduling points, and faults apply per
//! thread (*from* means that thread's requests from there on).

#[cfg(mallory_model)]
pub(crate) mod atomics;
#[cfg(mallory_model)]
pub(crate) mod barrier;
pub mod cell;
#[cfg(feature = "shuttle")]
pub(crate) mod channel_points;
#[cfg(mallory_model)]
pub(crate) mod condvar;
#[cfg(mallory_model)]
pub(crate) mod lazy;
#[cfg(mallory_model)]
pub(crate) mod lock_request;
#[cfg(feature = "loom")]
pub(crate) mod loom_lock;
#[cfg(mallory_model)]
pub(crate) mod model_atomic;
#[cfg(mallory_model)]
pub mod mpsc;
#[cfg(mallory_model)]
pub(crate) mod mutex;
#[cfg(mallory_model)]
pub(crate) mod once;
#[cfg(mallory_model)]
pub(crate) mod raw;
#[cfg(mallory_model)]
pub(crate) mod rwlock;
#[cfg(mallory_model)]
pub(crate) mod twin;

#[cfg(not(mallory_model))]
pub use std::sync::{
    Arc, Barrier, BarrierWaitResult, Condvar, LazyLock, LockResult, Mutex, MutexGuard, Once,
    OnceLock, OnceState, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    TryLockResult, WaitTimeoutResult, Weak, mpsc,
};

#[cfg(mallory_model)]
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak};

#[cfg(mallory_model)]
pub use crate::sync::barrier::{Barrier, BarrierWaitResult};
#[cfg(mallory_model)]
pub use crate::sync::condvar::{Condvar, WaitTimeoutResult};
#[cfg(mallory_model)]
pub use crate::sync::mutex::{Mutex, MutexGuard};
#[cfg(mallory_model)]
pub use crate::sync::once::{LazyLock, Once, OnceLock, OnceState};
#[cfg(mallory_model)]
pub use crate::sync::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use crate::__lazy_static as lazy_static;
#[doc(hidden)]
pub use crate::rt::refused::Notify;

/// Declares statics that are made at their first use, as the macro of the crate `lazy_static` does.
/// In a model they are made anew in each run.
#[doc(hidden)]
#[macro_export]
macro_rules! __lazy_static {
    ($($(#[$attr:meta])* $vis:vis static ref $name:ident: $t:ty = $init:expr;)*) => {
        $(
            $(#[$attr])*
            $vis static $name: $crate::sync::LazyLock<$t> = $crate::sync::LazyLock::new(|| $init);
        )*
    };
}

/// Atomics, as in [`std::sync::atomic`].
pub mod atomic {
    #[cfg(not(mallory_model))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
        AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };
    #[cfg(mallory_model)]
    pub use std::sync::atomic::{Ordering, compiler_fence};

    #[cfg(mallory_model)]
    pub use crate::sync::atomics::{
        AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
        AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
}
