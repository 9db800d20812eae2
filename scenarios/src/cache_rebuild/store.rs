//! The cache file: replaced as a whole or not at all, and read into heap memory.
//!
//! Nothing is flushed to the disk before the rename. A cache can be made again, and its checksum
//! tells a file that a power failure tore.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{MAIN_SEPARATOR_STR, Path};

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::Error;
use crate::memory::bytes::{Text, refused, try_with_capacity};

const CACHE: &str = "cache";
const TEMPORARY: &str = "cache.tmp";

/// A path that a service owns, in heap memory. Its drop is the one place where such are freed.
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
pub(super) struct Store {
    cache: OwnedPath,
    temporary: OwnedPath,
}

/// A file that is removed again unless it was put in place.
struct Temporary<'a> {
    path: &'a Path,
    in_place: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // The error that led here is the one to tell.
            let _ = fs::remove_file(self.path);
        }
    }
}

impl Store {
    pub(super) fn open(directory: &Path, heap: &Heap) -> Result<Self, Error> {
        let directory = directory.to_str().ok_or(Error::Directory)?;
        Ok(Store {
            cache: OwnedPath::join(directory, CACHE, heap)?,
            temporary: OwnedPath::join(directory, TEMPORARY, heap)?,
        })
    }

    /// Puts a new cache in the old one's place, at once.
    pub(super) fn replace(&self, image: &[u8]) -> io::Result<()> {
        let path = self.temporary.as_path();
        let mut temporary = Temporary { path, in_place: false };
        File::create(path)?.write_all(image)?;
        fs::rename(path, self.cache.as_path())?;
        temporary.in_place = true;
        Ok(())
    }

    /// The cache's bytes, where there is one.
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

/// Tells a file that isn't there from one that can't be had.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
