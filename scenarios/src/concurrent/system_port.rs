//! The system port's counters, compiled here with atomics that a model checker drives: in whatever
//! order two threads allocate and free, the outstanding bytes are what they hold, the peak is a
//! value that really occurred, and each refusal is counted.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::join::join;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::thread;

#[path = "../../../harness/src/port/counters.rs"]
mod counters;

type Counters = counters::Counters<AtomicU64>;

// Elsewhere the atomics are std's, which have it already.
#[cfg(any(feature = "shuttle", feature = "loom"))]
impl counters::Atomic for AtomicU64 {
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_add(value, order)
    }

    fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_sub(value, order)
    }

    fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_max(value, order)
    }
}

/// The size of a thread's block at first, and after it has grown.
const SIZES: [usize; 2] = [32, 96];

/// Allocates a block, grows it and frees it. Returns how many requests were refused.
fn work(heap: &Heap, counters: &Counters) -> u64 {
    let mut block = Vec::<u8, Heap>::new_in(heap.clone());
    for size in SIZES {
        let before = block.capacity();
        if block.try_reserve_exact(size).is_err() {
            counters.refuse();
            break;
        }
        counters.add(block.capacity() - before);
    }
    let held = block.capacity();
    drop(block);
    counters.remove(held);
    u64::from(held != SIZES[1])
}

/// The subject: returns the bytes that both threads allocated.
///
/// # Errors
/// [`Refused`] where a thread ran out of memory.
pub fn count(heap: &Heap) -> Result<usize, Refused> {
    let counters = Arc::new(Counters::default());
    let other = {
        let (heap, counters) = (heap.clone(), Arc::clone(&counters));
        thread::spawn(move || work(&heap, &counters))
    };
    let refused = work(heap, &counters) + join(other);
    assert_eq!(counters.outstanding.load(Ordering::Relaxed), 0, "all was given back");
    assert_eq!(counters.failures.load(Ordering::Relaxed), refused, "each refusal counts");
    // One thread's bytes, or both threads', each before it grew its block or after.
    let [small, large] = SIZES.map(|size| size as u64);
    let peaks = [0, small, large, 2 * small, small + large, 2 * large];
    let peak = counters.peak.load(Ordering::Relaxed);
    assert!(peaks.contains(&peak), "the most at once was {peak}");
    if refused == 0 { Ok(2 * SIZES[1]) } else { Err(Refused) }
}
