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

mod accuse;
mod adapters;
#[cfg(any(feature = "cli", feature = "script-tests"))]
mod anysystem;
mod board;
mod brood;
#[cfg(feature = "c")]
pub mod c;
mod capture;
#[cfg(any(feature = "cli", feature = "script-tests"))]
mod case;
#[cfg(feature = "cli")]
pub mod cli;
mod conformance;
#[cfg(all(feature = "shuttle", feature = "ron"))]
mod contended;
mod death;
mod detect;
#[cfg(mallory_model)]
mod ear;
mod env;
mod error;
mod evidence;
mod explore;
mod explorer;
mod finding;
#[cfg(feature = "arbitrary")]
pub mod fuzz;
mod gate;
mod global;
mod handle;
mod heap;
#[cfg(all(feature = "shuttle", feature = "ron"))]
mod history;
mod host;
#[cfg(feature = "ron")]
mod hunt;
#[cfg(feature = "arbitrary")]
mod input;
#[cfg(feature = "json")]
mod json;
mod kind;
mod ledger;
#[cfg(feature = "ron")]
mod literal;
#[cfg(feature = "ron")]
mod minimise;
mod model;
mod node;
mod omen;
mod options;
mod panics;
mod pipe;
mod plan;
#[cfg(feature = "ron")]
mod player;
mod pool;
mod port;
#[cfg(feature = "proptest")]
mod property;
mod pulse;
mod quick;
mod redzone;
mod report;
mod run;
mod scenario;
mod scratch;
#[cfg(feature = "ron")]
mod script;
#[cfg(feature = "script-tests")]
mod script_tests;
#[cfg(feature = "ron")]
mod seek;
mod site;
mod state;
mod subject;
mod sweep;
pub mod sync;
mod system;
mod text;
pub mod thread;
mod token;
mod trace;
mod turn;
mod verdict;
mod weight;
mod wire;
mod worker;

#[cfg(feature = "allocator-api2")]
pub use adapters::Api2Port;
#[cfg(feature = "allocator-api2-04")]
pub use adapters::Api2V04Port;
#[cfg(mallory_std_allocator)]
pub use adapters::StdPort;
pub use adapters::{
    Adversarial, Adversary, ArenaPort, GlobalPort, Guard, RegionPort, Reuse, StaticPort,
};
pub use conformance::{Conformance, conformance};
pub use error::Error;
pub use explore::{Faults, Progress};
pub use explorer::Explore;
pub use finding::Finding;
pub use global::GlobalHeap;
pub use heap::Heap;
#[cfg(feature = "ron")]
pub use hunt::{Minimised, minimise};
pub use kind::Kind;
#[cfg(feature = "ron")]
pub use minimise::{Limits, Removed};
pub use options::Options;
pub use plan::{Plan, Request};
pub use port::{Port, Refused, SystemPort};
#[cfg(feature = "proptest")]
pub use property::{Drawn, Property, check, property, strategy};
pub use report::{Coverage, Report, Verdict};
pub use run::{Outcome, Strategy};
pub use scenario::Scenario;
#[cfg(feature = "ron")]
pub use script::{Allowed, Expect, Found, Mode, Script};
#[cfg(feature = "script-tests")]
pub use script_tests::ScriptTests;
#[cfg(not(mallory_model))]
pub use std::thread_local;
pub use subject::{Classify, Observe};
pub use sweep::{Setup, Sweep};
pub use system::{ApplyShared, Guarantee, System, World};
pub use token::Token;
pub use trace::{Coordinate, Op};
