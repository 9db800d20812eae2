//! The intern table: one copy of each string, and a small handle to name it by.
//!
//! Strings are spread over shards by their hash. Each shard has a lock of its own, held only for
//! one look-up, one insertion or one call of a reader's closure. A string lives as long as it has
//! references; its slot is reused, so memory stays bounded however many strings come and go.

use std::cmp::Ordering;
use std::mem;

use allocator_api2::vec::Vec;
use hashbrown::HashTable;
use mallory::{Heap, Refused};

use super::bytes::{refused, try_copy};
use super::hash::hash;
use crate::sync::{Mutex, MutexGuard, PoisonError};

const SHARD_BITS: u32 = 3;
const SHARDS: usize = 1 << SHARD_BITS;

/// The end of a shard's list of free slots.
const NONE: u32 = u32::MAX;

/// Names a string of one table. Equal handles name the same string; under the kill switch the same
/// string may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// The slot's number, and the shard's below it.
    place: u32,
    /// How often the slot was reused before, so that a handle that outlived its string finds
    /// nothing.
    age: u32,
}

impl Handle {
    fn shard(self) -> usize {
        self.place as usize % SHARDS
    }

    fn slot(self) -> usize {
        self.place as usize / SHARDS
    }
}

/// What a table holds, and what it saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Strings that live.
    pub strings: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Acquisitions so far that found an existing string.
    pub saved_strings: usize,
    /// The bytes that those would have copied.
    pub saved_bytes: usize,
}

impl Stats {
    /// What was saved, as a service reports it: names and numbers. Dropping the list frees it.
    #[must_use]
    pub fn metrics(&self) -> std::vec::Vec<(&'static str, u64)> {
        vec![
            ("interned_strings", self.strings as u64),
            ("interned_bytes", self.bytes as u64),
            ("saved_duplicates", self.saved_strings as u64),
            ("saved_bytes", self.saved_bytes as u64),
        ]
    }
}

struct StringSlot {
    bytes: Vec<u8, Heap>,
    hash: u64,
    references: u32,
    age: u32,
    /// The next free slot, where this one is free.
    next_free: u32,
}

struct Shard {
    /// StringSlot numbers by the hash of their strings.
    index: HashTable<u32, Heap>,
    slots: Vec<StringSlot, Heap>,
    first_free: u32,
    stats: Stats,
}

/// A table of strings with reference counts.
///
/// It takes its memory from a heap named `intern`, made from the one it is given. `Sync`; with a
/// serial heap it still belongs to that heap's thread.
pub struct InternTable {
    shards: [Mutex<Shard>; SHARDS],
    heap: Heap,
    bypass: bool,
}

