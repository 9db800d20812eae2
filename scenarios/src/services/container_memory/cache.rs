//! The cache of specifications that were read before, the latest used last. Nothing depends on it:
//! what is not there is read again, and what there is no memory for is not kept.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::parse::Spec;
use crate::memory::bytes::{refused, try_copy};

/// The most specifications that are kept.
const ENTRIES: usize = 16;

struct CacheEntry {
    text: Vec<u8, Heap>,
    spec: Spec,
}

pub(super) struct SpecCache {
    heap: Heap,
    entries: Vec<CacheEntry, Heap>,
}

impl SpecCache {
    pub(super) fn new(heap: &Heap) -> Self {
        SpecCache { heap: heap.clone(), entries: Vec::new_in(heap.clone()) }
    }

    /// The specification that was read from this text.
    pub(super) fn get(&mut self, text: &str) -> Option<Spec> {
        let place = self.entries.iter().position(|entry| *entry.text == *text.as_bytes())?;
        self.entries[place..].rotate_left(1);
        self.entries.last().map(|entry| entry.spec.clone())
    }

    /// Keeps a specification in the place of the one whose last use is longest ago.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the cache is then as before.
    pub(super) fn keep(&mut self, text: &str, spec: &Spec) -> Result<(), Refused> {
        let text = try_copy(text.as_bytes(), self.heap.clone())?;
        self.entries.try_reserve_exact(1).map_err(refused)?;
        if self.entries.len() == ENTRIES {
            self.entries.remove(0);
        }
        self.entries.push(CacheEntry { text, spec: spec.clone() });
        Ok(())
    }

    /// Gives up all but this many, those whose last use is longest ago; returns how many.
    pub(super) fn shrink(&mut self, left: usize) -> usize {
        let gone = self.entries.len().saturating_sub(left);
        self.entries.drain(..gone);
        gone
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of the texts.
    pub(super) fn bytes(&self) -> usize {
        let text: usize = self.entries.iter().map(|entry| entry.text.len()).sum();
        text + self.entries.len() * size_of::<CacheEntry>()
    }
}
