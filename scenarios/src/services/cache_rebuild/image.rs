//! The cache as bytes: tables that are searched where they lie.
//!
//! ```text
//!  magic          8 bytes
//!  input          SHA-256 of the log
//!  counts         commits, paths, links, bytes of names
//!  ids            commits × 33 bytes: length, then 20 or 32 bytes and zeroes; the log's order
//!  by id          commits × number of a commit, in the order of ids
//!  commit starts  commits + 1 × place in the next table
//!  commit paths   links × number of a path, ascending in each commit
//!  path starts    paths + 1 × place in the next table
//!  path commits   links × number of a commit, ascending in each path
//!  name starts    paths + 1 × place in the names
//!  names          paths, in byte order
//!  checksum       SHA-256 of all before
//! ```
//!
//! Numbers are 32 bits, little-endian. Nothing that is read is trusted: an image with a correct
//! checksum may still have been written by another program.

use std::cmp::Ordering;
use std::ops::Range;

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::error::Corrupt;
use super::index::Index;
use super::operation::Summary;
use crate::memory::bytes::{refused, try_extend, try_push, try_with_capacity};
use crate::services::git_log::{Digest, Id};

const MAGIC: &[u8; 8] = b"mlrycch\x01";
const DIGEST: usize = 32;
const COUNTS: usize = 4;
const HEADER: usize = MAGIC.len() + DIGEST + 4 * COUNTS;
const ID: usize = 33;

/// Writes an index.
pub(super) fn encode<'a>(
    index: &mut Index<'a>,
    input: Digest,
    arena: &'a Heap,
) -> Result<Vec<u8, &'a Heap>, Refused> {
    let (commits, paths) = (index.commits(), index.paths());
    let links = index.links_by_commit().len();
    let mut names = 0;
    index.each_path(|name| {
        names += name.len();
        Ok(())
    })?;
    let size = Tables::of(commits, paths, links, names).ok_or(Refused)?.names.end;

    let mut image = ImageWriter(try_with_capacity(size + DIGEST, arena)?);
    image.bytes(MAGIC)?;
    image.bytes(&input.0)?;
    for count in [commits, paths, links, names] {
        image.number(count)?;
    }
    let mut by_id = try_with_capacity(commits, arena)?;
    for (number, id) in index.each_commit().enumerate() {
        image.bytes(&pack(id))?;
        try_push(&mut by_id, (id, number))?;
    }
    by_id.sort_unstable();
    for (_, number) in by_id {
        image.number(number)?;
    }
    let by_commit = index.links_by_commit();
    image.starts(commits, by_commit.iter().map(|link| link.commit))?;
    by_commit.iter().try_for_each(|link| image.number(link.path as usize))?;
    let by_path = index.links_by_path();
    image.starts(paths, by_path.iter().map(|link| link.path))?;
    by_path.iter().try_for_each(|link| image.number(link.commit as usize))?;
    let mut start = 0;
    index.each_path(|name| {
        image.number(start)?;
        start += name.len();
        Ok(())
    })?;
    image.number(start)?;
    index.each_path(|name| image.bytes(name))?;
    let checksum = Digest::of(&image.0);
    image.bytes(&checksum.0)?;
    Ok(image.0)
}

/// A commit's id as an entry of the table `ids`.
fn pack(id: Id) -> [u8; ID] {
    let mut packed = [0; ID];
    let bytes = id.as_bytes();
    packed[0] = bytes.len() as u8;
    packed[1..=bytes.len()].copy_from_slice(bytes);
    packed
}

struct ImageWriter<'a>(Vec<u8, &'a Heap>);

impl ImageWriter<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        try_extend(&mut self.0, bytes)
    }

    fn number(&mut self, number: usize) -> Result<(), Refused> {
        let number = u32::try_from(number).map_err(refused)?;
        self.bytes(&number.to_le_bytes())
    }

    /// Writes where each owner's links begin, and where the last one's end. `owners` is sorted.
    fn starts(&mut self, count: usize, owners: impl Iterator<Item = u32>) -> Result<(), Refused> {
        let mut owners = owners.peekable();
        let mut start = 0;
        for owner in 0..count {
            self.number(start)?;
            while owners.next_if(|next| *next as usize == owner).is_some() {
                start += 1;
            }
        }
        self.number(start)
    }
}

/// The range of bytes of each table.
struct Tables {
    ids: Range<usize>,
    by_id: Range<usize>,
    commit_starts: Range<usize>,
    commit_paths: Range<usize>,
    path_starts: Range<usize>,
    path_commits: Range<usize>,
    name_starts: Range<usize>,
    names: Range<usize>,
}

impl Tables {
    /// `None` if the sizes overflow.
    fn of(commits: usize, paths: usize, links: usize, names: usize) -> Option<Tables> {
        let mut end = HEADER;
        let mut table = |entries: usize, size: usize| {
            let start = end;
            end = start.checked_add(entries.checked_mul(size)?)?;
            Some(start..end)
        };
        Some(Tables {
            ids: table(commits, ID)?,
            by_id: table(commits, 4)?,
            commit_starts: table(commits.checked_add(1)?, 4)?,
            commit_paths: table(links, 4)?,
            path_starts: table(paths.checked_add(1)?, 4)?,
            path_commits: table(links, 4)?,
            name_starts: table(paths.checked_add(1)?, 4)?,
            names: table(names, 1)?,
        })
    }
}

