//! Mallory: the adversary in your allocator. It shows, deterministically, what a program does
//! when memory runs out: it fails every allocation one by one, watches every block, and hands
//! back one short line that replays what it found.
//!
//! # A first sweep
//!
//! Give it a closure from a [`Heap`] to a `Result`. It is run once for each of its requests for
//! memory, twice in fact: once where that request fails, and once where it and all after it do.
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
//! A run ends *propagated* (an error came out), *absorbed* (the result is the same all the same),
//! or as a finding: a silently wrong result, a panic, an abort, a hang, a leak, a double free …;
//! see [`Kind`]. Runs are made in child processes, so a subject that aborts is a line in the
//! report and not the end of the test.
//!
//! # What to say more
//!
//! - [`Sweep::oom`] says which errors mean out of memory; others are then findings.
//! - [`Sweep::setup`] makes an object first, and holds an operation on it to its word: as before
//!   after an error, and as ever after a retry.
//! - [`System`] does the same for a whole script of operations, beside a plain model.
//! - [`Options`] switches detectors, sets a budget, lets several threads in.
//! - [`Plan`] fails what you choose instead of everything in turn.
//! - [`Adversary`] puts a heap below that does all that a friendly `malloc` never does.
//! - [`conformance`] holds an allocator to its contract, and shrinks what breaks it.
//! - [`Report`] is a value: assert it clean, look into it, or take its text as a snapshot.
//! - `c` (feature `c`) is for C: heaps as tables of functions, and a sweep that C can call.
//! - One type of operations is attacked in many ways: `script_tests!` (feature `script-tests`) makes
//!   script files tests, `property` (feature `proptest`) draws scripts, `fuzz_target!` (feature
//!   `arbitrary`) lets a fuzzer do so, and `minimise` (feature `ron`) brings whatever they find down
//!   to one small case.
//! - `cli::main` (feature `cli`) makes a command line of your scenarios.

#![cfg_attr(mallory_std_allocator_feature, feature(allocator_api))]
#![cfg_attr(
    not(mallory_model),
    allow(
        dead_code,
        reason = "what only a model checker calls is checked in builds that have one"
    )
)]

pub mod adapters;
#[cfg(feature = "c")]
pub mod c;
#[cfg(feature = "cli")]
pub mod cli;
pub mod conformance;
mod detect;
mod env;
mod error;
mod explore;
mod global;
mod heap;
mod host;
mod options;
pub mod plan;
mod port;
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
mod trace;

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

/// A heap that does everything the allocator contract permits and a friendly `malloc` never does.
pub mod adversary {
    pub use crate::adapters::adversary::{Adversarial, Adversary, Guard, Reuse};
}

/// Fuzz targets: a fuzzer's bytes become a script of operations.
#[cfg(feature = "arbitrary")]
pub mod fuzz {
    pub use crate::__fuzz_target as fuzz_target;
    #[doc(hidden)]
    pub use crate::conformance::fuzz::port;
    pub use crate::script::fuzz::{Input, attack, replay};
    #[doc(hidden)]
    pub use crate::script::fuzz::{Measured, kinds, read_journal};
}

/// Property tests: proptest draws scripts of operations, and what fails is shrunk to a case.
#[cfg(feature = "proptest")]
pub mod proptest {
    pub use crate::script::property::{Drawn, Property, check, property, strategy};
}
