//! The journal of a sweep: finished points as they come, so that a killed sweep goes on where it
//! was. One file a scenario, one line a point; points that found something are not in it, since
//! they are cheap to run again and then need no second format for findings.
//!
//! ```text
//! mallory journal v1 <scenario> key=<16 hex> points=<n>
//! <point> <outcome>
//! ```

use crate::process::atomic_file;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::report::outcome::Outcome;
use crate::trace::{hash_bytes, mix};

/// Where journals are kept, and whether to go on from one.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    pub(crate) dir: PathBuf,
    pub(crate) resume: bool,
}

/// An open journal.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    written: Vec<bool>,
}

/// What a journal must agree in with the sweep that goes on from it.
pub(crate) struct Key<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) settings: String,
    pub(crate) input: &'a [u8],
    pub(crate) fingerprint: u64,
    pub(crate) points: usize,
}

impl Key<'_> {
    fn hash(&self) -> u64 {
        let mut hash = executable();
        for part in [hash_bytes(self.settings.as_bytes()), hash_bytes(self.input), self.fingerprint]
        {
            hash = mix(hash.rotate_left(17) ^ part);
        }
        hash
    }

    fn header(&self) -> String {
        format!(
            "mallory journal v1 {} key={:016x} points={}",
            self.scenario,
            self.hash(),
            self.points
        )
    }
}

/// The hash of the running program's file, or 0 where it can't be read.
fn executable() -> u64 {
    let bytes = std::env::current_exe().ok().and_then(|path| std::fs::read(path).ok());
    let Some(bytes) = bytes else { return 0 };
    // Eight bytes at a time: the file is large, and this is no id that is printed.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = hash_bytes(rest);
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = hash.rotate_left(29);
    }
    mix(hash)
}

impl Journal {
    /// Opens the journal; `done` is told of each point that an earlier sweep finished.
    ///
    /// # Errors
    /// A journal that can't be read or written, or one of another sweep.
    pub(crate) fn open(
        place: &JournalPlace,
        key: &Key<'_>,
        mut done: impl FnMut(usize, Outcome),
    ) -> Result<Journal, Error> {
        let path = place.dir.join(format!("{}.journal", key.scenario.replace('/', ".")));
        let failed = |what: &str, error: &std::io::Error| {
            Error::new(format!("{}: cannot {what} the journal: {error}", path.display()))
                .help("look after the folder's rights and space")
        };
        std::fs::create_dir_all(&place.dir).map_err(|error| failed("make a folder for", &error))?;
        let mut written = vec![false; key.points];
        if place.resume && path.exists() {
            let old = File::open(&path).map_err(|error| failed("open", &error))?;
            for (point, outcome) in read(&path, BufReader::new(old), &key.header(), key.points)? {
                if !std::mem::replace(&mut written[point], true) {
                    done(point, outcome);
                }
            }
        }
        // The journal is written anew, without a last line that a kill cut off.
        let mut text = key.header() + "\n";
        if written.contains(&true) {
            let old = std::fs::read_to_string(&path).map_err(|error| failed("read", &error))?;
            let whole = old.rfind('\n').map_or(0, |end| end + 1);
            let body = old.find('\n').map_or(whole, |end| end + 1);
            text.push_str(&old[body..whole]);
        }
        let file = atomic_file::replace(&path, |file| file.write_all(text.as_bytes()))
            .map_err(|error| failed("write", &error))?;
        Ok(Journal { file, path, written })
    }

    /// Adds what has been finished since the last time.
    ///
    /// # Errors
    /// A journal that can't be written.
    pub(crate) fn add(&mut self, outcome: impl Fn(usize) -> Option<Outcome>) -> Result<(), Error> {
        let mut lines = String::new();
        for (point, written) in self.written.iter_mut().enumerate() {
            if !*written && let Some(outcome) = outcome(point) {
                *written = true;
                lines.push_str(&format!("{point} {}\n", outcome.name()));
            }
        }
        self.file.write_all(lines.as_bytes()).map_err(|error| {
            Error::new(format!("{}: cannot write the journal: {error}", self.path.display()))
                .help("look after the folder's space")
        })
    }
}

