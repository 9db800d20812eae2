//! The service journal-intern: an append-only journal of changes whose paths and object ids are
//! handles of an intern table, so that what comes again and again is stored once.
//!
//! Every operation reserves first and changes last: what may fail is over when the first record is
//! touched, so an error leaves all as it was, reference counts too.

mod model;
mod record;

use std::fmt::Debug;

use allocator_api2::vec::Vec;
use arbitrary::{Arbitrary, Unstructured};
use hashbrown::HashTable;
use mallory::system::World;
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use crate::draw;
use crate::journal::{Digest, Id, Kind, Log, log};
use crate::memory::bytes::{Bytes, Text, refused, try_push, try_with_capacity};
use crate::memory::hash::hash;
use crate::memory::intern::Stats;
use crate::memory::{InternTable, with_arena};

use record::{Record, Staged};

pub use model::Model;
pub use record::Entry;

/// The most that an operation may hold beside the journal.
const SCRATCH_CAP: usize = 64 << 20;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Appends one record.
    Append(#[arbitrary(with = draw_entry)] Entry<String>),
    /// Appends records of the input, a log. Its oldest record is number 0.
    AppendFromLog {
        /// Where to begin.
        #[arbitrary(with = draw::count)]
        skip: usize,
        /// How many at most.
        #[arbitrary(with = draw::count)]
        take: usize,
    },
    /// Derives the live state anew, from the records alone.
    Replay,
    /// Keeps only the newest record of each path.
    Compact,
    /// The newest record of a path.
    Lookup {
        /// The path.
        #[arbitrary(with = draw::path)]
        path: String,
    },
    /// The commits of all records of a path, oldest first.
    History {
        /// The path.
        #[arbitrary(with = draw::path)]
        path: String,
    },
    /// How large the journal is.
    Count,
}

fn draw_entry(u: &mut Unstructured<'_>) -> arbitrary::Result<Entry<String>> {
    Ok(Entry {
        commit: u.arbitrary()?,
        path: draw::path(u)?,
        kind: u.arbitrary()?,
        old: u.arbitrary()?,
        new: u.arbitrary()?,
    })
}

/// What an operation answers; the parts are the heap's or, from the model, the standard library's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<Path, Ids> {
    /// So many records were appended.
    Appended(usize),
    /// The live state.
    Replayed {
        /// Records walked.
        records: usize,
        /// Paths that exist after the last of them.
        live: usize,
        /// The SHA-256 over these paths and their blobs, in byte order.
        digest: Digest,
    },
    /// So many records went.
    Compacted(usize),
    /// The newest record of a path, if there is any.
    Newest(Option<Entry<Path>>),
    /// The commits that touched a path.
    History(Ids),
    /// How large the journal is.
    Counted {
        /// Records.
        records: usize,
        /// Distinct paths.
        paths: usize,
        /// Distinct strings: paths and object ids.
        strings: usize,
    },
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no memory.
    OutOfMemory,
    /// The input is not a log.
    Log(log::Error),
}

impl From<Refused> for Error {
    fn from(Refused: Refused) -> Self {
        Error::OutOfMemory
    }
}

impl From<log::Error> for Error {
    fn from(error: log::Error) -> Self {
        Error::Log(error)
    }
}

/// A path that an operation answers.
pub type Path = Bytes<Vec<u8, Heap>>;
type Ids = Vec<Id, Heap>;

/// A path's newest record.
struct Newest {
    hash: u64,
    record: usize,
}

/// The newest record of each path, found by the path.
type Index = HashTable<Newest, Heap>;

/// The service.
pub struct JournalIntern {
    heap: Heap,
    strings: InternTable,
    records: Vec<Record, Heap>,
    newest: Index,
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

    /// What the intern table holds, and how many duplicates it saved. A diagnostic and no part of
    /// the state: under the kill switch nothing is saved.
    #[must_use]
    pub fn strings(&self) -> Stats {
        self.strings.stats()
    }

    /// Appends all entries or none.
    ///
    /// # Errors
    /// [`Refused`] where there is no memory; the journal is then as before.
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

    fn append_from_log(&mut self, log: &[u8], skip: usize, take: usize) -> Result<usize, Error> {
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

    /// Walks the records and puts the index that they give in place of the present one.
    fn replay(&mut self) -> Result<Reply<Path, Ids>, Refused> {
        let newest = self.index(&self.records)?;
        let (live, digest) = with_arena(&self.heap, SCRATCH_CAP, |arena| {
            let mut live = Vec::new_in(arena);
            for newest in &newest {
                let record = self.records[newest.record];
                if record.kind != Kind::Deleted {
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
    fn index(&self, records: &[Record]) -> Result<Index, Refused> {
        let mut index = HashTable::new_in(self.heap.clone());
        for (place, record) in records.iter().enumerate() {
            let hash = self.strings.resolve(record.path, hash).unwrap_or_default();
            note(&mut index, &self.strings, records, hash, place)?;
        }
        Ok(index)
    }

    /// Keeps only the newest record of each path; answers how many went.
    ///
    /// # Errors
    /// [`Refused`] where there is no memory; the journal is then as before.
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

        // Nothing fails from here on. The kept records' handles have moved, the others' go.
        for (_, record) in self.records.iter().enumerate().filter(|(place, _)| !is_newest(*place)) {
            record.release(&self.strings);
        }
        let dropped = self.records.len() - kept.len();
        self.records = kept;
        self.newest = index;
        Ok(dropped)
    }

    /// The newest record of a path.
    ///
    /// # Errors
    /// [`Refused`] where there is no memory.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Entry<Path>>, Refused> {
        let is_of = |newest: &Newest| self.strings.is(self.records[newest.record].path, path);
        let newest = self.newest.find(hash(path), is_of);
        newest.map(|newest| self.records[newest.record].read(&self.strings, &self.heap)).transpose()
    }

    fn history(&self, path: &[u8]) -> Result<Ids, Refused> {
        let mut commits = Vec::new_in(self.heap.clone());
        for record in self.records.iter().filter(|record| self.strings.is(record.path, path)) {
            try_push(&mut commits, record::id(&self.strings, record.commit)?)?;
        }
        Ok(commits)
    }

    fn count(&self) -> Result<Reply<Path, Ids>, Refused> {
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
    index: &mut Index,
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

impl System for JournalIntern {
    const NAME: &'static str = "journal-intern";

    type Op = Op;
    type Reply = Reply<Path, Ids>;
    type Error = Error;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Error> {
        Ok(JournalIntern::new(heap))
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Self::Reply, Error> {
        Ok(match op {
            Op::Append(entry) => Reply::Appended(self.append(&[entry.borrow()])?),
            Op::AppendFromLog { skip, take } => {
                Reply::Appended(self.append_from_log(world.input, *skip, *take)?)
            }
            Op::Replay => self.replay()?,
            Op::Compact => Reply::Compacted(self.compact()?),
            Op::Lookup { path } => Reply::Newest(self.lookup(path.as_bytes())?),
            Op::History { path } => Reply::History(self.history(path.as_bytes())?),
            Op::Count => self.count()?,
        })
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> Model {
        Model::of(self)
    }

    fn model(model: &mut Model, op: &Op, world: &World<'_>) -> impl Debug {
        match model.apply(op, world) {
            Ok(reply) => Box::new(reply) as Box<dyn Debug>,
            Err(error) => Box::new(error),
        }
    }
}
