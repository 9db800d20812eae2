//! The cache file: replaced as a whole or not at all, and read into heap memory.
//!
//! Nothing is flushed to the disk before the rename: a cache can be rebuilt, and its checksum
//! detects a file that a power failure left half written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{MAIN_SEPARATOR_STR, Path};

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::error::Error;
use crate::memory::bytes::{Text, refused, try_with_capacity};

const CACHE: &str = "cache";
const TEMPORARY: &str = "cache.tmp";

/// A path that a service owns, in heap memory; dropping it is the only way to free it.
///
/// The standard library hands paths of less than 384 bytes to the system without allocating.
struct OwnedPath(Text<Heap>);

impl OwnedPath {
    fn join(directory: &str, name: &str, heap: &Heap) -> Result<Self, Refused> {
        let mut path = Text::new_in(heap.clone());
        for part in [directory, MAIN_SEPARATOR_STR, name] {
            path.push(part.as_bytes())?;
        }
        Ok(OwnedPath(path))
    }

    fn as_path(&self) -> &Path {
        // Made of strings only, so it always is UTF-8.
        Path::new(str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// Where the cache file is.
pub(super) struct CacheFile {
    cache: OwnedPath,
    temporary: OwnedPath,
}

/// A temporary file; dropping it removes the file unless it was moved into place.
struct Temporary<'a> {
    path: &'a Path,
    in_place: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // The error that led here is the one to report.
            let _ = fs::remove_file(self.path);
        }
    }
}

impl CacheFile {
    pub(super) fn open(directory: &Path, heap: &Heap) -> Result<Self, Error> {
        let directory = directory.to_str().ok_or(Error::Directory)?;
        Ok(CacheFile {
            cache: OwnedPath::join(directory, CACHE, heap)?,
            temporary: OwnedPath::join(directory, TEMPORARY, heap)?,
        })
    }

    /// Replaces the cache atomically.
    pub(super) fn replace(&self, image: &[u8]) -> io::Result<()> {
        let path = self.temporary.as_path();
        let mut temporary = Temporary { path, in_place: false };
        File::create(path)?.write_all(image)?;
        fs::rename(path, self.cache.as_path())?;
        temporary.in_place = true;
        Ok(())
    }

    /// The cache's bytes, if there is a cache.
    pub(super) fn read(&self, heap: &Heap) -> Result<Option<Vec<u8, Heap>>, Error> {
        let Some(mut file) = present(File::open(self.cache.as_path()))? else {
            return Ok(None);
        };
        let size = usize::try_from(file.metadata()?.len()).map_err(refused)?;
        let mut bytes = try_with_capacity(size, heap.clone())?;
        bytes.resize(size, 0);
        file.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Removes the cache; false if there is none.
    pub(super) fn discard(&self) -> io::Result<bool> {
        Ok(present(fs::remove_file(self.cache.as_path()))?.is_some())
    }

    /// The cache's bytes and the names of all other files beside it, for a snapshot.
    pub(super) fn look(&self) -> io::Result<(Option<std::vec::Vec<u8>>, std::vec::Vec<String>)> {
        let path = self.cache.as_path();
        let mut others = std::vec::Vec::new();
        for entry in fs::read_dir(path.parent().unwrap_or(Path::new("")))? {
            let name = entry?.file_name();
            if name != CACHE {
                others.push(name.to_string_lossy().into_owned());
            }
        }
        others.sort();
        Ok((present(fs::read(path))?, others))
    }
}

/// `None` if the file doesn't exist; other errors are passed on.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
