//! Mallory tests what a program does when memory runs out. It fails every allocation one by one,
//! watches every block for leaks and misuse, and prints one short line that replays what it found.
//! A run is deterministic: the same program gives the same report.
//!
//! # A first sweep
//!
//! A [`Sweep`] takes a closure from a [`Heap`] to a `Result`. It counts the closure's requests for
//! memory, then runs the closure twice for each: once with only that request failing, and once with
//! that one and all later ones failing.
//!
//! ```
//! use allocator_api2::vec::Vec;
//! use mallory::{Heap, Sweep};
//!
//! fn join(heap: &Heap, words: &[&str]) -> Result<usize, allocator_api2::collections::TryReserveError> {
//!     let mut text = Vec::new_in(heap.clone());
//!     for word in words {
//!         text.try_reserve(word.len())?;
//!         text.extend_from_slice(word.as_bytes());
//!     }
//!     Ok(text.len())
//! }
//!
//! Sweep::new("join").run(|heap| join(heap, &["fails", "well"])).assert_clean();
//! ```
//!
//! A faulted run is *propagated* if it returns an error, and *absorbed* if the result is the same
//! as without the fault. Anything else is a finding: a silently wrong result, a panic, an abort, a
//! hang, a leak, a double free; [`Kind`] lists them all. Runs are made in child processes, so a
//! subject that aborts becomes a line in the report instead of ending the test.
//!
//! Code that uses the global allocator is swept unchanged: make a [`GlobalHeap`] the program's
//! `#[global_allocator]`, and pass it to [`Sweep::global`].
//!
//! # A bug and its replay
//!
//! This function loses its first block if the second one can't be allocated. The finding says which
//! block is lost, which request has to fail for that, and how to see it again:
//!
//! ```
//! # use allocator_api2::collections::TryReserveError;
//! # use allocator_api2::vec::Vec;
//! # use mallory::{Heap, Kind, Sweep};
//! fn pair(heap: &Heap) -> Result<usize, TryReserveError> {
//!     let mut first = Vec::<u8, _>::new_in(heap.clone());
//!     first.try_reserve(16)?;
//!     let mut second = Vec::<u8, _>::new_in(heap.clone());
//!     if let Err(error) = second.try_reserve(32) {
//!         std::mem::forget(first);
//!         return Err(error);
//!     }
//!     Ok(first.capacity() + second.capacity())
//! }
//!
//! let report = Sweep::new("pair").run(pair);
//! let leak = &report.findings()[0];
//! assert_eq!(leak.kind(), Kind::Leak);
//! assert!(leak.token().to_string().starts_with("v1 pair f=T0#2"));
//! ```
//!
//! `T0#2` is the second request of thread 0. In a test, the variable `MALLORY_REPLAY` with the
//! token in it makes that one run instead of the sweep; [`Sweep::replay`] does the same in code.
//!
//! # Where to go from here
//!
//! To say what a correct failure is:
//! - [`Sweep::oom`] sets which errors mean out of memory. Other errors are findings then.
//! - [`Sweep::setup`] sweeps an operation on an object that survives: after an error the operation
//!   is repeated with memory available, and the object must end as it does without the fault.
//! - [`Sweep::allow`], [`Sweep::allow_aborts`] and [`Sweep::strict`] accept known findings, or
//!   demand more.
//!
//! To test more than one closure on one thread:
//! - [`System`] is for a whole sequence of operations, compared with a plain model.
//! - [`Explore`] runs each fault in every order of the threads up to a bound, under shuttle or loom
//!   (features `shuttle` and `loom`).
//! - [`conformance()`] tests an allocator against the contract of a [`Port`], and shrinks the
//!   sequence of calls that breaks it.
//! - [`adversary`] has a heap that does everything the allocator contract permits and a friendly
//!   `malloc` never does.
//!
//! To change how a run is made:
//! - [`Options`] switches detectors, sets a budget of bytes, and admits real threads.
//! - [`Plan`] fails the requests that you choose instead of each in turn.
//!
//! To use it in other ways:
//! - A [`Report`] is a value: assert that it is clean, inspect it, or keep its text as a snapshot.
//! - [`Scenario`] gives a subject a name, and `cli::main` (feature `cli`) makes a command line of
//!   scenarios.
//! - `script_tests!` (feature `script-tests`) makes tests of script files, `proptest` (feature
//!   `proptest`) generates scripts, `fuzz::fuzz_target!` (feature `arbitrary`) lets a fuzzer do so,
//!   and `script` (feature `ron`) shrinks what they find to one small case.
//! - `c` (feature `c`) is for C: heaps as tables of functions, and a sweep that C can call.

