//! The system port's counters, the very code on the atomics that a model checker drives: whatever the
//! order in which two threads take and give back, what is outstanding comes to what they hold, the
//! peak is one that there was, and each refusal is counted.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::join;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::thread;

#[path = "../../../harness/src/counters.rs"]
mod counters;

use counters::Counters;

/// Bytes that a thread takes at first, and what it makes of them.
const SIZES: [usize; 2] = [32, 96];

/// Takes a block, makes it larger, and gives it back. Answers how many requests were refused.
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

/// The subject: answers the bytes that both took.
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
