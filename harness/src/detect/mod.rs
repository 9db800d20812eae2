//! Detectors: one per file, the file's name being the kind as printed.
//!
//! They are pure: each looks at what the heap shows it and answers the evidence, or nothing. The
//! hot path never comes here; a free that fits its block in every respect passes with one
//! comparison, and only one that doesn't is looked at from all sides ([`bad_free`]).

pub(crate) mod cross_allocator_free;
pub(crate) mod double_free;
pub(crate) mod heap_buffer_overflow;
pub(crate) mod heap_buffer_underflow;
pub(crate) mod invalid_free;
pub(crate) mod layout_mismatch;
pub(crate) mod leak;
pub(crate) mod over_budget;
pub(crate) mod port_contract;
pub(crate) mod use_after_free;
pub(crate) mod wrong_thread;

use std::alloc::Layout;

use crate::heap::ledger::{Block, Ledger};
use crate::report::evidence::{Evidence, Role, Subject};

pub(crate) use crate::detect::heap_buffer_overflow::check as overflow;
pub(crate) use crate::detect::heap_buffer_underflow::check as underflow;
pub(crate) use crate::detect::leak::check as leak;
pub(crate) use crate::detect::over_budget::check as over_budget;
pub(crate) use crate::detect::port_contract::{misaligned, overlapping, too_small};
pub(crate) use crate::detect::use_after_free::check as use_after_free;
pub(crate) use crate::detect::wrong_thread::check as wrong_thread;

/// A heap's standing in the run, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    /// Heaps of one family may free each other's blocks.
    pub(crate) family: u16,
}

/// A free (or the old block of a grow or shrink) that does not fit a live block.
pub(crate) struct BadFree<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) heaps: &'a [Standing],
    pub(crate) address: usize,
    pub(crate) layout: Layout,
    pub(crate) heap: u16,
    /// The event that this call is.
    pub(crate) event: u64,
    /// Freed, or handed in to be resized.
    pub(crate) role: Role,
}

impl BadFree<'_> {
    fn name(&self, heap: u16) -> &'static str {
        self.heaps[usize::from(heap)].name
    }

    fn subject(&self, block: &Block) -> Subject {
        subject(self.heaps, block)
    }
}

pub(crate) fn subject(heaps: &[Standing], block: &Block) -> Subject {
    Subject {
        number: block.number,
        size: block.size,
        align: block.align,
        heap: heaps[usize::from(block.heap)].name.to_owned(),
    }
}

/// What is wrong with a free, by the first detector that knows.
pub(crate) fn bad_free(free: &BadFree<'_>) -> Evidence {
    cross_allocator_free::exact(free)
        .or_else(|| layout_mismatch::check(free))
        .or_else(|| cross_allocator_free::check(free))
        .or_else(|| double_free::check(free))
        .unwrap_or_else(|| invalid_free::check(free))
}
