//! The entries of the cache: found by name, and in the order of their last use. Only making room
//! may fail.

use std::iter;

use allocator_api2::vec::Vec;
use hashbrown::HashTable;
use mallory::{Heap, Refused};

use super::configuration::Configuration;
use crate::memory::bytes::refused;
use crate::memory::hash::hash;

/// No place: where the order of use begins and ends.
const NONE: usize = usize::MAX;

/// A configuration under its name.
pub(super) struct Entry {
    pub(super) name: Vec<u8, Heap>,
    pub(super) configuration: Configuration,
    /// When its time is over.
    pub(super) deadline: u64,
}

struct Place {
    entry: Entry,
    hash: u64,
    /// The places of the entries that were used next before and next after this one.
    older: usize,
    newer: usize,
}

pub(super) struct Entries {
    /// Places by the hash of their names.
    index: HashTable<usize, Heap>,
    places: Vec<Place, Heap>,
    oldest: usize,
    newest: usize,
}

impl Entries {
    /// None yet; takes no memory of the heap.
    pub(super) fn new(heap: &Heap) -> Self {
        let (index, places) = (HashTable::new_in(heap.clone()), Vec::new_in(heap.clone()));
        Entries { index, places, oldest: NONE, newest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The place of the entry with this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let is_it = |place: &usize| *self.places[*place].entry.name == *name.as_bytes();
        self.index.find(hash(name.as_bytes()), is_it).copied()
    }

    /// The entry at a place, lent.
    pub(super) fn get(&self, place: usize) -> &Entry {
        &self.places[place].entry
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, place: usize) -> &mut Entry {
        &mut self.places[place].entry
    }

    /// The entries with their places, the one whose last use is longest ago first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let there = |place: usize| (place != NONE).then_some(place);
        let places =
            iter::successors(there(self.oldest), move |place| there(self.places[*place].newer));
        places.map(|place| (place, self.get(place)))
    }

    /// Makes room for one more entry.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; nothing has changed then.
    pub(super) fn reserve(&mut self) -> Result<(), Refused> {
        self.places.try_reserve(1).map_err(refused)?;
        let places = &self.places;
        self.index.try_reserve(1, |place| places[*place].hash).map_err(refused)
    }

    /// Adds an entry, for which [room was made](Self::reserve), as the one that was used last.
    pub(super) fn insert(&mut self, entry: Entry) {
        let (hash, place) = (hash(&entry.name), self.places.len());
        self.places.push(Place { entry, hash, older: NONE, newer: NONE });
        let places = &self.places;
        self.index.insert_unique(hash, place, |place| places[*place].hash);
        self.append(place);
    }

    /// Says that an entry is used.
    pub(super) fn touch(&mut self, place: usize) {
        self.unlink(place);
        self.append(place);
    }

    /// Takes an entry out. The last place is then this one.
    pub(super) fn remove(&mut self, place: usize) -> Entry {
        self.unlink(place);
        self.unindex(place);
        let last = self.places.len() - 1;
        if place != last {
            self.rename(last, place);
        }
        self.places.swap_remove(place).entry
    }

    fn unindex(&mut self, place: usize) {
        let found = self.index.find_entry(self.places[place].hash, |other| *other == place);
        if let Ok(found) = found {
            found.remove();
        }
    }

    /// Lets everything that leads to a place lead to another one.
    fn rename(&mut self, from: usize, to: usize) {
        let Place { hash, older, newer, .. } = self.places[from];
        if let Some(place) = self.index.find_mut(hash, |other| *other == from) {
            *place = to;
        }
        *self.newer_of(older) = to;
        *self.older_of(newer) = to;
    }

    /// Takes a place out of the order of use.
    fn unlink(&mut self, place: usize) {
        let Place { older, newer, .. } = self.places[place];
        *self.newer_of(older) = newer;
        *self.older_of(newer) = older;
    }

    /// Puts a place at the end of the order of use.
    fn append(&mut self, place: usize) {
        let older = self.newest;
        *self.newer_of(older) = place;
        self.newest = place;
        self.places[place].older = older;
        self.places[place].newer = NONE;
    }

    /// What comes after a place, or first.
    fn newer_of(&mut self, place: usize) -> &mut usize {
        self.places.get_mut(place).map_or(&mut self.oldest, |place| &mut place.newer)
    }

    /// What comes before a place, or last.
    fn older_of(&mut self, place: usize) -> &mut usize {
        self.places.get_mut(place).map_or(&mut self.newest, |place| &mut place.older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::bytes::try_copy;
    use mallory::Plan;

    fn entry(name: u8, heap: &Heap) -> Entry {
        let name = try_copy(&[name], heap.clone()).expect("there is memory");
        Entry { name, configuration: Configuration::empty(heap), deadline: 0 }
    }

    fn order(entries: &Entries) -> std::string::String {
        entries.iter().map(|(_, entry)| char::from(entry.name[0])).collect()
    }

    #[test]
    fn entries_stay_in_the_order_of_their_use_whatever_is_removed() {
        let heap = Heap::new();
        let mut entries = Entries::new(&heap);
        for name in b'a'..=b'f' {
            entries.reserve().expect("there is memory");
            entries.insert(entry(name, &heap));
        }
        let touch = |entries: &mut Entries, name: &str| {
            let place = entries.find(name).expect("it is there");
            entries.touch(place);
        };
        touch(&mut entries, "a");
        touch(&mut entries, "c");
        touch(&mut entries, "c");
        assert_eq!(order(&entries), "bdefac");
        for (name, left) in [("b", "defac"), ("c", "defa"), ("e", "dfa"), ("a", "df")] {
            let place = entries.find(name).expect("it is there");
            assert_eq!(*entries.remove(place).name, *name.as_bytes());
            assert_eq!((order(&entries).as_str(), entries.find(name)), (left, None));
            for rest in left.split("").filter(|rest| !rest.is_empty()) {
                let place = entries.find(rest).expect("it is still there");
                assert_eq!(*entries.get(place).name, *rest.as_bytes());
            }
        }
        touch(&mut entries, "d");
        assert_eq!((order(&entries).as_str(), entries.len()), ("fd", 2));
    }

    #[test]
    fn where_no_room_can_be_made_nothing_changes() {
        let heap = Heap::new();
        let mut entries = Entries::new(&heap);
        for nth in [1, 2] {
            heap.arm(Plan::nth(nth));
            assert_eq!(Entries::new(&heap).reserve(), Err(Refused));
        }
        heap.disarm();
        entries.reserve().expect("there is memory");
        heap.arm(Plan::from(1));
        assert_eq!(entries.reserve(), Ok(()));
    }
}
