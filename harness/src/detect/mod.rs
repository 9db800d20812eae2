//! Detectors, one per file. The file's name is the printed kind of its finding.
//!
//! They are pure functions of what the heap shows them, and return evidence or `None`. The hot path
//! never gets here: a free that fits its block needs one comparison, and only one that doesn't is
//! examined by the detectors ([`bad_free`]).

pub(crate) mod block;
pub(crate) mod cross_allocator_free;
pub(crate) mod double_free;
pub(crate) mod heap_buffer_overflow;
pub(crate) mod heap_buffer_underflow;
pub(crate) mod invalid_free;
pub(crate) mod layout_mismatch;
pub(crate) mod leak;
pub(crate) mod mismatched_free;
pub(crate) mod over_budget;
pub(crate) mod port_contract;
pub(crate) mod use_after_free;
pub(crate) mod wrong_thread;

use crate::detect::block::BadFree;
use crate::report::evidence::Evidence;

pub(crate) use crate::detect::double_free::of_unknown as double_free_of_unknown;
pub(crate) use crate::detect::heap_buffer_overflow::check as overflow;
pub(crate) use crate::detect::heap_buffer_underflow::check as underflow;
pub(crate) use crate::detect::invalid_free::wild as wild_free;
pub(crate) use crate::detect::leak::check as leak;
pub(crate) use crate::detect::over_budget::check as over_budget;
pub(crate) use crate::detect::port_contract::{misaligned, overlapping, too_small};
pub(crate) use crate::detect::use_after_free::check as use_after_free;
pub(crate) use crate::detect::wrong_thread::check as wrong_thread;

/// What is wrong with a free. The first detector that recognises it decides.
pub(crate) fn bad_free(free: &BadFree<'_>) -> Evidence {
    cross_allocator_free::exact(free)
        .or_else(|| mismatched_free::check(free))
        .or_else(|| layout_mismatch::check(free))
        .or_else(|| cross_allocator_free::check(free))
        .or_else(|| double_free::check(free))
        .unwrap_or_else(|| invalid_free::check(free))
}
