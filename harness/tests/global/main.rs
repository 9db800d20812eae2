//! The global allocator as a subject: programs that know nothing of heaps are swept as they are.

mod address_reuse;
mod adversary;
mod after_fault;
mod bad_frees;
mod baseline;
#[path = "../common/mod.rs"]
mod common;
mod detectors;
mod first_use;
mod in_process;
mod leaks;
mod left_behind;
mod order;
mod panics;
mod printing;
mod randomness;
mod ratchet;
mod stable_threads;
mod threads;

use std::hint::black_box;

use mallory::{GlobalHeap, Sweep};

/// Every allocation of this test program goes through this heap.
#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap::system();

/// A sweep that fails the requests to the global allocator.
fn sweep(name: &str) -> Sweep {
    Sweep::new(name).global(&HEAP)
}

/// One request that cannot return an error: its failure aborts.
fn boxed(n: u64) -> u64 {
    *black_box(Box::new(n))
}
