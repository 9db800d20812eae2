//! The index in memory, while it is built: numbered commits and paths, and which commit touched
//! which path.

use allocator_api2::vec::Vec;
use hashbrown::HashTable;
use mallory::{Heap, Refused};

use super::error::Error;
use crate::memory::bytes::{refused, try_push, try_with_capacity};
use crate::memory::hash::hash;
use crate::memory::{Handle, InternTable};
use crate::services::git_log::{Commit, Id, log};

/// Distinct strings of one kind, numbered in order of appearance.
struct Numbered<'a> {
    handles: Vec<Handle, &'a Heap>,
    numbers: HashTable<(u64, u32), &'a Heap>,
}

impl<'a> Numbered<'a> {
    fn new_in(arena: &'a Heap) -> Self {
        Numbered { handles: Vec::new_in(arena), numbers: HashTable::new_in(arena) }
    }

    /// The string's number; a new one if the string is new.
    fn number(&mut self, strings: &InternTable, text: &[u8]) -> Result<u32, Refused> {
        let hash = hash(text);
        let known = |(_, number): &(u64, u32)| strings.is(self.handles[*number as usize], text);
        if let Some((_, number)) = self.numbers.find(hash, known) {
            return Ok(*number);
        }
        let number = u32::try_from(self.handles.len()).map_err(refused)?;
        self.numbers.try_reserve(1, |(hash, _)| *hash).map_err(refused)?;
        self.handles.try_reserve(1).map_err(refused)?;
        try_push(&mut self.handles, strings.acquire(text)?)?;
        self.numbers.insert_unique(hash, (hash, number), |(hash, _)| *hash);
        Ok(number)
    }
}

/// A commit that touched a path, both as numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) path: u32,
    pub(super) commit: u32,
}

/// Everything that a cache is written from.
pub(super) struct Index<'a> {
    /// One copy of each path and object id, freed with the index.
    strings: InternTable,
    /// In the log's order; a commit that appears again keeps its first place.
    commits: Vec<Handle, &'a Heap>,
    /// In byte order.
    paths: Vec<Handle, &'a Heap>,
    links: Vec<Link, &'a Heap>,
}

impl<'a> Index<'a> {
    /// Reads commits into an index inside an arena.
    pub(super) fn of<'l>(
        log: impl Iterator<Item = Result<Commit<'l>, log::Error>>,
        arena: &'a Heap,
    ) -> Result<Self, Error> {
        let strings = InternTable::new(arena);
        let (mut commits, mut paths) = (Numbered::new_in(arena), Numbered::new_in(arena));
        let mut links = Vec::new_in(arena);
        for commit in log {
            let commit = commit?;
            let number = commits.number(&strings, commit.id.as_bytes())?;
            for change in commit.changes() {
                // A rename touches both names; the source of a copy is not touched.
                let left = change.from.filter(|_| change.kind == log::ChangeKind::Renamed);
                for path in left.into_iter().chain([change.path]) {
                    let path = paths.number(&strings, path)?;
                    try_push(&mut links, Link { path, commit: number })?;
                }
            }
        }
        let paths = sort_paths(&strings, paths.handles, &mut links, arena)?;
        Ok(Index { strings, commits: commits.handles, paths, links })
    }

    pub(super) fn commits(&self) -> usize {
        self.commits.len()
    }

    pub(super) fn paths(&self) -> usize {
        self.paths.len()
    }

    /// The links by path and, of each path, by commit.
    pub(super) fn links_by_path(&mut self) -> &[Link] {
        self.links.sort_unstable_by_key(|link| (link.path, link.commit));
        self.links.dedup();
        &self.links
    }

    /// The links by commit and, of each commit, by path.
    pub(super) fn links_by_commit(&mut self) -> &[Link] {
        self.links.sort_unstable_by_key(|link| (link.commit, link.path));
        self.links.dedup();
        &self.links
    }

    /// Calls `visit` with every path, in byte order, until it returns an error.
    pub(super) fn each_path<E>(
        &self,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // The index holds a reference for each of its handles, so each string is there.
        self.paths
            .iter()
            .try_for_each(|path| self.strings.resolve(*path, &mut visit).unwrap_or(Ok(())))
    }

    /// Every commit's id, in the log's order.
    pub(super) fn each_commit(&self) -> impl Iterator<Item = Id> {
        let id = |commit: &Handle| self.strings.resolve(*commit, Id::from_bytes)?.ok();
        self.commits.iter().filter_map(id)
    }
}

/// Renumbers the paths in byte order, in the links as well.
fn sort_paths<'a>(
    strings: &InternTable,
    paths: Vec<Handle, &'a Heap>,
    links: &mut [Link],
    arena: &'a Heap,
) -> Result<Vec<Handle, &'a Heap>, Refused> {
    let mut sorted = try_with_capacity(paths.len(), arena)?;
    for (old, path) in (0..).zip(&paths) {
        try_push(&mut sorted, (*path, old))?;
    }
    sorted.sort_unstable_by(|left, right| strings.compare(left.0, right.0));
    let mut numbers = try_with_capacity(paths.len(), arena)?;
    numbers.resize(paths.len(), 0);
    let mut paths = paths;
    for (new, (path, old)) in (0..).zip(&sorted) {
        paths[new as usize] = *path;
        numbers[*old as usize] = new;
    }
    for link in links {
        link.path = numbers[link.path as usize];
    }
    Ok(paths)
}
