//! Use after free: a cache that evicts its oldest entry when there is no memory for a new one.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options, Port};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::UseAfterFree,
    wrong: "counts a hit in the latest entry, also where that was just evicted",
    right: "forgets the latest entry where it is evicted",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const KEYS: [u64; 4] = [3, 5, 8, 13];

/// What is kept of a key.
struct Entry {
    _key: u64,
    hits: u64,
}

struct Cache<'a> {
    heap: &'a Heap,
    /// Oldest first. They belong to the cache.
    entries: Vec<NonNull<Entry>, Heap>,
    /// A short cut to the entry that was made last; it belongs to `entries`.
    latest: Option<NonNull<Entry>>,
}

impl<'a> Cache<'a> {
    fn new(heap: &'a Heap) -> Result<Self, Oom> {
        let mut entries = Vec::new_in(heap.clone());
        entries.try_reserve_exact(KEYS.len())?;
        Ok(Cache { heap, entries, latest: None })
    }

    fn add(&mut self, key: u64) -> Result<(), Oom> {
        self.entries.try_reserve(1)?;
        let entry: NonNull<Entry> = self.heap.alloc(Layout::new::<Entry>())?.cast();
        // SAFETY: the block was just allocated with the layout of an entry.
        unsafe { entry.write(Entry { _key: key, hits: 0 }) };
        self.entries.push(entry);
        self.latest = Some(entry);
        Ok(())
    }

    /// Frees the oldest entry, and returns its address.
    fn evict(&mut self) -> Option<NonNull<Entry>> {
        let oldest = (!self.entries.is_empty()).then(|| self.entries.remove(0))?;
        // SAFETY: `add` allocated it from this heap, and it is in `entries` no more.
        unsafe { self.heap.free(oldest.cast(), Layout::new::<Entry>()) };
        Some(oldest)
    }

    fn count_hit(&mut self) {
        if let Some(latest) = self.latest {
            // SAFETY: `latest` is one of `entries`; in `planted` it may have been freed.
            unsafe { (*latest.as_ptr()).hits += 1 };
        }
    }
}

impl Drop for Cache<'_> {
    fn drop(&mut self) {
        while self.evict().is_some() {}
    }
}

/// The bug: the oldest entry is the latest one as well where it is the only one.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let mut cache = Cache::new(heap)?;
    for key in KEYS {
        if cache.add(key).is_err() {
            cache.evict().ok_or(Oom)?;
            cache.count_hit();
            cache.add(key)?;
        }
    }
    Ok(KEYS.len())
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let mut cache = Cache::new(heap)?;
    for key in KEYS {
        if cache.add(key).is_err() {
            let evicted = cache.evict().ok_or(Oom)?;
            cache.latest = cache.latest.filter(|latest| *latest != evicted);
            cache.count_hit();
            cache.add(key)?;
        }
    }
    Ok(KEYS.len())
}
