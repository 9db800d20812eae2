//! Pools: objects that keep their memory from one use to the next.
//!
//! A pool lends an object as a guard, and takes it back, emptied, when the guard is dropped: by a
//! result, an error or a panic. Taking may fail; coming back can't, and allocates nothing: an
//! object's place in the pool is reserved before the object is made.
#![allow(unsafe_code)]

use std::fmt;
use std::hash::Hash;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use allocator_api2::vec::Vec;
use hashbrown::HashMap;
use mallory::{Heap, Refused};

use super::bytes::refused;
use super::hash::FixedState;
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An object that has more room than this is freed instead of kept, so that one large use doesn't
/// hold memory for good.
pub const KEPT_BYTES: usize = 64 << 10;

/// What a pool can lend more than once.
pub trait Reusable {
    /// Removes everything that the last use left in it, without allocating. Returns whether the
    /// object is worth keeping.
    fn reset(&mut self) -> bool;
}

impl<T> Reusable for Vec<T, Heap> {
    fn reset(&mut self) -> bool {
        self.clear();
        self.capacity().saturating_mul(size_of::<T>()) <= KEPT_BYTES
    }
}

impl<K: Eq + Hash, V> Reusable for HashMap<K, V, FixedState, Heap> {
    fn reset(&mut self) -> bool {
        self.clear();
        self.allocation_size() <= KEPT_BYTES
    }
}

/// What became of a pool's objects. Under the kill switch nothing is a hit, and nothing returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Objects that were lent again.
    pub hits: usize,
    /// Objects that had to be made.
    pub misses: usize,
    /// Objects that came back and were kept.
    pub returned: usize,
    /// Objects that came back and were freed: there was no place for them, or they had grown too
    /// large.
    pub dropped: usize,
    /// Objects that are lent.
    pub lent: usize,
    /// Objects that wait to be lent.
    pub idle: usize,
    /// The most that were lent at once.
    pub high_water: usize,
}

/// The objects that wait. There is always room for those that are lent, up to the pool's cap.
struct Shelf<T> {
    idle: Vec<T, Heap>,
    stats: PoolStats,
}

struct Shared<T> {
    shelf: Mutex<Shelf<T>>,
    heap: Heap,
    cap: usize,
    bypass: bool,
}

/// A pool, shared with its clones: any thread may take from it and give back.
pub struct Pool<T: Reusable>(Arc<Shared<T>>);

/// A vector that goes back to its pool.
pub type PooledVec<T> = Pooled<Vec<T, Heap>>;
/// A map that goes back to its pool.
pub type PooledMap<K, V> = Pooled<HashMap<K, V, FixedState, Heap>>;
/// A pool of vectors.
pub type VecPool<T> = Pool<Vec<T, Heap>>;
/// A pool of maps.
pub type MapPool<K, V> = Pool<HashMap<K, V, FixedState, Heap>>;

impl<T: Reusable> Pool<T> {
    /// An empty pool on this heap, which keeps at most `cap` objects; takes no memory of the heap
    /// yet. Under the kill switch ([`Heap::bypass`]) it keeps none.
    #[must_use]
    pub fn new(heap: &Heap, cap: usize) -> Self {
        let shelf = Shelf { idle: Vec::new_in(heap.clone()), stats: PoolStats::default() };
        let (heap, bypass) = (heap.clone(), heap.bypass());
        Pool(Arc::new(Shared { shelf: Mutex::new(shelf), heap, cap, bypass }))
    }

    /// Lends an object that waits, or else the one that `make` makes on the pool's heap. The pool
    /// is not locked meanwhile.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the pool is then as before.
    pub fn take_or(
        &self,
        make: impl FnOnce(&Heap) -> Result<T, Refused>,
    ) -> Result<Pooled<T>, Refused> {
        if let Some(object) = self.0.lend()? {
            return Ok(self.guard(object));
        }
        match make(&self.0.heap) {
            Ok(object) => {
                let stats = &mut self.0.lock().stats;
                stats.misses += 1;
                stats.high_water = stats.high_water.max(stats.lent);
                Ok(self.guard(object))
            }
            Err(Refused) => {
                self.0.lock().stats.lent -= 1;
                Err(Refused)
            }
        }
    }

    fn guard(&self, object: T) -> Pooled<T> {
        Pooled { object: ManuallyDrop::new(object), pool: Pool(Arc::clone(&self.0)) }
    }

    /// Frees the objects that wait, but for this many; returns how many it freed.
    pub fn trim(&self, left: usize) -> usize {
        let mut count = 0;
        // The room stays: those that are lent have their places in it.
        while let Some(object) = self.0.pop_beyond(left) {
            drop(object);
            count += 1;
        }
        count
    }

    /// What became of the objects. A diagnostic, not part of a service's state.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let shelf = self.0.lock();
        PoolStats { idle: shelf.idle.len(), ..shelf.stats }
    }
}

impl<T> VecPool<T> {
    /// An empty vector.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn take(&self) -> Result<PooledVec<T>, Refused> {
        self.take_or(|heap| Ok(Vec::new_in(heap.clone())))
    }
}

impl<K: Eq + Hash, V> MapPool<K, V> {
    /// An empty map.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn take(&self) -> Result<PooledMap<K, V>, Refused> {
        self.take_or(|heap| Ok(HashMap::with_hasher_in(FixedState::default(), heap.clone())))
    }
}

impl<T: Reusable> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Pool(Arc::clone(&self.0))
    }
}

impl<T: Reusable> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}

impl<T> Shared<T> {
    /// No step under the lock leaves the shelf half changed, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, Shelf<T>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop_beyond(&self, left: usize) -> Option<T> {
        let mut shelf = self.lock();
        if shelf.idle.len() > left { shelf.idle.pop() } else { None }
    }

    /// An object that waits. If there is none, reserves the place that a new one comes back to.
    fn lend(&self) -> Result<Option<T>, Refused> {
        let mut shelf = self.lock();
        let Shelf { idle, stats } = &mut *shelf;
        let object = idle.pop();
        if object.is_some() {
            stats.hits += 1;
            stats.high_water = stats.high_water.max(stats.lent + 1);
        } else if !self.bypass {
            idle.try_reserve(self.cap.min(stats.lent + 1)).map_err(refused)?;
        }
        stats.lent += 1;
        Ok(object)
    }

    /// Takes an object back; returns it if it is to be freed, which is done without the lock.
    fn give_back(&self, object: T, keep: bool) -> Option<T> {
        let mut shelf = self.lock();
        let Shelf { idle, stats } = &mut *shelf;
        stats.lent -= 1;
        let is_full = idle.len() >= self.cap || self.bypass || !keep;
        let left = if is_full { Err(object) } else { idle.push_within_capacity(object) };
        match left {
            Ok(()) => stats.returned += 1,
            Err(_) => stats.dropped += 1,
        }
        left.err()
    }
}

/// An object of a pool, given back when this is dropped.
pub struct Pooled<T: Reusable> {
    object: ManuallyDrop<T>,
    pool: Pool<T>,
}

impl<T: Reusable> Deref for Pooled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T: Reusable> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.object
    }
}

impl<T: Reusable> Drop for Pooled<T> {
    fn drop(&mut self) {
        let keep = self.object.reset();
        // SAFETY: the guard is going, and nothing uses its object after this line.
        let object = unsafe { ManuallyDrop::take(&mut self.object) };
        drop(self.pool.0.give_back(object, keep));
    }
}

impl<T: Reusable + fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(f)
    }
}
