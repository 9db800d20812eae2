//! The cache in memory, for several threads: look-ups go on while it is rebuilt.
//!
//! The new image is built in an arena and copied while the old one is still in use. The lock is
//! held only to exchange the two; the old one is freed after that.

use allocator_api2::vec::Vec;
use mallory::Heap;

use super::error::Error;
use super::image::{self, Image};
use super::index::Index;
use super::operation::{BUDGET, Ids, Summary};
use crate::memory::bytes::{try_copy, try_push};
use crate::memory::with_arena;
use crate::services::git_log::{Digest, Log};
use crate::sync::{PoisonError, RwLock};

/// A cache that is shared by reference.
pub struct SharedCache {
    heap: Heap,
    image: RwLock<Option<Vec<u8, Heap>>>,
}

impl SharedCache {
    /// No cache yet, on this heap.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        SharedCache { heap: heap.clone(), image: RwLock::new(None) }
    }

    /// Rebuilds the cache from the newest commits of a log.
    ///
    /// # Errors
    /// What is wrong with the log, or out of memory; the cache is then as before.
    pub fn rebuild(&self, log: &[u8], newest: usize) -> Result<Summary, Error> {
        let (image, summary) = with_arena(&self.heap, BUDGET, |arena| {
            let mut index = Index::of(Log::new(log).take(newest), arena)?;
            let input = Digest::of(log);
            let summary = Summary { commits: index.commits(), paths: index.paths(), input };
            let image = image::encode(&mut index, input, arena)?;
            Ok::<_, Error>((try_copy(&image, self.heap.clone())?, summary))
        })?;
        let mut place = self.image.write().unwrap_or_else(PoisonError::into_inner);
        let old = place.replace(image);
        drop(place);
        drop(old);
        Ok(summary)
    }

    /// The commits that touched a path, newest first; none where there is no cache, or it doesn't
    /// know the path.
    ///
    /// # Errors
    /// Out of memory.
    pub fn commits(&self, path: &[u8]) -> Result<Option<Ids>, Error> {
        let place = self.image.read().unwrap_or_else(PoisonError::into_inner);
        let Some(image) = place.as_deref().map(Image::parse).transpose()? else {
            return Ok(None);
        };
        let Some(path) = image.find_path(path)? else {
            return Ok(None);
        };
        let mut ids = Vec::new_in(self.heap.clone());
        for id in image.commits_of(path)? {
            try_push(&mut ids, id?)?;
        }
        Ok(Some(ids))
    }
}
