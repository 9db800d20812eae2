//! The plain model of the cache: the same look-ups on standard collections.

use std::collections::{BTreeMap, BTreeSet};

use mallory::system::World;

use super::error::{Corrupt, Error};
use super::image::Image;
use super::operation::{Op, Reply, Summary};
use super::store::CacheFile;
use crate::memory::bytes::Bytes;
use crate::services::git_log::{ChangeKind, Digest, Id, Log};

type Name = Bytes<Vec<u8>>;

/// The contents of a directory with a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The cache, if there is one.
    pub cache: Option<Cached>,
    /// Why the cache can't be read, if it can't.
    pub unreadable: Option<Error>,
    /// Files that are not the cache. There should be none.
    pub others: Vec<String>,
}

/// The contents of a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cached {
    /// The SHA-256 of the log.
    pub input: Digest,
    /// The commits in the log's order.
    pub order: Vec<Id>,
    /// The paths that each commit touched.
    pub commits: BTreeMap<Id, BTreeSet<Name>>,
    /// The commits that touched each path, in the log's order.
    pub paths: BTreeMap<Name, Vec<Id>>,
}

impl Model {
    pub(super) fn of(store: &CacheFile) -> Model {
        let found = store.look().map_err(Error::from);
        let (bytes, others) = match found {
            Ok(found) => found,
            Err(error) => {
                return Model { unreadable: Some(error), ..Model::default() };
            }
        };
        match bytes.map(|bytes| Cached::decode(&bytes)).transpose() {
            Ok(cache) => Model { cache, unreadable: None, others },
            Err(corrupt) => Model { cache: None, unreadable: Some(corrupt.into()), others },
        }
    }

    pub(super) fn apply(
        &mut self,
        op: &Op,
        world: &World<'_>,
    ) -> Result<Reply<Vec<Id>, Vec<Name>>, Error> {
        let newest = match op {
            Op::Rebuild => usize::MAX,
            Op::RebuildFrom { commits } => *commits,
            Op::Discard => {
                let discarded = self.cache.take().map(|_| Reply::Discarded);
                return Ok(discarded.unwrap_or(Reply::NoCache));
            }
            Op::Commits { .. } | Op::Paths { .. } | Op::Summary => return Ok(self.look(op)),
        };
        let cached = Cached::read(world.input, newest)?;
        Ok(Reply::Rebuilt(self.cache.insert(cached).summary()))
    }

    fn look(&self, op: &Op) -> Reply<Vec<Id>, Vec<Name>> {
        let Some(cache) = &self.cache else {
            return Reply::NoCache;
        };
        let known = match op {
            Op::Commits { path } => {
                let path = Bytes(path.clone().into_bytes());
                cache.paths.get(&path).cloned().map(Reply::Commits)
            }
            Op::Paths { commit } => {
                let paths = cache.commits.get(commit);
                paths.map(|paths| Reply::Paths(paths.iter().cloned().collect()))
            }
            _ => Some(Reply::Summary(cache.summary())),
        };
        known.unwrap_or(Reply::Unknown)
    }
}

impl Cached {
    fn summary(&self) -> Summary {
        Summary { commits: self.order.len(), paths: self.paths.len(), input: self.input }
    }

    fn read(input: &[u8], newest: usize) -> Result<Cached, Error> {
        let mut cached = Cached { input: Digest::of(input), ..Cached::default() };
        for commit in Log::new(input).take(newest) {
            let commit = commit?;
            let touched = cached.commits.entry(commit.id).or_insert_with(|| {
                cached.order.push(commit.id);
                BTreeSet::new()
            });
            for change in commit.changes() {
                touched.insert(Bytes(change.path.to_vec()));
                if let (ChangeKind::Renamed, Some(from)) = (change.kind, change.from) {
                    touched.insert(Bytes(from.to_vec()));
                }
            }
        }
        for id in &cached.order {
            for path in &cached.commits[id] {
                cached.paths.entry(path.clone()).or_default().push(*id);
            }
        }
        Ok(cached)
    }

    /// Reads every table of a cache on its own, so that a table that lost an entry is noticed.
    fn decode(bytes: &[u8]) -> Result<Cached, Corrupt> {
        let image = Image::parse(bytes)?;
        let Summary { commits, paths, input } = image.summary();
        let mut cached = Cached { input, ..Cached::default() };
        for number in 0..commits {
            let id = image.commit(number)?;
            cached.order.push(id);
            if let Some(found) = image.find_commit(id)? {
                let paths = image.paths_of(found)?.map(|path| Ok(Bytes(path?.to_vec())));
                cached.commits.insert(id, paths.collect::<Result<_, Corrupt>>()?);
            }
        }
        for number in 0..paths {
            let name = image.path(number)?;
            if let Some(found) = image.find_path(name)? {
                let ids = image.commits_of(found)?.collect::<Result<_, Corrupt>>()?;
                cached.paths.insert(Bytes(name.to_vec()), ids);
            }
        }
        Ok(cached)
    }
}
