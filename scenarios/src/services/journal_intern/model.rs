//! The plain model of the journal: the same operations on standard collections.

use std::collections::{BTreeMap, BTreeSet};

use mallory::system::World;

use super::journal::JournalIntern;
use super::operation::{Error, Op, Reply};
use super::record::{Entry, id, of_log};
use crate::memory::bytes::Bytes;
use crate::services::git_log::{ChangeKind, Digest, Id, Log};

type Name = Bytes<Vec<u8>>;

/// The contents of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The records, oldest first.
    pub records: Vec<Entry<Name>>,
    /// The place of each path's newest record.
    pub newest: BTreeMap<Name, usize>,
    /// How many references there are to each string, over all its copies.
    pub references: BTreeMap<Name, u32>,
}

impl Model {
    pub(super) fn of(journal: &JournalIntern) -> Model {
        let strings = &journal.strings;
        let lost = "the journal holds a reference for each of its handles";
        let name = |handle| Bytes(strings.resolve(handle, <[u8]>::to_vec).expect(lost));
        let records = journal.records.iter().map(|record| {
            let [commit, path, old, new] = record.handles();
            let id = |handle| id(strings, handle).expect(lost);
            let (commit, old, new) = (id(commit), id(old), id(new));
            Entry { commit, path: name(path), kind: record.kind, old, new }
        });
        let newest = journal
            .newest
            .iter()
            .map(|newest| (name(journal.records[newest.record].path), newest.record));
        let mut model = Model { records: records.collect(), ..Model::default() };
        model.newest = newest.collect();
        strings.for_each(|text, references| {
            *model.references.entry(Bytes(text.to_vec())).or_default() += references;
        });
        model
    }

    pub(super) fn apply(
        &mut self,
        op: &Op,
        world: &World<'_>,
    ) -> Result<Reply<Name, Vec<Id>>, Error> {
        let name = |path: &String| Bytes(path.clone().into_bytes());
        Ok(match op {
            Op::Append(entry) => self.append([entry.with_path(name(&entry.path))]),
            Op::AppendFromLog { skip, take } => {
                if let Some(error) = Log::new(world.input).find_map(Result::err) {
                    return Err(error.into());
                }
                let mut entries: Vec<_> = of_log(world.input).collect();
                entries.reverse();
                let owned = |entry: Entry<&[u8]>| entry.with_path(Bytes(entry.path.to_vec()));
                self.append(entries.into_iter().skip(*skip).take(*take).map(owned))
            }
            Op::Replay => self.replay(),
            Op::Compact => self.compact(),
            Op::Lookup { path } => {
                let newest = self.newest.get(&name(path));
                Reply::Newest(newest.map(|place| self.records[*place].clone()))
            }
            Op::History { path } => {
                let path = name(path);
                let records = self.records.iter().filter(|record| record.path == path);
                Reply::History(records.map(|record| record.commit).collect())
            }
            Op::Count => Reply::Counted {
                records: self.records.len(),
                paths: self.newest.len(),
                strings: self.records.iter().flat_map(strings_of).collect::<BTreeSet<_>>().len(),
            },
        })
    }

    fn append(&mut self, entries: impl IntoIterator<Item = Entry<Name>>) -> Reply<Name, Vec<Id>> {
        let before = self.records.len();
        self.records.extend(entries);
        self.derive();
        Reply::Appended(self.records.len() - before)
    }

    fn replay(&self) -> Reply<Name, Vec<Id>> {
        let records = self.newest.values().map(|place| &self.records[*place]);
        let live: Vec<_> = records.filter(|record| record.kind != ChangeKind::Deleted).collect();
        let mut text = Vec::new();
        for record in &live {
            text.extend_from_slice(&record.path.0);
            text.extend_from_slice(format!("\0{}\n", record.new).as_bytes());
        }
        let (records, live) = (self.records.len(), live.len());
        Reply::Replayed { records, live, digest: Digest::of(&text) }
    }

    fn compact(&mut self) -> Reply<Name, Vec<Id>> {
        let before = self.records.len();
        let newest: BTreeSet<usize> = self.newest.values().copied().collect();
        let mut place = 0;
        self.records.retain(|_| {
            place += 1;
            newest.contains(&(place - 1))
        });
        self.derive();
        Reply::Compacted(before - self.records.len())
    }

    /// What follows from the records.
    fn derive(&mut self) {
        self.newest.clear();
        self.references.clear();
        for (place, record) in self.records.iter().enumerate() {
            self.newest.insert(record.path.clone(), place);
            for text in strings_of(record) {
                *self.references.entry(text).or_default() += 1;
            }
        }
    }
}

fn strings_of(record: &Entry<Name>) -> [Name; 4] {
    let id = |id: Id| Bytes(id.as_bytes().to_vec());
    [id(record.commit), record.path.clone(), id(record.old), id(record.new)]
}
