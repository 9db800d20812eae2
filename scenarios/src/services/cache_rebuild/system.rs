//! The service itself: its operations over the cache file.

use std::fmt::Debug;

use allocator_api2::vec::Vec;
use mallory::system::World;
use mallory::{Heap, System};

use super::error::Error;
use super::image::{self, Image};
use super::index::Index;
use super::model::Model;
use super::operation::{BUDGET, BUDGET_WARNING, Ids, Op, Reply, Summary};
use super::store::CacheFile;
use crate::memory::bytes::{Bytes, try_copy, try_push};
use crate::memory::recent::Measurement;
use crate::memory::{Recent, with_arena};
use crate::services::git_log::{Digest, Id, Log};

/// The name of the measured peak.
const PEAK: &str = "peak-bytes";

type Paths = Vec<Bytes<Vec<u8, Heap>>, Heap>;

/// The service.
pub struct CacheRebuild {
    heap: Heap,
    store: CacheFile,
    measured: Recent<Measurement, 3>,
}

impl CacheRebuild {
    /// The bytes that the last rebuild held at its end, which is its peak. A diagnostic, not part
    /// of the state: the kill switch changes it.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.measured().find(|pair| pair.name == PEAK).map_or(0, |pair| pair.value)
    }

    /// What the last rebuild measured: its peak, and the size of the cache.
    pub fn measured(&self) -> impl Iterator<Item = Measurement> {
        self.measured.iter()
    }

    /// Whether the last rebuild used most of its budget.
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
            let pair = |name, value| self.measured.prepare(Measurement { name, value });
            let measured = [
                pair("commits", summary.commits)?,
                pair("paths", summary.paths)?,
                pair(PEAK, peak)?,
            ];
            self.store.replace(&image)?;
            measured.into_iter().for_each(|pair| self.measured.record(pair));
            Ok(summary)
        })
    }

    /// Looks something up in the cache, if there is one.
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
        let store = CacheFile::open(world.scratch, heap)?;
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
