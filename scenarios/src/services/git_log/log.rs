//! The parser of `git log --raw --no-abbrev`: commits and their changes, borrowed from the text.
//!
//! ```text
//! commit 4d3c… (HEAD -> main)                       decoration is skipped
//! Merge: 91ab… 77cd…                                headers; two of them are kept
//! Author: Ada <ada@example.org>
//! Date:   Mon Jan 5 10:00:00 2026 +0000
//!
//!     Message, indented by four.
//!
//! Notes:
//!     Indented as well, but no part of the message.
//!
//! :100644 100644 <old id> <new id> M<TAB>path
//! :100644 100644 <old id> <new id> R090<TAB>from<TAB>path
//! ::100644 100644 100644 <id> <id> <id> MM<TAB>path    a merge's, one colon per parent
//! ```
//!
//! Paths that git quotes stay quoted. Lines may end in CR LF.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::Id;

/// What is wrong with a log, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// What it should have been.
    pub what: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Error {}

/// Lines with their numbers, without their ends.
#[derive(Clone, Debug)]
struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the line before `rest`.
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
        self.number += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The commits of a log, newest first, as git wrote them. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Log<'a> {
    lines: Lines<'a>,
}

impl<'a> Log<'a> {
    /// Reads a log from its first line.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Log { lines: Lines { rest: text, number: 0 } }
    }

    fn commit(&mut self, first: &'a [u8]) -> Result<Commit<'a>, &'static str> {
        let words = first.strip_prefix(b"commit ");
        let mut words = words.ok_or("a commit begins with `commit <id>`")?.split(|b| *b == b' ');
        // `--left-right`, `--boundary` and `--cherry-mark` put a mark before the id.
        let id = words.find(|word| !matches!(word, [b'<' | b'>' | b'-' | b'=' | b'+']));
        let id = Id::from_hex(id.unwrap_or_default())
            .map_err(|_| "a commit's id has 40 or 64 hex digits (use --no-abbrev)")?;
        let (mut author, mut date, mut is_merge) = (&[][..], &[][..], false);
        let body = self.lines.clone();
        loop {
            let before = self.lines.rest;
            if before.starts_with(b"commit ") || before.is_empty() {
                let body = Lines { rest: &body.rest[..body.rest.len() - before.len()], ..body };
                return Ok(Commit { id, author, date, is_merge, body });
            }
            match line_of(self.lines.next().unwrap_or_default())? {
                Line::Header(b"Author", value) => author = value,
                Line::Header(b"Date" | b"AuthorDate", value) => date = value,
                Line::Header(b"Merge", _) => is_merge = true,
                _ => {}
            }
        }
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Result<Commit<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.lines.find(|line| !line.trim_ascii().is_empty())?;
        let commit = self.commit(first).map_err(|what| Error { line: self.lines.number, what });
        if commit.is_err() {
            self.lines.rest = &[];
        }
        Some(commit)
    }
}

/// A line inside a commit.
enum Line<'a> {
    Blank,
    Header(&'a [u8], &'a [u8]),
    Message(&'a [u8]),
    Change(Change<'a>),
}

fn line_of(line: &[u8]) -> Result<Line<'_>, &'static str> {
    if let Some(text) = line.strip_prefix(b"    ") {
        return Ok(Line::Message(text));
    }
    if line.starts_with(b":") {
        return Ok(Line::Change(change_of(line)?));
    }
    if line.trim_ascii().is_empty() {
        return Ok(Line::Blank);
    }
    let colon = line.iter().position(|byte| *byte == b':');
    match colon {
        Some(colon) if line[0].is_ascii_alphabetic() => {
            Ok(Line::Header(&line[..colon], line[colon + 1..].trim_ascii()))
        }
        _ => Err("neither a header, a message line, nor a raw change (use --raw)"),
    }
}

/// A commit.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// Its id.
    pub id: Id,
    /// Name and address, as written; empty where the log has none.
    pub author: &'a [u8],
    /// The author's date, as written; empty where the log has none.
    pub date: &'a [u8],
    /// Whether it has several parents.
    pub is_merge: bool,
    body: Lines<'a>,
}

