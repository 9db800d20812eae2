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
//! all other code says `crate::sync` and `crate::thread`:
//!
//! ```
//! #[cfg(test)]
//! pub(crate) use mallory::{sync, thread};
//! #[cfg(not(test))]
//! pub(crate) use std::{sync, thread};
//! # fn main() { crate::thread::spawn(|| crate::sync::Mutex::new(1)).join().expect("no panic"); }
//! ```
//!
//! To keep all other tests on std's types, choose by a feature of your own as well as by `test`.
//! Tests in `tests/` see a library that was built without `test`, and so with std's types: write
//! explorations as unit tests, beside the code.
//!
//! # What is here
//!
//! | here | under shuttle | under loom |
//! |---|---|---|
//! | [`Mutex`], [`RwLock`], [`Condvar`], [`Barrier`] | ours | ours, over loom's lock |
//! | [`atomic`], `fence` | sequentially consistent | loom's, with weak orderings |
//! | [`Once`], [`OnceLock`], [`LazyLock`] | ours | ours, over loom's lock |
//! | [`mpsc`]: `channel`, `sync_channel` | ours, of a mutex and condition variables | the same |
//! | `thread`: `spawn`, `Builder`, `scope`, `current` | ours | loom's threads |
//! | `thread`: `park`, `yield_now`, `sleep` | ours | ours, over loom's |
//! | [`thread_local!`](crate::thread::thread_local) | one value per logical thread | the same |
//! | [`Arc`], [`Weak`] | std's | std's |
//! | [`cell::UnsafeCell`] | std's | loom's, which detects concurrent access |
//!
//! Anything else of std's is not here: named through `crate::sync`, it does not compile. What is
//! named otherwise compiles, but the model checker does not see it: `std::sync` spelled out, crates
//! with locks of their own (parking_lot, crossbeam), async runtimes. A thread that waits in one of
//! those stops the whole model.
//!
//! # Differences from std
//! - [`Arc`] and [`Weak`] are std's own. Their counts are correct by construction, so the order in
//!   which they change need not be explored. But reading a count, or asking for the only reference
//!   ([`Arc::get_mut`], [`Arc::try_unwrap`]), is no scheduling point.
//! - Locks are poisoned as std's are.
//! - In a model time does not pass, so a wait with a timeout never times out.
//! - While a thread unwinds from a panic, no other thread runs unless the first waits for a lock:
//!   std counts panics per OS thread.
//! - Under shuttle every atomic is sequentially consistent. Only loom shows what weaker orderings
//!   allow.
//!
//! # Limits of loom
//! - Loom has to see how an atomic is made, so with the feature `loom` the atomics' `new` is no
//!   `const fn`, and a `static` atomic does not compile. Put it into a structure that the subject
//!   makes, or behind a [`OnceLock`]. Locks may be statics.
//! - An atomic that was made outside of the model is std's in the model: loom does not see it.
//! - At most five threads, the subject's own included, and at most seven past values per atomic.
//! - Loom switches threads where a lock is taken, not where it is released. So another thread's
//!   `try_lock` finds the lock held only if the holder does something else that loom sees while it
//!   holds the lock. Loom's lock can't count two read guards of one [`RwLock`] in one thread.
//! - A thread that panics and then touches anything shared ends its run, as *panicked*: loom's
//!   locks don't survive that. A deadlock, or anything else that loom reports by a panic, ends the
//!   search, which the report then calls incomplete.
//! - Only what is in a [`cell::UnsafeCell`] is checked for concurrent access; a plain reference is
//!   not seen.
//!
//! # What loom's partial-order reduction can miss
//! Loom leaves out orders that make no difference to *its* objects. What depends on anything else
//! may differ between the orders that it leaves out: the ledger's order of events between threads
//! that don't synchronise, a budget or a peak over all threads, a plan that makes one thread's
//! requests fail after another thread's. So under loom requests are no scheduling points, faults
//! apply per thread (*from* means that thread's requests from there on), and peaks are not
//! compared. Shuttle's bounded search leaves nothing out.

#[cfg(mallory_model)]
pub(crate) mod atomics;
#[cfg(mallory_model)]
pub(crate) mod barrier;
pub mod cell;
#[cfg(mallory_model)]
pub(crate) mod condvar;
#[cfg(feature = "loom")]
pub(crate) mod lazy;
#[cfg(mallory_model)]
pub(crate) mod lock_request;
#[cfg(feature = "loom")]
pub(crate) mod loom_lock;
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
    OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, TryLockResult,
    WaitTimeoutResult, Weak, mpsc,
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
pub use crate::sync::once::{LazyLock, Once, OnceLock};
#[cfg(mallory_model)]
pub use crate::sync::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Atomics, as in [`std::sync::atomic`].
pub mod atomic {
    #[cfg(mallory_model)]
    pub use std::sync::atomic::Ordering;
    #[cfg(not(mallory_model))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
        AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    #[cfg(mallory_model)]
    pub use crate::sync::atomics::{
        AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
        AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
}
