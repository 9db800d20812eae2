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

/// Two owners of one block, whose reference count is read and written in two steps: if both read
/// before either writes, nobody frees the block.
#[cfg(any(feature = "shuttle", feature = "loom"))]
fn miscounted(heap: &Heap) -> Result<(), TryReserveError> {
    use mallory::sync::atomic::{AtomicUsize, Ordering};
    use mallory::sync::{Arc, Mutex};
    let block = Arc::new(Mutex::new(None));
    let owners = Arc::new(AtomicUsize::new(2));
    let mut list = HeapVec::new_in(heap.clone());
    push(&mut list, 1)?;
    *block.lock().expect("no panic") = Some(std::mem::ManuallyDrop::new(list));
    let release = move || {
        let left = owners.load(Ordering::SeqCst) - 1;
        owners.store(left, Ordering::SeqCst);
        if left == 0
            && let Some(list) = block.lock().expect("no panic").take()
        {
            drop(std::mem::ManuallyDrop::into_inner(list));
        }
    };
    let other = mallory::thread::spawn(release.clone());
    release();
    other.join().expect("no panic");
    Ok(())
}
