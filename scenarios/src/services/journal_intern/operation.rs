//! What the service is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::{Arbitrary, Unstructured};
use mallory::{Heap, Refused};
use serde::{Deserialize, Serialize};

use super::record::Entry;
use crate::memory::bytes::Bytes;
use crate::services::generate;
use crate::services::git_log::{Digest, Id, log};

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Appends one record.
    Append(#[arbitrary(with = draw_entry)] Entry<String>),
    /// Appends records of the input, a log. Its oldest record is number 0.
    AppendFromLog {
        /// Where to begin.
        #[arbitrary(with = generate::count)]
        skip: usize,
        /// How many at most.
        #[arbitrary(with = generate::count)]
        take: usize,
    },
    /// Derives the live state again, from the records alone.
    Replay,
    /// Keeps only the newest record of each path.
    Compact,
    /// The newest record of a path.
    Lookup {
        /// The path.
        #[arbitrary(with = generate::path)]
        path: String,
    },
    /// The commits of all records of a path, oldest first.
    History {
        /// The path.
        #[arbitrary(with = generate::path)]
        path: String,
    },
    /// How large the journal is.
    Count,
}

fn draw_entry(u: &mut Unstructured<'_>) -> arbitrary::Result<Entry<String>> {
    Ok(Entry {
        commit: u.arbitrary()?,
        path: generate::path(u)?,
        kind: u.arbitrary()?,
        old: u.arbitrary()?,
        new: u.arbitrary()?,
    })
}

/// What an operation returns. The service allocates its parts on its heap; the model uses std's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<Path, Ids> {
    /// This many records were appended.
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
    /// This many records were dropped.
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

/// A path that an operation returns.
pub type Path = Bytes<Vec<u8, Heap>>;
pub(super) type Ids = Vec<Id, Heap>;
