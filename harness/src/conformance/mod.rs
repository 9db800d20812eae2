//! Conformance: runs seeded sequences on any port, compares it with a naive model of its contract, and
//! reports each promise that it breaks with the smallest sequence that shows it.
//!
//! # Map of the source
//!
//! | question | file |
//! |---|---|
//! | What can a caller set, and what does the report say? | `builder`; its findings are made in `finding` |
//! | What does a port promise? | `clause` |
//! | How is one sequence run and checked? | `contract`, with the live blocks in `model` and calls into the port in `call` |
//! | What is a sequence, and how is it printed? | `operation`; `syntax` reads it and has the grammar |
//! | Which sequences are generated? | `generate` from a seed, `fuzz` from a fuzzer's bytes |
//! | Which breaches are told apart, and which of them are shrunk? | `search` |
//! | Which processes run them, and what if one dies? | `suite`, with its place in `position` |
//! | How does a sequence get short, and its steps plain? | `shrink` · `plainer`, both on `shrink_state` |
//! | In which processes is it shrunk? | `shrink_runs` |
//! | How do several threads use a port at the same time? | `stress` |
//!
//! The flow: [`Conformance::run`] → `search` → `generate` → `suite` (a child process: `contract` on a fresh
//! port) → a breach → `shrink` → confirmed in a fresh child process → report.

pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod clause;
pub(crate) mod contract;
pub(crate) mod finding;
#[cfg(feature = "arbitrary")]
pub(crate) mod fuzz;
pub(crate) mod generate;
pub(crate) mod model;
pub(crate) mod operation;
pub(crate) mod plainer;
pub(crate) mod position;
pub(crate) mod search;
pub(crate) mod shrink;
pub(crate) mod shrink_runs;
pub(crate) mod shrink_state;
pub(crate) mod stress;
pub(crate) mod suite;
pub(crate) mod syntax;

pub use self::builder::{Conformance, conformance};