impl InternTable {
    /// An empty table over this heap; takes no memory yet. Under the kill switch
    /// ([`Heap::bypass`]) each acquisition makes a copy of its own.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        let bypass = heap.bypass();
        let heap = heap.named("intern");
        let shard = |_| {
            Mutex::new(Shard {
                index: HashTable::new_in(heap.clone()),
                slots: Vec::new_in(heap.clone()),
                first_free: NONE,
                stats: Stats::default(),
            })
        };
        InternTable { shards: std::array::from_fn(shard), heap, bypass }
    }

    /// A handle on this string, with one more reference, which [`release`](Self::release) gives back.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the table is then as before.
    pub fn acquire(&self, text: impl AsRef<[u8]>) -> Result<Handle, Refused> {
        let text = text.as_ref();
        let hash = hash(text);
        // hashbrown uses the hash's low bits and its highest seven; these are between.
        let number = (hash >> 32) as usize % SHARDS;
        let mut shard = self.lock(number);
        let found = if self.bypass { None } else { shard.find(hash, text) };
        let slot = match found {
            Some(slot) => shard.acquire_again(slot)?,
            None => shard.insert(hash, text, &self.heap, !self.bypass)?,
        };
        let place = slot * SHARDS as u32 + number as u32;
        Ok(Handle { place, age: shard.slots[slot as usize].age })
    }

    /// Like [`acquire`](Self::acquire), but dropping the result releases the reference,
    /// unless it is [kept](Held::keep): for operations that may still fail.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the table is then as before.
    pub fn hold(&self, text: impl AsRef<[u8]>) -> Result<Held<'_>, Refused> {
        Ok(Held { handle: self.acquire(text)?, table: self })
    }

    /// Adds a reference. Returns false if the handle has outlived its string, or there are too many
    /// references.
    #[must_use]
    pub fn retain(&self, handle: Handle) -> bool {
        let mut shard = self.lock(handle.shard());
        let Some(slot) = shard.slot_mut(handle) else {
            return false;
        };
        let more = slot.references.checked_add(1);
        slot.references = more.unwrap_or(slot.references);
        more.is_some()
    }

    /// Releases a reference; the last one frees the string. Returns false if the handle has
    /// outlived the string.
    pub fn release(&self, handle: Handle) -> bool {
        let mut shard = self.lock(handle.shard());
        let Some(slot) = shard.slot_mut(handle) else {
            return false;
        };
        slot.references -= 1;
        if slot.references == 0 {
            let bytes = shard.remove(handle.slot() as u32, &self.heap);
            // The string goes back to the heap after the lock is.
            drop(shard);
            drop(bytes);
        }
        true
    }

    /// Calls `read` with the string; `None` if the handle has outlived it. The shard
    /// is locked meanwhile, so `read` must not call the table.
    pub fn resolve<R>(&self, handle: Handle, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.lock(handle.shard()).text(handle).map(read)
    }

    /// Whether the handle names this string.
    #[must_use]
    pub fn is(&self, handle: Handle, text: &[u8]) -> bool {
        self.resolve(handle, |bytes| bytes == text).unwrap_or(false)
    }

    /// Orders two handles by their strings; one that has outlived its string comes first.
    #[must_use]
    pub fn compare(&self, left: Handle, right: Handle) -> Ordering {
        let (of_left, of_right) = (left.shard(), right.shard());
        // The lower shard is locked first, or two comparisons could wait for each other.
        let lower = self.lock(of_left.min(of_right));
        match of_left.cmp(&of_right) {
            Ordering::Equal => lower.text(left).cmp(&lower.text(right)),
            Ordering::Less => lower.text(left).cmp(&self.lock(of_right).text(right)),
            Ordering::Greater => self.lock(of_left).text(left).cmp(&lower.text(right)),
        }
    }

    /// Calls `visit` with every string and its references, in no particular order. `visit` must not
    /// call the table.
    pub fn for_each(&self, mut visit: impl FnMut(&[u8], u32)) {
        for number in 0..SHARDS {
            let shard = self.lock(number);
            for slot in shard.slots.iter().filter(|slot| slot.references != 0) {
                visit(&slot.bytes, slot.references);
            }
        }
    }

    /// What the table holds, and what it saved.
    #[must_use]
    pub fn stats(&self) -> Stats {
        (0..SHARDS).map(|number| self.lock(number).stats).fold(Stats::default(), |sum, of| Stats {
            strings: sum.strings + of.strings,
            bytes: sum.bytes + of.bytes,
            saved_strings: sum.saved_strings + of.saved_strings,
            saved_bytes: sum.saved_bytes + of.saved_bytes,
        })
    }

    /// No step under the lock leaves a shard half changed, and a reader's closure that panics
    /// changes nothing, so poison means nothing here.
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn find(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.index.find(hash, |slot| self.slots[*slot as usize].bytes == text).copied()
    }

    fn acquire_again(&mut self, number: u32) -> Result<u32, Refused> {
        let slot = &mut self.slots[number as usize];
        slot.references = slot.references.checked_add(1).ok_or(Refused)?;
        self.stats.saved_strings += 1;
        self.stats.saved_bytes += slot.bytes.len();
        Ok(number)
    }

    /// Reserves everything first, so that what may fail comes before what changes.
    fn insert(
        &mut self,
        hash: u64,
        text: &[u8],
        heap: &Heap,
        indexed: bool,
    ) -> Result<u32, Refused> {
        if self.first_free == NONE {
            if self.slots.len() >= (NONE >> SHARD_BITS) as usize {
                return Err(Refused);
            }
            self.slots.try_reserve(1).map_err(refused)?;
        }
        let slots = &self.slots;
        let rehash = |slot: &u32| slots[*slot as usize].hash;
        if indexed {
            self.index.try_reserve(1, rehash).map_err(refused)?;
        }
        let bytes = try_copy(text, heap.clone())?;

        let number = if self.first_free == NONE { slots.len() as u32 } else { self.first_free };
        if indexed {
            self.index.insert_unique(hash, number, rehash);
        }
        self.stats.strings += 1;
        self.stats.bytes += text.len();
        let fresh = StringSlot { bytes, hash, references: 1, age: 0, next_free: NONE };
        if let Some(slot) = self.slots.get_mut(number as usize) {
            self.first_free = slot.next_free;
            *slot = StringSlot { age: slot.age, ..fresh };
        } else {
            self.slots.push_within_capacity(fresh).map_err(refused)?;
        }
        Ok(number)
    }

    /// Takes a string out that has no references left; its slot is free again, and older.
    fn remove(&mut self, number: u32, heap: &Heap) -> Vec<u8, Heap> {
        let slot = &mut self.slots[number as usize];
        if let Ok(entry) = self.index.find_entry(slot.hash, |other| *other == number) {
            entry.remove();
        }
        slot.age = slot.age.wrapping_add(1);
        slot.next_free = mem::replace(&mut self.first_free, number);
        self.stats.strings -= 1;
        self.stats.bytes -= slot.bytes.len();
        mem::replace(&mut slot.bytes, Vec::new_in(heap.clone()))
    }

    fn slot_mut(&mut self, handle: Handle) -> Option<&mut StringSlot> {
        let slot = self.slots.get_mut(handle.slot())?;
        (slot.age == handle.age && slot.references != 0).then_some(slot)
    }

    fn text(&self, handle: Handle) -> Option<&[u8]> {
        let slot = self.slots.get(handle.slot())?;
        (slot.age == handle.age && slot.references != 0).then_some(&slot.bytes)
    }
}

/// A reference that is released when this is dropped.
#[must_use]
pub struct Held<'t> {
    handle: Handle,
    table: &'t InternTable,
}

impl Held<'_> {
    /// The handle, for as long as this lives, which releases it when it is dropped.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The handle, with the reference; the caller releases it.
    #[must_use]
    pub fn keep(self) -> Handle {
        let handle = self.handle;
        mem::forget(self);
        handle
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.table.release(self.handle);
    }
}
