//! Other people's crates, allocators and C libraries.
#![cfg(feature = "foreign")]

mod adversary;
#[cfg(feature = "foreign-allocators")]
mod allocators;
mod c_libraries;
mod crates;
mod durable;
// With a model checker the locks of the pools are modelled ones, which abort at other call sites.
#[cfg(not(any(feature = "shuttle", feature = "loom")))]
mod leaderboard;
mod popular;
#[path = "../support/program.rs"]
mod program;
mod task_repository;

/// Watches the crates that are swept in this process; otherwise it passes every call on.
#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();