impl<'a> Commit<'a> {
    /// The message's lines, without their indentation: views of the log.
    pub fn message(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let is_notes = |line: &Line<'_>| {
            matches!(line, Line::Header(b"Notes", _))
                || matches!(line, Line::Header(name, _) if name.starts_with(b"Notes ("))
        };
        self.lines().take_while(move |line| !is_notes(line)).filter_map(|line| match line {
            Line::Message(text) => Some(text),
            _ => None,
        })
    }

    /// The changes, in the log's order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        self.lines().filter_map(|line| match line {
            Line::Change(change) => Some(change),
            _ => None,
        })
    }

    /// The lines after the first one. Each was checked when the commit was read.
    fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        self.body.clone().filter_map(|line| line_of(line).ok())
    }
}

/// What happened to a path.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    arbitrary::Arbitrary,
)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is new, and a copy of another path.
    Copied,
    /// It is gone.
    Deleted,
    /// Its content or mode changed.
    Modified,
    /// It had another name.
    Renamed,
    /// It changed between file, link and submodule.
    TypeChanged,
    /// It is unmerged, or git could not tell.
    Unknown,
}

/// A raw change. Of a merge's change, `old` and `kind` are those against the first parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// What happened.
    pub kind: ChangeKind,
    /// The blob before; zeroes where there was none.
    pub old: Id,
    /// The blob after; zeroes where there is none.
    pub new: Id,
    /// The path, as written.
    pub path: &'a [u8],
    /// The path that it was copied from, or its previous name.
    pub from: Option<&'a [u8]>,
}

fn change_of(line: &[u8]) -> Result<Change<'_>, &'static str> {
    let parents = line.iter().position(|byte| *byte != b':');
    let parents = parents.ok_or("a raw change has modes, ids, a status and a path")?;
    let mut columns = line[parents..].split(|byte| *byte == b'\t');
    let mut fields = columns.next().unwrap_or_default().split(|byte| *byte == b' ');

    let mode = |field: &[u8]| field.len() == 6 && field.iter().all(|b| (b'0'..=b'7').contains(b));
    if !fields.by_ref().take(parents + 1).all(mode) {
        return Err("a raw change begins with file modes of six octal digits");
    }
    let mut id = || Id::from_hex(fields.next().unwrap_or_default());
    let whole = "a raw change's ids have 40 or 64 hex digits (use --no-abbrev)";
    let mut ids = (id().map_err(|_| whole)?, id().map_err(|_| whole)?);
    let old = ids.0;
    for _ in 1..parents {
        ids = (ids.1, id().map_err(|_| whole)?);
    }

    let status = fields.next().unwrap_or_default();
    let (letter, score) = status.split_first().ok_or("a raw change has a status")?;
    let kind = match letter {
        b'A' => ChangeKind::Added,
        b'C' => ChangeKind::Copied,
        b'D' => ChangeKind::Deleted,
        b'M' => ChangeKind::Modified,
        b'R' => ChangeKind::Renamed,
        b'T' => ChangeKind::TypeChanged,
        b'U' | b'X' => ChangeKind::Unknown,
        _ => return Err("a raw change's status is one of A, C, D, M, R, T, U and X"),
    };
    let scored = score.iter().all(u8::is_ascii_digit);
    if fields.next().is_some() || (parents == 1 && !scored) {
        return Err("a raw change's status is a letter and perhaps a score");
    }

    let first = columns.next().filter(|path| !path.is_empty()).ok_or("a raw change has a path")?;
    let last = columns.next_back();
    let moved = matches!(kind, ChangeKind::Renamed | ChangeKind::Copied);
    match last {
        Some([]) => Err("a raw change's path is not empty"),
        None if moved && parents == 1 => Err("a rename or copy has two paths"),
        Some(_) if !moved && parents == 1 => Err("only a rename or copy has two paths"),
        None => Ok(Change { kind, old, new: ids.1, path: first, from: None }),
        // With `--combined-all-paths` each parent's path comes first; equal ones are no move.
        Some(path) => {
            let from = moved.then_some(first);
            Ok(Change { kind, old, new: ids.1, path, from })
        }
    }
}