#![cfg_attr(mallory_std_allocator_feature, feature(allocator_api))]
#![cfg_attr(
    not(mallory_model),
    allow(dead_code, reason = "builds with a model checker check what only one calls")
)]

pub mod adapters;
#[cfg(feature = "c")]
pub mod c;
#[cfg(feature = "exec")]
pub mod cargo;
#[cfg(feature = "cli")]
pub mod cli;
pub mod conformance;
mod detect;
mod env;
mod error;
#[cfg(any(feature = "exec", feature = "preload"))]
mod exec;
mod explore;
pub mod future;
mod global;
mod heap;
mod host;
mod launch;
mod memory;
mod options;
pub mod plan;
mod port;
mod printable;
mod process;
pub mod report;
mod rt;
mod run;
mod scenario;
mod schedule;
#[cfg(feature = "ron")]
pub mod script;
pub mod sweep;
pub mod sync;
pub mod system;
pub mod thread;
pub mod time;
#[cfg(feature = "tokio")]
pub mod tokio;
mod trace;

/// Hints to the compiler and the processor, as in [`std::hint`].
pub mod hint {
    pub use std::hint::{assert_unchecked, black_box, unreachable_unchecked};

    #[cfg(mallory_model)]
    pub use crate::thread::spawn::spin_loop;
    #[cfg(not(mallory_model))]
    pub use std::hint::spin_loop;
}

pub use conformance::conformance;
pub use error::Error;
pub use explore::builder::Explore;
pub use global::GlobalHeap;
pub use heap::Heap;
pub use options::Options;
pub use plan::{Faults, Plan};
pub use port::{Port, Refused, SystemPort};
pub use report::{Finding, Kind, Outcome, Report, Token, Verdict};
pub use scenario::Scenario;
pub use sweep::Sweep;
pub use system::System;

/// What the library that is preloaded into programs is made of (`harness/preload`).
#[cfg(feature = "preload")]
#[doc(hidden)]
pub mod preload {
    pub use crate::exec::c_calls;
    pub use crate::exec::entry;
    pub use crate::exec::exits::{before_quick_exit, descriptors_kept, exit_at_once, sigaction};
    pub use crate::exec::world::{after_exec, before_exec, fixed_time, random_device};
    pub use crate::memory::own::{OwnMemory, move_apart};
    pub use crate::process::thread_births::{Routine, mallory_pthread_create};
}

/// The adversarial heap: it does everything that the allocator contract permits and a friendly
/// `malloc` never does.
pub mod adversary {
    pub use crate::adapters::adversary::{Adversarial, Adversary, Guard, Reuse};
}

/// Fuzz targets: the bytes of a fuzzer become a script of operations.
#[cfg(feature = "arbitrary")]
pub mod fuzz {
    pub use crate::__fuzz_target as fuzz_target;
    #[doc(hidden)]
    pub use crate::conformance::fuzz::port;
    pub use crate::script::fuzz::{Input, attack, replay};
    #[doc(hidden)]
    pub use crate::script::fuzz::{Measured, kinds, read_journal};
}

/// Property tests: proptest generates scripts of operations, and a failing one is shrunk to a case.
#[cfg(feature = "proptest")]
pub mod proptest {
    pub use crate::script::property::{Drawn, Property, check, property, strategy};
}
