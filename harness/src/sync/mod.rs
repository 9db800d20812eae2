//! What threads share: `std::sync`, or its twin that a model checker drives.
//!
//! Without the features `shuttle` and `loom` everything here *is* std's: re-exports, at no cost.
//! With one or both of them these are types of our own, with std's names and signatures. In a model
//! ([`Explore`](crate::Explore)) their operations are what the model checker lets threads change
//! places at; everywhere else they do what std's do, so ordinary tests and sweeps work in such
//! builds, too.
//!
//! # Production code
//! needs no dependency on Mallory, but for a dev-dependency. Four lines choose, and the rest says
//! `crate::sync`:
//!
//! ```
//! #[cfg(test)]
//! pub(crate) use mallory::{sync, thread};
//! #[cfg(not(test))]
//! pub(crate) use std::{sync, thread};
//! # fn main() { crate::thread::spawn(|| crate::sync::Mutex::new(1)).join().expect("no panic"); }
//! ```
//!
//! A feature of one's own beside `test` keeps all other tests on std's. Tests in `tests/` see a library
//! that was built without `test`, and with it std's: explorations stand beside the code.
//!
//! # What there is
//!
//! | here | under shuttle | under loom |
//! |---|---|---|
//! | [`Mutex`], [`RwLock`], [`Condvar`], [`Barrier`] | ours | loom's lock behind ours |
//! | [`atomic`], `fence` | in one order for all | loom's, weak |
//! | [`Once`], [`OnceLock`], [`LazyLock`] | ours | loom's lock behind ours |
//! | [`mpsc`]: `channel`, `sync_channel` | of a mutex and condition variables | the same |
//! | `thread`: `spawn`, `Builder`, `scope`, `current`, `park`, `yield_now`, `sleep` | ours | loom's threads |
//! | [`thread_local!`](crate::thread::thread_local) | the logical thread's | the same |
//! | [`Arc`], [`Weak`] | std's | std's |
//! | [`cell::UnsafeCell`] | std's | loom's, which sees two at once |
//!
//! Whatever else std has is not here: by the names of `crate::sync` it does not compile. What is
//! called by another name does, and is not seen: `std::sync` spelled out, crates with locks of their
//! own (parking_lot, crossbeam), async runtimes. A thread that waits there stops the whole model.
//!
//! # What is like std's, and what is not
//! - [`Arc`] and [`Weak`] are std's own. Their counts are right by construction, so the order in
//!   which they change is nothing to explore; but who asks for a count, or for the only reference
//!   ([`Arc::get_mut`], [`Arc::try_unwrap`]), asks without a scheduling point.
//! - Locks are poisoned as std's are.
//! - A wait with a timeout waits without one in a model: time does not pass there.
//! - A thread that unwinds from a panic is not left for another one, but for a lock that it waits
//!   for: std counts panics by OS thread.
//! - Under shuttle every atomic is sequentially consistent. Only loom shows what weaker orderings
//!   allow.
//!
//! # Loom's gaps
//! - Loom has to see an atomic being made, so with the feature `loom` the atomics' `new` is no
//!   `const fn`: a `static` atomic does not compile. Put it into a structure that the subject makes,
//!   or behind a [`OnceLock`]. Locks may stand in statics.
//! - An atomic that was made outside of the model is std's in it: loom does not see it.
//! - At most five threads, the subject's own included, and at most seven past values of an atomic.
//! - Loom changes threads where a lock is taken and not where it is given back: that another thread's
//!   `try_lock` finds it held is seen only where the holder does something else meanwhile. A thread
//!   that reads through two guards of one [`RwLock`] at once is more than loom's lock can count.
//! - A thread that panics and then touches anything shared ends its run, as *panicked*: loom's locks
//!   don't survive it. A deadlock, or whatever else loom says by a panic, ends its search, which the
//!   report then calls incomplete.
//! - Only what is in [`cell::UnsafeCell`] is held to "no two threads at once"; a plain reference is
//!   not seen.
//!
//! # What loom's partial-order reduction can miss
//! Loom leaves out orders that make no difference to *its* objects. What depends on anything else
//! may differ between the orders that it leaves out: the ledger's order of events between threads
//! that don't synchronise, a budget or a peak over all threads, a plan that lets one thread's
//! requests fail from another thread's on. So under loom requests are no scheduling points, faults
//! are each thread's own (*from* means that thread's requests from there on), and peaks are not
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
pub use crate::sync::barrier::{Barrier, BarrierWaitResult};
#[cfg(mallory_model)]
pub use crate::sync::condvar::{Condvar, WaitTimeoutResult};
#[cfg(mallory_model)]
pub use crate::sync::mutex::{Mutex, MutexGuard};
#[cfg(mallory_model)]
pub use crate::sync::once::{LazyLock, Once, OnceLock};
#[cfg(mallory_model)]
pub use crate::sync::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(mallory_model)]
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak};

/// Atomics, as in [`std::sync::atomic`].
pub mod atomic {
    #[cfg(mallory_model)]
    pub use crate::sync::atomics::{
        AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
        AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    #[cfg(mallory_model)]
    pub use std::sync::atomic::Ordering;
    #[cfg(not(mallory_model))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
        AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}
