//! The service cache-rebuild: reads a log of commits, keeps an index path → commits and commit →
//! paths in a cache file, and answers look-ups from that file.
//!
//! ```text
//!  log ─parse─▶ Index ─encode─▶ image ─▶ temporary file ─rename─▶ cache file ─▶ look-ups
//!      └────────── in one arena ─────────┘
//! ```
//!
//! The rename is the one step that others see, and nothing fails after it: a failed rebuild leaves
//! the old cache as it was, and no temporary file.

mod image;
mod index;
mod model;
pub mod shared;
mod store;

use std::fmt::Debug;
use std::io;

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use crate::draw;
use crate::journal::{Digest, Id, Log, log};
use crate::memory::bytes::{Bytes, try_copy, try_push};
use crate::memory::recent::Pair;
use crate::memory::{Recent, with_arena};

use image::{Corrupt, Image};
use index::Index;
use store::Store;

pub use model::{Cached, Model};

/// The most that one rebuild may hold.
pub const BUDGET: usize = 256 << 20;

/// From here on a rebuild's peak is worth a warning: 80 % of the budget.
pub const BUDGET_WARNING: usize = BUDGET / 5 * 4;

/// What the bytes are called that a rebuild held.
const PEAK: &str = "peak-bytes";

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Makes the cache anew, of the whole log.
    Rebuild,
    /// Makes the cache anew, of the newest commits.
    RebuildFrom {
        /// How many.
        #[arbitrary(with = draw::count)]
        commits: usize,
    },
    /// The commits that touched a path, newest first.
    Commits {
        /// As the log has it.
        #[arbitrary(with = draw::path)]
        path: String,
    },
    /// The paths that a commit touched, in byte order.
    Paths {
        /// Its id.
        commit: Id,
    },
    /// How large the cache is, and of what.
    Summary,
    /// Removes the cache.
    Discard,
}

/// How large a cache is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Commits in it.
    pub commits: usize,
    /// Paths that they touched.
    pub paths: usize,
    /// The SHA-256 of the log that it was made of.
    pub input: Digest,
}

/// What an operation answers; the lists are the heap's or, from the model, the standard library's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<Ids, Paths> {
    /// The cache was made.
    Rebuilt(Summary),
    /// There is no cache.
    NoCache,
    /// The cache doesn't know the path or the commit.
    Unknown,
    /// The commits that touched the path.
    Commits(Ids),
    /// The paths that the commit touched.
    Paths(Paths),
    /// What the cache is.
    Summary(Summary),
    /// The cache was removed.
    Discarded,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no memory, or none within the budget.
    OutOfMemory,
    /// The log is not one.
    Log(log::Error),
    /// The cache file is truncated, damaged, or none.
    Corrupt,
    /// The file system objects.
    Io(io::ErrorKind),
    /// The directory's name is not UTF-8.
    Directory,
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

impl From<Corrupt> for Error {
    fn from(Corrupt: Corrupt) -> Self {
        Error::Corrupt
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error.kind())
    }
}

/// Commits that an operation answers.
pub type Ids = Vec<Id, Heap>;
type Paths = Vec<Bytes<Vec<u8, Heap>>, Heap>;

/// The service.
pub struct CacheRebuild {
    heap: Heap,
    store: Store,
    measured: Recent<Pair, 3>,
}

impl CacheRebuild {
    /// The bytes that the last rebuild held at its end, when it held most. A diagnostic and no
    /// part of the state: the kill switch changes it.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.measured().find(|pair| pair.name == PEAK).map_or(0, |pair| pair.value)
    }

    /// What the last rebuild measured, of itself and of what it made.
    pub fn measured(&self) -> impl Iterator<Item = Pair> {
        self.measured.iter()
    }

    /// Whether the last rebuild came near to its budget.
    #[must_use]
    pub fn is_near_budget(&self) -> bool {
        self.peak_bytes() >= BUDGET_WARNING
    }

    fn rebuild(&mut self, input: &[u8], newest: usize) -> Result<Summary, Error> {
        let before = self.heap.live_bytes();
        with_arena(&self.heap, BUDGET, |arena| {
            let mut index = Index::of(Log::new(input).take(newest), arena)?;
            let summary = Summary {
                commits: index.commits(),
                paths: index.paths(),
                input: Digest::of(input),
            };
            let image = image::encode(&mut index, summary.input, arena)?;
            let peak = self.heap.live_bytes().saturating_sub(before);
            let pair = |name, value| self.measured.prepare(Pair { name, value });
            let measured = [
                pair("commits", summary.commits)?,
                pair("paths", summary.paths)?,
                pair(PEAK, peak)?,
            ];
            self.store.replace(&image)?;
            measured.into_iter().for_each(|pair| self.measured.tell(pair));
            Ok(summary)
        })
    }

    /// Looks into the cache, where there is one.
    fn look(
        &self,
        find: impl FnOnce(&Image<'_>) -> Result<Reply<Ids, Paths>, Error>,
    ) -> Result<Reply<Ids, Paths>, Error> {
        match self.store.read(&self.heap)? {
            Some(bytes) => find(&Image::parse(&bytes)?),
            None => Ok(Reply::NoCache),
        }
    }

    fn commits(&self, image: &Image<'_>, path: &[u8]) -> Result<Reply<Ids, Paths>, Error> {
        let Some(path) = image.find_path(path)? else {
            return Ok(Reply::Unknown);
        };
        let mut ids = Vec::new_in(self.heap.clone());
        for id in image.commits_of(path)? {
            try_push(&mut ids, id?)?;
        }
        Ok(Reply::Commits(ids))
    }

    fn paths(&self, image: &Image<'_>, commit: Id) -> Result<Reply<Ids, Paths>, Error> {
        let Some(commit) = image.find_commit(commit)? else {
            return Ok(Reply::Unknown);
        };
        let mut paths = Vec::new_in(self.heap.clone());
        for path in image.paths_of(commit)? {
            let path = try_copy(path?, self.heap.clone())?;
            try_push(&mut paths, Bytes(path))?;
        }
        Ok(Reply::Paths(paths))
    }
}

impl System for CacheRebuild {
    const NAME: &'static str = "cache-rebuild";

    type Op = Op;
    type Reply = Reply<Ids, Paths>;
    type Error = Error;
    type Model = Model;

    fn open(heap: &Heap, world: &World<'_>) -> Result<Self, Error> {
        let store = Store::open(world.scratch, heap)?;
        Ok(CacheRebuild { heap: heap.clone(), store, measured: Recent::new(heap) })
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Self::Reply, Error> {
        match op {
            Op::Rebuild => self.rebuild(world.input, usize::MAX).map(Reply::Rebuilt),
            Op::RebuildFrom { commits } => self.rebuild(world.input, *commits).map(Reply::Rebuilt),
            Op::Commits { path } => self.look(|image| self.commits(image, path.as_bytes())),
            Op::Paths { commit } => self.look(|image| self.paths(image, *commit)),
            Op::Summary => self.look(|image| Ok(Reply::Summary(image.summary()))),
            Op::Discard if self.store.discard()? => Ok(Reply::Discarded),
            Op::Discard => Ok(Reply::NoCache),
        }
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> Model {
        Model::of(&self.store)
    }

    fn model(model: &mut Model, op: &Op, world: &World<'_>) -> impl Debug {
        match model.apply(op, world) {
            Ok(reply) => Box::new(reply) as Box<dyn Debug>,
            Err(error) => Box::new(error),
        }
    }
}
