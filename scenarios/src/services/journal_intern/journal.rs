//! The journal: its records, its strings, and the index of each path's newest record.

use allocator_api2::vec::Vec;
use hashbrown::HashTable;
use mallory::{Heap, Refused};

use super::operation::{Error, Ids, Path, Reply};
use super::record::{self, Entry, Record, Staged};
use crate::memory::bytes::{Text, refused, try_push, try_with_capacity};
use crate::memory::hash::hash;
use crate::memory::intern::Stats;
use crate::memory::{InternTable, with_arena};
use crate::services::git_log::{ChangeKind, Digest, Log};

/// The most temporary memory that an operation may hold.
const SCRATCH_CAP: usize = 64 << 20;

/// A path's newest record.
pub(super) struct Newest {
    hash: u64,
    pub(super) record: usize,
}

/// The newest record of each path, found by the path.
pub(super) type NewestIndex = HashTable<Newest, Heap>;

/// The service.
pub struct JournalIntern {
    heap: Heap,
    pub(super) strings: InternTable,
    pub(super) records: Vec<Record, Heap>,
    pub(super) newest: NewestIndex,
}

impl JournalIntern {
    /// An empty journal on this heap; takes no memory yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        JournalIntern {
            heap: heap.clone(),
            strings: InternTable::new(heap),
            records: Vec::new_in(heap.clone()),
            newest: HashTable::new_in(heap.clone()),
        }
    }

    /// What the intern table holds, and how many duplicates it saved. A diagnostic, not part of the
    /// state: under the kill switch nothing is saved.
    #[must_use]
    pub fn strings(&self) -> Stats {
        self.strings.stats()
    }

    /// Appends all entries or none.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the journal is then as before.
    pub fn append(&mut self, entries: &[Entry<&[u8]>]) -> Result<usize, Refused> {
        self.records.try_reserve(entries.len()).map_err(refused)?;
        self.newest.try_reserve(entries.len(), |newest| newest.hash).map_err(refused)?;
        let mut staged = try_with_capacity(entries.len(), &self.heap)?;
        for entry in entries {
            try_push(&mut staged, Staged::hold(&self.strings, entry)?)?;
        }
        for (staged, entry) in staged.into_iter().zip(entries) {
            // There is room for all of them: reserved above.
            self.records.push_within_capacity(staged.keep()).map_err(refused)?;
            let place = self.records.len() - 1;
            note(&mut self.newest, &self.strings, &self.records, hash(entry.path), place)?;
        }
        Ok(entries.len())
    }

    pub(super) fn append_from_log(
        &mut self,
        log: &[u8],
        skip: usize,
        take: usize,
    ) -> Result<usize, Error> {
        let mut total = 0;
        for commit in Log::new(log) {
            total += record::of_commit(&commit?).count();
        }
        let begin = skip.min(total);
        let count = take.min(total - begin);
        with_arena(&self.heap.clone(), SCRATCH_CAP, |arena| {
            let mut entries = try_with_capacity(count, arena)?;
            // A log begins with the newest record, a journal with the oldest.
            for entry in record::of_log(log).skip(total - begin - count).take(count) {
                try_push(&mut entries, entry)?;
            }
            entries.reverse();
            Ok(self.append(&entries)?)
        })
    }

    /// Builds a new index from the records and replaces the present one with it.
    pub(super) fn replay(&mut self) -> Result<Reply<Path, Ids>, Refused> {
        let newest = self.index(&self.records)?;
        let (live, digest) = with_arena(&self.heap, SCRATCH_CAP, |arena| {
            let mut live = Vec::new_in(arena);
            for newest in &newest {
                let record = self.records[newest.record];
                if record.kind != ChangeKind::Deleted {
                    try_push(&mut live, record)?;
                }
            }
            live.sort_unstable_by(|left, right| self.strings.compare(left.path, right.path));
            let mut text = Text::new_in(arena);
            for record in &live {
                record.describe(&self.strings, &mut text)?;
            }
            Ok((live.len(), Digest::of(&text)))
        })?;
        self.newest = newest;
        Ok(Reply::Replayed { records: self.records.len(), live, digest })
    }

    /// The index of records.
    fn index(&self, records: &[Record]) -> Result<NewestIndex, Refused> {
        let mut index = HashTable::new_in(self.heap.clone());
        for (place, record) in records.iter().enumerate() {
            let hash = self.strings.resolve(record.path, hash).unwrap_or_default();
            note(&mut index, &self.strings, records, hash, place)?;
        }
        Ok(index)
    }

    /// Keeps only the newest record of each path; returns how many were dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the journal is then as before.
    pub fn compact(&mut self) -> Result<usize, Refused> {
        let mut kept = try_with_capacity(self.newest.len(), self.heap.clone())?;
        let is_newest = |place: usize| {
            let hash = self.strings.resolve(self.records[place].path, hash).unwrap_or_default();
            self.newest.find(hash, |newest| newest.record == place).is_some()
        };
        for (place, record) in self.records.iter().enumerate() {
            if is_newest(place) {
                try_push(&mut kept, *record)?;
            }
        }
        let index = self.index(&kept)?;

        // Nothing fails from here on. The kept records keep their references; the others release
        // them.
        for (_, record) in self.records.iter().enumerate().filter(|(place, _)| !is_newest(*place)) {
            record.release(&self.strings);
        }
        let dropped = self.records.len() - kept.len();
        self.records = kept;
        self.newest = index;
        Ok(dropped)
    }

    /// A copy of the newest record of a path, which is freed when it is dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Entry<Path>>, Refused> {
        let is_of = |newest: &Newest| self.strings.is(self.records[newest.record].path, path);
        let newest = self.newest.find(hash(path), is_of);
        newest.map(|newest| self.records[newest.record].read(&self.strings, &self.heap)).transpose()
    }

    pub(super) fn history(&self, path: &[u8]) -> Result<Ids, Refused> {
        let mut commits = Vec::new_in(self.heap.clone());
        for record in self.records.iter().filter(|record| self.strings.is(record.path, path)) {
            try_push(&mut commits, record::id(&self.strings, record.commit)?)?;
        }
        Ok(commits)
    }

    pub(super) fn count(&self) -> Result<Reply<Path, Ids>, Refused> {
        let strings = with_arena(&self.heap, SCRATCH_CAP, |arena| {
            let mut handles = Vec::new_in(arena);
            for handle in self.records.iter().flat_map(Record::handles) {
                try_push(&mut handles, handle)?;
            }
            // By text and not by handle: under the kill switch equal strings have several.
            handles.sort_unstable_by(|left, right| self.strings.compare(*left, *right));
            handles.dedup_by(|left, right| self.strings.compare(*left, *right).is_eq());
            Ok(handles.len())
        })?;
        Ok(Reply::Counted { records: self.records.len(), paths: self.newest.len(), strings })
    }
}

/// Makes the record at `place` its path's newest.
fn note(
    index: &mut NewestIndex,
    strings: &InternTable,
    records: &[Record],
    hash: u64,
    place: usize,
) -> Result<(), Refused> {
    let path = records[place].path;
    let is_same = |newest: &Newest| {
        let other = records[newest.record].path;
        other == path || strings.compare(other, path).is_eq()
    };
    if let Some(newest) = index.find_mut(hash, is_same) {
        newest.record = place;
        return Ok(());
    }
    index.try_reserve(1, |newest| newest.hash).map_err(refused)?;
    index.insert_unique(hash, Newest { hash, record: place }, |newest| newest.hash);
    Ok(())
}
