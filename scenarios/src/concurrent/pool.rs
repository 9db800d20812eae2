//! A pool with one object, and two threads that each take one: what a thread takes is empty and nobody
//! else's, and everything that was lent came back, whoever was there first.

use mallory::{Heap, Refused};

use super::join::join;
use crate::memory::bytes::try_extend;
use crate::memory::{PoolStats, VecPool};
use crate::thread;

/// Takes a vector, fills it, and gives it back; returns how often.
fn work(pool: &VecPool<usize>, mine: usize) -> Result<usize, Refused> {
    let mut lent = pool.take()?;
    assert!(lent.is_empty(), "the last user's values are still there");
    try_extend(&mut lent, &[mine; 4])?;
    assert!(lent.iter().all(|value| *value == mine), "it is somebody else's as well");
    Ok(1)
}

/// The subject: returns how often a vector was lent.
///
/// # Errors
/// [`Refused`] where one of the threads ran out of memory.
pub fn lend(heap: &Heap) -> Result<usize, Refused> {
    let pool = VecPool::new(heap, 1);
    work(&pool, 3)?;
    let other = {
        let pool = pool.clone();
        thread::spawn(move || work(&pool, 1))
    };
    let done = [work(&pool, 2), join(other)];
    let PoolStats { hits, misses, returned, dropped, lent, idle, high_water } = pool.stats();
    assert_eq!((lent, hits + misses), (0, returned + dropped), "an object is lost");
    assert!(idle <= 1 && high_water <= 2);
    assert!(heap.bypass() || returned == 0 || idle == 1, "the one that came back is gone");
    let [mine, others] = done;
    Ok(mine? + others?)
}
