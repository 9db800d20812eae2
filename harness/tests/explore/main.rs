//! Explored subjects: the order of their threads, together with requests that fail, by shuttle and
//! by loom. Without a model checker only the refusals are left.

#[cfg(all(feature = "shuttle", feature = "tokio"))]
mod cancellation;
#[cfg(all(feature = "shuttle", feature = "loom"))]
mod clean;
#[path = "../common/mod.rs"]
mod common;
#[cfg(all(feature = "shuttle", feature = "loom"))]
mod data_races;
#[cfg(feature = "shuttle")]
mod error_paths;
#[cfg(any(feature = "shuttle", feature = "loom"))]
mod extra_requests;
#[cfg(feature = "shuttle")]
mod findings;
#[cfg(feature = "shuttle")]
mod guided;
#[cfg(feature = "loom")]
mod loom_counters;
#[cfg(feature = "loom")]
mod loom_levels;
#[cfg(feature = "loom")]
mod loom_orders;
#[cfg(feature = "loom")]
mod loom_pairs;
mod refusals;
#[cfg(feature = "shuttle")]
mod sample;
#[cfg(all(feature = "shuttle", feature = "ron"))]
mod scripts;
#[cfg(all(feature = "shuttle", feature = "tokio"))]
mod tasks;

#[cfg(any(feature = "shuttle", feature = "loom"))]
use {
    allocator_api2::{collections::TryReserveError, vec::Vec as HeapVec},
    mallory::Heap,
};

/// One request, the failure of which is returned.
#[cfg(any(feature = "shuttle", feature = "loom"))]
fn push(list: &mut HeapVec<u64, Heap>, n: u64) -> Result<(), TryReserveError> {
    list.try_reserve_exact(1)?;
    list.push(n);
    Ok(())
}