/// The points of a journal. A last line without an end was cut off by the kill, and is left out.
fn read(
    path: &Path,
    mut journal: impl BufRead,
    header: &str,
    all: usize,
) -> Result<Vec<(usize, Outcome)>, Error> {
    const MEND: &str = "start over without --resume";
    const LINE_MAX: u64 = 200;
    let wrong =
        |line: u64, what: &str| Error::new(format!("{}:{line}: {what}", path.display())).help(MEND);
    let mut points = Vec::new();
    for line in 1.. {
        let mut text = Vec::new();
        let mut piece = std::io::Read::take(&mut journal, LINE_MAX);
        let got = piece.read_until(b'\n', &mut text);
        got.map_err(|error| wrong(line, &format!("cannot be read: {error}")))?;
        if text.pop() != Some(b'\n') {
            if line == 1 || text.len() as u64 >= LINE_MAX - 1 {
                return Err(wrong(line, "this is no journal"));
            }
            break;
        }
        let text = String::from_utf8(text).map_err(|_| wrong(line, "this is no text"))?;
        if line == 1 {
            if text != header {
                return Err(if text.starts_with("mallory journal v1 ") {
                    let what = "this journal is stale: it was written by another program, with \
                                other arguments, or on another input";
                    wrong(line, what)
                } else {
                    wrong(line, "this is no journal that this version can read")
                });
            }
            continue;
        }
        let entry = text.split_once(' ').and_then(|(point, outcome)| {
            let point = point.parse().ok().filter(|point| *point < all)?;
            let known = Outcome::ALL.iter().find(|known| known.name() == outcome)?;
            Some((point, *known))
        });
        points.push(entry.ok_or_else(|| wrong(line, "expected a point and its outcome"))?);
    }
    Ok(points)
}

/// Reads bytes as a journal of whatever sweep it says that it is of: how many points are in it.
#[cfg(feature = "arbitrary")]
pub(crate) fn check(bytes: &[u8]) -> Result<usize, Error> {
    const HEADER: &str = "mallory journal v1 it key=0000000000000000 points=64";
    let path = Path::new("it.journal");
    let bare = read(path, BufReader::new(bytes), HEADER, 64);
    // Few fuzzers find the header by themselves.
    let whole = [HEADER.as_bytes(), b"\n", bytes].concat();
    bare.or_else(|_| read(path, BufReader::new(&*whole), HEADER, 64)).map(|points| points.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(points: usize) -> Key<'static> {
        let settings = "seed=0".to_owned();
        Key { scenario: "it/is", settings, input: b"x", fingerprint: 7, points }
    }

    fn reopen(dir: &Path, points: usize) -> Result<Vec<(usize, Outcome)>, Error> {
        let mut seen = Vec::new();
        let place = JournalPlace { dir: dir.to_owned(), resume: true };
        Journal::open(&place, &key(points), |point, outcome| seen.push((point, outcome)))?;
        Ok(seen)
    }

    #[test]
    fn what_was_finished_is_read_back_also_after_a_kill_in_a_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = JournalPlace { dir: dir.path().to_owned(), resume: false };
        let mut journal = Journal::open(&place, &key(10), |_, _| {}).expect("opened");
        journal.add(|n| (n % 3 == 0).then_some(Outcome::Absorbed)).expect("written");
        journal.add(|n| (n < 2).then_some(Outcome::Propagated)).expect("written");
        let path = dir.path().join("it.is.journal");
        let mut text = std::fs::read_to_string(&path).expect("text");
        text.push_str("7 propa");
        std::fs::write(&path, text).expect("written");
        let absorbed = |n| (n, Outcome::Absorbed);
        let expected: Vec<(usize, Outcome)> =
            [0, 3, 6, 9].map(absorbed).into_iter().chain([(1, Outcome::Propagated)]).collect();
        assert_eq!(reopen(dir.path(), 10).expect("read"), expected);
        assert_eq!(reopen(dir.path(), 10).expect("and read again"), expected);
    }

    #[test]
    fn a_stale_or_broken_journal_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("it.is.journal");
        let header = key(10).header();
        for (text, expected) in [
            (String::new(), ":1: this is no journal"),
            ("something else\n".into(), ":1: this is no journal"),
            (key(11).header() + "\n", ":1: this journal is stale"),
            (format!("{header}\n99 absorbed\n"), ":2: expected a point"),
            (format!("{header}\n1 absorbed\n2 sideways\n"), ":3: expected a point"),
            (format!("{header}\n{}", "9".repeat(10_000_000)), ":2: this is no journal"),
        ] {
            std::fs::write(&path, &text).expect("written");
            let error = reopen(dir.path(), 10).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            let after = std::fs::read_to_string(&path).expect("still there");
            assert!(after == text, "a refused journal is not overwritten");
        }
    }
}
