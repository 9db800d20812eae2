//! A record of the journal: as an entry with its strings, and as handles of them.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};
use serde::{Deserialize, Serialize};

use crate::memory::bytes::{Bytes, Text, try_copy};
use crate::memory::{Handle, Held, InternTable};
use crate::services::git_log::{Change, ChangeKind, Commit, Id, Log};

/// One change of one path in one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry<Path> {
    /// The commit.
    pub commit: Id,
    /// The path that it changed.
    pub path: Path,
    /// What it did.
    pub kind: ChangeKind,
    /// The blob before.
    pub old: Id,
    /// The blob after.
    pub new: Id,
}

impl<Path: AsRef<[u8]>> Entry<Path> {
    /// The same entry with a borrowed path.
    pub(super) fn borrow(&self) -> Entry<&[u8]> {
        self.with_path(self.path.as_ref())
    }
}

impl<Path> Entry<Path> {
    /// The same entry with a path of another type.
    pub(super) fn with_path<Other>(&self, path: Other) -> Entry<Other> {
        let Entry { commit, kind, old, new, .. } = *self;
        Entry { commit, path, kind, old, new }
    }
}

/// The entries of a commit, in the log's order. A rename is two: the old name is deleted, the new
/// one is renamed.
pub(super) fn of_commit<'a>(
    commit: &Commit<'a>,
) -> impl Iterator<Item = Entry<&'a [u8]>> + use<'a> {
    let commit = commit.clone();
    commit.changes().flat_map(move |change| {
        let Change { kind, old, new, path, from } = change;
        let entry = Entry { commit: commit.id, path, kind, old, new };
        let left = from.filter(|_| kind == ChangeKind::Renamed);
        let end =
            left.map(|path| Entry { path, kind: ChangeKind::Deleted, new: old.none(), ..entry });
        end.into_iter().chain([entry])
    })
}

/// The entries of a log in its order, the newest first. Ends at the first error.
pub(super) fn of_log(log: &[u8]) -> impl Iterator<Item = Entry<&[u8]>> {
    Log::new(log).map_while(Result::ok).flat_map(|commit| of_commit(&commit))
}

/// An entry whose strings the table keeps. The journal owns one reference for each handle.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) commit: Handle,
    pub(super) path: Handle,
    pub(super) kind: ChangeKind,
    old: Handle,
    new: Handle,
}

/// A record that is not in the journal yet: dropping it releases its references.
pub(super) struct Staged<'t> {
    commit: Held<'t>,
    path: Held<'t>,
    kind: ChangeKind,
    old: Held<'t>,
    new: Held<'t>,
}

impl<'t> Staged<'t> {
    pub(super) fn hold(table: &'t InternTable, entry: &Entry<&[u8]>) -> Result<Self, Refused> {
        Ok(Staged {
            commit: table.hold(entry.commit.as_bytes())?,
            path: table.hold(entry.path)?,
            kind: entry.kind,
            old: table.hold(entry.old.as_bytes())?,
            new: table.hold(entry.new.as_bytes())?,
        })
    }

    pub(super) fn keep(self) -> Record {
        let Staged { commit, path, kind, old, new } = self;
        Record { commit: commit.keep(), path: path.keep(), kind, old: old.keep(), new: new.keep() }
    }
}

/// The object id that a handle names. The journal holds a reference for each of its handles, so
/// the string is always there.
pub(super) fn id(table: &InternTable, handle: Handle) -> Result<Id, Refused> {
    table.resolve(handle, Id::from_bytes).and_then(Result::ok).ok_or(Refused)
}

impl Record {
    pub(super) fn handles(&self) -> [Handle; 4] {
        [self.commit, self.path, self.old, self.new]
    }

    pub(super) fn release(&self, table: &InternTable) {
        for handle in self.handles() {
            table.release(handle);
        }
    }

    /// The entry, with a copy of the path.
    pub(super) fn read(
        &self,
        table: &InternTable,
        heap: &Heap,
    ) -> Result<Entry<Bytes<Vec<u8, Heap>>>, Refused> {
        let path = table.resolve(self.path, |path| try_copy(path, heap.clone()));
        Ok(Entry {
            commit: id(table, self.commit)?,
            path: Bytes(path.ok_or(Refused)??),
            kind: self.kind,
            old: id(table, self.old)?,
            new: id(table, self.new)?,
        })
    }

    /// Writes the path and its blob, as the digest of the live state takes them.
    pub(super) fn describe<A: Allocator>(
        &self,
        table: &InternTable,
        text: &mut Text<A>,
    ) -> Result<(), Refused> {
        let new = id(table, self.new)?;
        table.resolve(self.path, |path| text.push(path)).ok_or(Refused)??;
        text.format(format_args!("\0{new}\n"))
    }
}