/// The bytes of a cache, after their checks.
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    summary: Summary,
    tables: Tables,
}

impl<'a> Image<'a> {
    /// Checks magic, sizes and checksum.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (body, checksum) = bytes.split_last_chunk::<DIGEST>().ok_or(Corrupt)?;
        if Digest::of(body).0 != *checksum {
            return Err(Corrupt);
        }
        let rest = body.strip_prefix(MAGIC).ok_or(Corrupt)?;
        let (input, rest) = rest.split_first_chunk::<DIGEST>().ok_or(Corrupt)?;
        let [commits, paths, links, names] = [0, 1, 2, 3].map(|nth| number_at(rest, nth));
        let (commits, paths) = (commits?, paths?);
        let tables = Tables::of(commits, paths, links?, names?).ok_or(Corrupt)?;
        if tables.names.end != body.len() {
            return Err(Corrupt);
        }
        let summary = Summary { commits, paths, input: Digest(*input) };
        Ok(Image { bytes: body, summary, tables })
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// The path's number.
    pub(super) fn find_path(&self, path: &[u8]) -> Result<Option<usize>, Corrupt> {
        search(self.summary.paths, |number| Ok(self.path(number)?.cmp(path)))
    }

    /// The commit's number: its place in the log.
    pub(super) fn find_commit(&self, id: Id) -> Result<Option<usize>, Corrupt> {
        let numbers = self.table(&self.tables.by_id)?;
        let compare = |place| Ok(self.commit(number_at(numbers, place)?)?.cmp(&id));
        let found = search(self.summary.commits, compare)?;
        found.map(|place| number_at(numbers, place)).transpose()
    }

    /// The commit of this number.
    pub(super) fn commit(&self, number: usize) -> Result<Id, Corrupt> {
        let packed = self.table(&self.tables.ids)?.chunks_exact(ID).nth(number).ok_or(Corrupt)?;
        let (length, bytes) = packed.split_first().ok_or(Corrupt)?;
        let bytes = bytes.get(..usize::from(*length)).ok_or(Corrupt)?;
        let id = Id::from_bytes(bytes).map_err(|_| Corrupt)?;
        if pack(id) == packed { Ok(id) } else { Err(Corrupt) }
    }

    /// The path of this number.
    pub(super) fn path(&self, number: usize) -> Result<&'a [u8], Corrupt> {
        let span = self.span(&self.tables.name_starts, number)?;
        self.table(&self.tables.names)?.get(span).ok_or(Corrupt)
    }

    /// The commits that touched the path of this number, in the log's order.
    pub(super) fn commits_of(
        &self,
        path: usize,
    ) -> Result<impl Iterator<Item = Result<Id, Corrupt>>, Corrupt> {
        let numbers = self.table(&self.tables.path_commits)?;
        let span = self.span(&self.tables.path_starts, path)?;
        Ok(span.map(move |place| self.commit(number_at(numbers, place)?)))
    }

    /// The paths that the commit of this number touched, in byte order.
    pub(super) fn paths_of(
        &self,
        commit: usize,
    ) -> Result<impl Iterator<Item = Result<&'a [u8], Corrupt>>, Corrupt> {
        let numbers = self.table(&self.tables.commit_paths)?;
        let span = self.span(&self.tables.commit_starts, commit)?;
        Ok(span.map(move |place| self.path(number_at(numbers, place)?)))
    }

    /// The range of an owner's entries.
    fn span(&self, starts: &Range<usize>, owner: usize) -> Result<Range<usize>, Corrupt> {
        let starts = self.table(starts)?;
        Ok(number_at(starts, owner)?..number_at(starts, owner + 1)?)
    }

    fn table(&self, place: &Range<usize>) -> Result<&'a [u8], Corrupt> {
        self.bytes.get(place.clone()).ok_or(Corrupt)
    }
}

/// The nth number of a table.
fn number_at(table: &[u8], nth: usize) -> Result<usize, Corrupt> {
    let bytes = table.get(nth.checked_mul(4).ok_or(Corrupt)?..).ok_or(Corrupt)?;
    let number = bytes.first_chunk::<4>().ok_or(Corrupt)?;
    Ok(u32::from_le_bytes(*number) as usize)
}

/// Binary search with a comparison that may fail.
fn search(
    count: usize,
    mut compare: impl FnMut(usize) -> Result<Ordering, Corrupt>,
) -> Result<Option<usize>, Corrupt> {
    let mut places = 0..count;
    while !places.is_empty() {
        let middle = places.start + places.len() / 2;
        match compare(middle)? {
            Ordering::Equal => return Ok(Some(middle)),
            Ordering::Less => places.start = middle + 1,
            Ordering::Greater => places.end = middle,
        }
    }
    Ok(None)
}
