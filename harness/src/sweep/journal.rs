//! The journal of a sweep: a file of the points that are done, so that a killed sweep can be
//! resumed. One file for each scenario, one line for each point. A point with a finding is left
//! out: it is cheap to run again, and the journal needs no second format for findings.
//!
//! ```text
//! mallory journal v1 <scenario> key=<16 hex> points=<n>
//! <point> <outcome>
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::process::atomic_file;
use crate::report::outcome::Outcome;
use crate::trace::{hash_bytes, mix};

/// The folder of the journals, and whether to resume from one.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    pub(crate) dir: PathBuf,
    pub(crate) resume: bool,
}

/// An open journal.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// The points that are in the file.
    written: Vec<bool>,
}

/// What must be equal in a journal and in the sweep that resumes from it.
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
    // Eight bytes at a time, since the file is large. The result is never printed.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = hash_bytes(rest);
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = hash.rotate_left(29);
    }
    mix(hash)
}

impl Journal {
    /// Opens the journal, and calls `done` with each point that an earlier sweep finished.
    ///
    /// # Errors
    /// A journal that can't be read or written, or that belongs to another sweep.
    pub(crate) fn open(
        place: &JournalPlace,
        key: &Key<'_>,
        mut done: impl FnMut(usize, Outcome),
    ) -> Result<Journal, Error> {
        let path = place.dir.join(format!("{}.journal", key.scenario.replace('/', ".")));
        let failed = |what: &str, error: &std::io::Error| {
            Error::new(format!("cannot {what} the journal: {error}"))
                .at(path.display().to_string())
                .help("check the folder's permissions and free space")
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
        // Rewritten without a last line that a kill cut off.
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

    /// Appends the points that were finished since the last call.
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
            Error::new(format!("cannot write the journal: {error}"))
                .at(self.path.display().to_string())
                .help("check the folder's free space")
        })
    }
}

/// The points in a journal. A last line without an end was cut off by a kill, and is ignored.
///
/// # Errors
/// A line that is malformed, or a header of another sweep.
fn read(
    path: &Path,
    mut journal: impl BufRead,
    header: &str,
    points_total: usize,
) -> Result<Vec<(usize, Outcome)>, Error> {
    const HELP: &str = "start over without --resume";
    const LINE_MAX: u64 = 200;
    let wrong = |line: u64, what: &str| {
        Error::new(what).at(format!("{}:{line}", path.display())).help(HELP)
    };
    let mut points = Vec::new();
    for line in 1.. {
        let mut text = Vec::new();
        let mut piece = std::io::Read::take(&mut journal, LINE_MAX);
        let got = piece.read_until(b'\n', &mut text);
        got.map_err(|error| wrong(line, &format!("the journal cannot be read: {error}")))?;
        if text.pop() != Some(b'\n') {
            if line == 1 || text.len() as u64 >= LINE_MAX - 1 {
                return Err(wrong(line, "this is not a journal"));
            }
            break;
        }
        let text = String::from_utf8(text).map_err(|_| wrong(line, "this line is not text"))?;
        if line == 1 {
            if text != header {
                return Err(if text.starts_with("mallory journal v1 ") {
                    let what = "this journal is stale: it is of another program, other arguments or \
                                another input";
                    wrong(line, what)
                } else {
                    wrong(line, "this is not a journal that this version can read")
                });
            }
            continue;
        }
        let entry = text.split_once(' ').and_then(|(point, outcome)| {
            let point = point.parse().ok().filter(|point| *point < points_total)?;
            let known = Outcome::ALL.iter().find(|known| known.name() == outcome)?;
            Some((point, *known))
        });
        points.push(entry.ok_or_else(|| wrong(line, "expected a point and its outcome"))?);
    }
    Ok(points)
}

/// Reads bytes as a journal of 64 points, and returns how many points are in it. For fuzzing.
#[cfg(feature = "arbitrary")]
pub(crate) fn check(bytes: &[u8]) -> Result<usize, Error> {
    const HEADER: &str = "mallory journal v1 it key=0000000000000000 points=64";
    let path = Path::new("it.journal");
    let as_it_is = read(path, BufReader::new(bytes), HEADER, 64);
    // A fuzzer hardly finds the header by itself.
    let with_header = [HEADER.as_bytes(), b"\n", bytes].concat();
    as_it_is
        .or_else(|_| read(path, BufReader::new(&*with_header), HEADER, 64))
        .map(|points| points.len())
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
            (String::new(), "1: this is not a journal"),
            ("something else\n".into(), "1: this is not a journal"),
            (key(11).header() + "\n", "1: this journal is stale"),
            (format!("{header}\n99 absorbed\n"), "2: expected a point"),
            (format!("{header}\n1 absorbed\n2 sideways\n"), "3: expected a point"),
            (format!("{header}\n{}", "9".repeat(10_000_000)), "2: this is not a journal"),
        ] {
            std::fs::write(&path, &text).expect("written");
            let error = reopen(dir.path(), 10).expect_err(expected).to_string();
            let (line, what) = expected.split_once(": ").expect("a line and a text");
            assert!(error.starts_with(what), "{error}");
            assert!(error.contains(&format!("it.is.journal:{line}\n")), "{error}");
            let after = std::fs::read_to_string(&path).expect("still there");
            assert!(after == text, "a refused journal is not overwritten");
        }
    }
}
