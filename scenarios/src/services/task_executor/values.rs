//! The values that tasks change. Each change returns what takes it back.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::operation::{Failure, Stopped, VALUES_MAX};
use crate::memory::bytes::{try_copy, try_push};

/// A value with its key, both text.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Vec<u8, Heap>,
    pub(super) value: Vec<u8, Heap>,
}

/// All values, in the order in which they were added.
#[derive(Debug)]
pub(super) struct Values {
    entries: Vec<Entry, Heap>,
}

/// Takes one change back, if all later ones were taken back before it.
#[derive(Debug)]
pub(super) enum Compensation {
    /// Removes the last entry.
    RemoveLast,
    /// Gives the entry at this place the value that it had.
    Restore(usize, Vec<u8, Heap>),
    /// Gives the entry at this place the key that it had.
    Rename(usize, Vec<u8, Heap>),
    /// Puts an entry back to this place. There is room: the place that it left, which later entries
    /// have left again.
    PutBack(usize, Entry),
}

impl Values {
    pub(super) fn new(heap: &Heap) -> Self {
        Values { entries: Vec::new_in(heap.clone()) }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn get(&self, key: &str) -> Result<&[u8], Failure> {
        Ok(&self.entries[self.find(key)?].value)
    }

    fn find(&self, key: &str) -> Result<usize, Failure> {
        let has_it = |entry: &Entry| *entry.key == *key.as_bytes();
        self.entries.iter().position(has_it).ok_or(Failure::Unknown)
    }

    fn copy(&self, text: &[u8]) -> Result<Vec<u8, Heap>, Refused> {
        try_copy(text, self.entries.allocator().clone())
    }

    pub(super) fn set(&mut self, key: &str, value: &[u8]) -> Result<Compensation, Stopped> {
        if let Ok(at) = self.find(key) {
            let value = self.copy(value)?;
            let old = std::mem::replace(&mut self.entries[at].value, value);
            return Ok(Compensation::Restore(at, old));
        }
        if self.entries.len() >= VALUES_MAX {
            return Err(Failure::TooMany.into());
        }
        let entry = Entry { key: self.copy(key.as_bytes())?, value: self.copy(value)? };
        try_push(&mut self.entries, entry)?;
        Ok(Compensation::RemoveLast)
    }

    pub(super) fn remove(&mut self, key: &str) -> Result<Compensation, Stopped> {
        let at = self.find(key)?;
        Ok(Compensation::PutBack(at, self.entries.remove(at)))
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<Compensation, Stopped> {
        let at = self.find(from)?;
        if self.find(to).is_ok() {
            return Err(Failure::Exists.into());
        }
        let key = self.copy(to.as_bytes())?;
        Ok(Compensation::Rename(at, std::mem::replace(&mut self.entries[at].key, key)))
    }

    /// Takes a change back. Requests nothing.
    pub(super) fn compensate(&mut self, compensation: Compensation) {
        match compensation {
            Compensation::RemoveLast => drop(self.entries.pop()),
            Compensation::Restore(at, value) => self.entries[at].value = value,
            Compensation::Rename(at, key) => self.entries[at].key = key,
            Compensation::PutBack(at, entry) => self.entries.insert(at, entry),
        }
    }
}
