//! Allocators for whole programs: the C library's, C libraries, and pure Rust. Any thread may call
//! them.

use std::alloc::{GlobalAlloc, System};

use mallory::adapters::GlobalPort;
use mallory::conformance;

use super::allocator::{Allocator, Known, Shows, Trial, TrialReport, run_trial};

macro_rules! general {
    ($package:literal, $name:literal, $kind:literal, $allocator:expr, $known:expr) => {
        Allocator {
            package: $package,
            name: $name,
            kind: $kind,
            through: "`GlobalPort`",
            how: "3 threads",
            run: |what| threads($package, || $allocator, what),
            known: $known,
        }
    };
}

pub(super) const ALL: [Allocator; 6] = [
    general!("std", "System", "the C library's malloc", System, &[]),
    general!("mimalloc", "MiMalloc", "C, free lists in pages", mimalloc::MiMalloc, &[]),
    general!(
        "tikv-jemallocator",
        "Jemalloc",
        "C, size classes in arenas",
        tikv_jemallocator::Jemalloc,
        &[]
    ),
    general!("rpmalloc", "RpMalloc", "C, a cache for each thread", rpmalloc::RpMalloc, &[]),
    general!(
        "dlmalloc",
        "GlobalDlmalloc",
        "pure Rust, boundary tags",
        dlmalloc::GlobalDlmalloc,
        &[]
    ),
    general!(
        "wee_alloc",
        "WeeAlloc",
        "pure Rust, one list of free cells",
        wee_alloc::WeeAlloc::INIT,
        WEE_ALLOC
    ),
];

const WEE_ALLOC: &[Known] = &[Known {
    shows: Shows::Checked,
    promise: "nothing unwinds",
    sequence: "a1 = alloc 0 align 1152921504606846976",
    reason: "A bug of the package. `LargeAllocPolicy::new_cell_for_free_list` multiplies the \
             alignment by two words (16) without an overflow check. In builds without checks the \
             product wraps to a small number, the new cell doesn't fit, and the request is refused \
             as it should be.",
}];

fn threads<A: GlobalAlloc + Sync>(package: &str, make: impl Fn() -> A, what: Trial) -> TrialReport {
    let name = package.replace('_', "-");
    run_trial(conformance(|| GlobalPort(make())).name(name).threads(3), what)
}
