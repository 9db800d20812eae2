//! Planted bugs: for each kind of finding but `port-contract` and `deadlock` one small system that must be reported, and a near miss
//! that must not be.
//!
//! `designs` has the bugs of published designs, each with its near miss.
//!
//! Each file has the two side by side, `planted` and `near_miss`. They differ by three lines at
//! most, which a test counts; the rest of the file is used by both. They use nothing but the public
//! names of `mallory` and its allocator.

mod abort;
mod absorbed;
mod crash;
mod cross_allocator_free;
pub mod designs;
mod double_free;
mod exit;
mod heap_buffer_overflow;
mod heap_buffer_underflow;
mod invalid_free;
mod layout_mismatch;
mod leak;
mod no_progress;
mod nondeterminism;
mod not_recovered;
mod over_budget;
mod pair;
mod panic;
pub mod published;
pub mod racy;
pub mod shelf;
mod silent_wrong;
pub mod slot;
mod uninit_read;
mod use_after_free;
mod wrong_error;
mod wrong_thread;

use mallory::Scenario;

pub use pair::{Oom, Pair};

/// Every pair, in the order of the kinds.
pub const PAIRS: [Pair; 21] = [
    leak::PAIR,
    double_free::PAIR,
    invalid_free::PAIR,
    cross_allocator_free::PAIR,
    layout_mismatch::PAIR,
    heap_buffer_overflow::PAIR,
    heap_buffer_underflow::PAIR,
    use_after_free::PAIR,
    uninit_read::PAIR,
    wrong_thread::PAIR,
    over_budget::PAIR,
    silent_wrong::PAIR,
    wrong_error::PAIR,
    absorbed::PAIR,
    not_recovered::PAIR,
    no_progress::PAIR,
    panic::PAIR,
    abort::PAIR,
    crash::PAIR,
    exit::PAIR,
    nondeterminism::PAIR,
];

/// The bugs and their near misses, as the command line has them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let kinds = PAIRS.iter().flat_map(|pair| [pair.scenario(), pair.near_miss_scenario()]);
    kinds.chain(designs::scenarios()).collect()
}
