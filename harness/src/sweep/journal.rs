//! The journal of a sweep: a file of the points that are done, so that a killed sweep can be
//! resumed. One file for each scenario, one line for each point. A point with a finding is left
//! out: it is cheap to run again, and the journal needs no second format for findings.
//!
//! ```text
//! mallory journal v2 <scenario> key=<16 hex> points=<n>
//! <point> <outcome> <16 hex>
//! ```
//!
//! The number at a line's end is a checksum of all lines up to there, so that a line that was changed,
//! removed or moved is seen. Only the end may be missing: a kill or a full disk cut it off.

use std::fs::OpenOptions;
use std::io::{self, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::memory::preloaded::is_preloaded;
use crate::process::atomic_file;
use crate::process::file_lock::{self, LockedFile};
use crate::report::outcome::Outcome;
use crate::sweep::journal_text::{Key, line, read, sum_with};

/// The folder of the journals, and whether to resume from one.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    pub(crate) dir: PathBuf,
    pub(crate) resume: bool,
}

/// An open journal.
pub(crate) struct Journal {
    /// Locked against a second sweep, as the file was that it replaced.
    file: LockedFile,
    _replaced: LockedFile,
    path: PathBuf,
    /// The points that are in the file.
    written: Vec<bool>,
    /// The checksum of its lines.
    sum: u64,
    /// Whether it could not be written, which is said once. It then stays as it is.
    has_failed: bool,
}

/// Why a journal can't be kept.
enum NoJournal {
    /// There is no room for it. The sweep can do without.
    Full(Error),
    /// Another sweep is writing it.
    Taken(Error),
    /// It is not this sweep's, or the caller made another mistake.
    Mistake(Error),
}

impl NoJournal {
    fn of(what: &str, path: &Path, error: &io::Error) -> Self {
        let is_full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge]
            .contains(&error.kind());
        let error = failed(what, path, error);
        if is_full { NoJournal::Full(error) } else { NoJournal::Mistake(error) }
    }
}

impl From<Error> for NoJournal {
    fn from(error: Error) -> Self {
        NoJournal::Mistake(error)
    }
}

/// Opens the file of a journal, which is made if it isn't there, and locks it.
///
/// # Errors
/// It can't be opened, it is a link or no file, or another sweep has it open.
fn open_locked(path: &Path, scenario: &str) -> Result<LockedFile, NoJournal> {
    let place = || path.display().to_string();
    let failed = |error: &io::Error| NoJournal::of("open", path, error);
    // Several sweeps may begin at once, and each replaces the file that it has locked.
    loop {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            libc::O_NOFOLLOW | libc::O_NONBLOCK,
        );
        let file = options.open(path).map_err(|error| failed(&error))?;
        // Reading from a pipe would wait forever.
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            return Err(Error::new("the journal is not a file")
                .at(place())
                .help("remove what is in its place")
                .into());
        }
        let Some(locked) = LockedFile::of(file).map_err(|error| failed(&error))? else {
            let error = Error::new(format!("another sweep of `{scenario}` is running"))
                .at(place())
                .help("wait until it has ended, or give this one another folder for its journal");
            return Err(NoJournal::Taken(error));
        };
        let is_same = |there: &std::fs::Metadata| {
            use std::os::unix::fs::MetadataExt;
            locked
                .file()
                .metadata()
                .is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
        };
        if std::fs::symlink_metadata(path).is_ok_and(|there| is_same(&there)) {
            return Ok(locked);
        }
    }
}

/// The error of a journal that can't be used.
fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(format!("cannot {what} the journal: {error}"))
        .at(path.display().to_string())
        .help("check the folder's permissions and free space")
}

/// Says on standard error that there is no room for more of a journal. Where that can't be written to,
/// on the same full disk say, nobody can be told, and the report matters more.
fn warn(error: &Error) {
    let note = "note: the sweep goes on; --resume will run the rest again";
    let _ = writeln!(io::stderr(), "warning: {error}\n{note}");
}

impl Journal {
    /// Opens the journal, and calls `done` with each point that an earlier sweep finished. `None` if
    /// there is no room for it, which is said on standard error, or if that of a whole program is in use.
    ///
    /// # Errors
    /// A journal that can't be read or written, that belongs to another sweep, that was changed, or
    /// that another sweep is writing.
    pub(crate) fn open(
        place: &JournalPlace,
        key: &Key<'_>,
        mut done: impl FnMut(usize, Outcome),
    ) -> Result<Option<Journal>, Error> {
        match Self::open_if_room(place, key, &mut done) {
            Ok(journal) => Ok(Some(journal)),
            Err(NoJournal::Full(error)) => {
                warn(&error);
                Ok(None)
            }
            // Programs of one name may have nothing to do with each other.
            Err(NoJournal::Taken(_)) if is_preloaded() && !place.resume => Ok(None),
            Err(NoJournal::Taken(error) | NoJournal::Mistake(error)) => Err(error),
        }
    }

    fn open_if_room(
        place: &JournalPlace,
        key: &Key<'_>,
        done: &mut dyn FnMut(usize, Outcome),
    ) -> Result<Journal, NoJournal> {
        let path = place.dir.join(format!("{}.journal", key.scenario.replace('/', ".")));
        let made = std::fs::create_dir_all(&place.dir);
        made.map_err(|error| NoJournal::of("make a folder for", &path, &error))?;
        let replaced = open_locked(&path, key.scenario)?;
        // Made only to be locked, just now or by a sweep that was killed at this place.
        let is_empty = replaced.file().metadata().is_ok_and(|data| data.len() == 0);
        let opened = Self::replace(&replaced, &path, place.resume && !is_empty, key, done);
        if opened.is_err() && is_empty {
            let _ = std::fs::remove_file(&path);
        }
        let (file, written, sum) = opened?;
        Ok(Journal { file, _replaced: replaced, path, written, sum, has_failed: false })
    }

    /// The rest of [`open`](Self::open): reads the old file, and replaces it by a new one with the same
    /// points, locked as well. Returns the points, and the checksum.
    fn replace(
        replaced: &LockedFile,
        path: &Path,
        resumes: bool,
        key: &Key<'_>,
        done: &mut dyn FnMut(usize, Outcome),
    ) -> Result<(LockedFile, Vec<bool>, u64), NoJournal> {
        let mut written = vec![false; key.points];
        let header = key.header();
        let mut text = format!("{header}\n");
        let mut sum = sum_with(0, &header);
        if resumes {
            let old = BufReader::new(replaced.file());
            for (point, outcome) in read(path, old, &header, key.points)? {
                if !std::mem::replace(&mut written[point], true) {
                    done(point, outcome);
                    text.push_str(&line(&mut sum, point, outcome));
                }
            }
        }
        let file = atomic_file::replace(path, |file| {
            file.write_all(text.as_bytes())?;
            // Locked before it takes the other's place.
            file_lock::lock(file).map(drop)
        });
        let file = file.map_err(|error| NoJournal::of("write", path, &error))?;
        let locked = LockedFile::of(file).map_err(|error| NoJournal::of("write", path, &error))?;
        let locked = locked.ok_or_else(|| {
            Error::new("the new journal is locked").at(path.display().to_string())
        })?;
        Ok((locked, written, sum))
    }

    /// Appends the points that were finished since the last call. If that fails it is said on standard
    /// error, once: the sweep can go on, but not be resumed from there.
    pub(crate) fn add(&mut self, outcome: impl Fn(usize) -> Option<Outcome>) {
        let mut lines = String::new();
        for (point, written) in self.written.iter_mut().enumerate() {
            if !*written && let Some(outcome) = outcome(point) {
                *written = true;
                lines.push_str(&line(&mut self.sum, point, outcome));
            }
        }
        // What follows a part of a line would be no journal.
        if self.has_failed {
            return;
        }
        if let Err(error) = self.file.file().write_all(lines.as_bytes()) {
            self.has_failed = true;
            warn(&failed("write", &self.path, &error));
        }
    }
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
        let _ = Journal::open(&place, &key(points), |point, outcome| seen.push((point, outcome)))?;
        Ok(seen)
    }

    /// A journal of some points, and where it is.
    fn journal(dir: &Path) -> PathBuf {
        let place = JournalPlace { dir: dir.to_owned(), resume: false };
        let mut journal =
            Journal::open(&place, &key(10), |_, _| {}).expect("opened").expect("room");
        journal.add(|n| (n % 3 == 0).then_some(Outcome::Absorbed));
        journal.add(|n| (n < 2).then_some(Outcome::Propagated));
        dir.join("it.is.journal")
    }

    /// The points of [`journal`].
    fn points() -> Vec<(usize, Outcome)> {
        let absorbed = |n| (n, Outcome::Absorbed);
        [0, 3, 6, 9].map(absorbed).into_iter().chain([(1, Outcome::Propagated)]).collect()
    }

    #[test]
    fn what_was_finished_is_read_back_also_after_a_kill_in_a_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = journal(dir.path());
        let mut text = std::fs::read_to_string(&path).expect("text");
        text.push_str("7 propa");
        std::fs::write(&path, text).expect("written");
        assert_eq!(reopen(dir.path(), 10).expect("read"), points());
        assert_eq!(reopen(dir.path(), 10).expect("and read again"), points());
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_is_read_as_far_as_it_goes_or_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = journal(dir.path());
        let whole = std::fs::read(&path).expect("there");
        let header = key(10).header().len() + 1;
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).expect("written");
            match reopen(dir.path(), 10) {
                // Made only to be locked, and then killed.
                Ok(read) if end == 0 => assert_eq!(read, [], "nothing is lost"),
                Ok(read) if end < header => panic!("cut at {end}: {read:?}"),
                Ok(read) => assert_eq!(read[..], points()[..read.len()], "cut at {end}"),
                Err(error) => assert!(0 < end && end < header, "cut at {end}: {error}"),
            }
        }
    }

    #[test]
    fn a_journal_that_was_changed_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = journal(dir.path());
        let whole = std::fs::read_to_string(&path).expect("text");
        let refused = |text: &[u8]| {
            std::fs::write(&path, text).expect("written");
            reopen(dir.path(), 10).expect_err("it was changed").to_string()
        };
        let by_hand = refused(whole.replacen("3 absorbed", "3 propagated", 1).as_bytes());
        assert!(by_hand.contains("the checksum is wrong"), "{by_hand}");
        assert!(by_hand.contains("it.is.journal:3"), "{by_hand}");
        // Lines that are removed, doubled, or in another order.
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let without = [&lines[..1], &lines[2..]].concat().concat();
        let doubled = [&lines[..2], &lines[1..]].concat().concat();
        let swapped = [lines[0], lines[2], lines[1]].concat();
        for text in [without, doubled, swapped] {
            refused(text.as_bytes());
        }
        // Each byte but the last line's end, where a kill may have been.
        for place in 0..whole.len() - 1 {
            for bit in 0..8 {
                let mut bytes = whole.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                std::fs::write(&path, &bytes).expect("written");
                if let Ok(read) = reopen(dir.path(), 10) {
                    // A line's end became something else: the rest is a line that was cut off.
                    assert_eq!(read[..], points()[..read.len()], "byte {place}, bit {bit}");
                    assert!(read.len() < points().len(), "byte {place}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_second_sweep_of_the_same_name_is_refused_while_the_first_one_runs() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = JournalPlace { dir: dir.path().to_owned(), resume: true };
        let mut first = Journal::open(&place, &key(10), |_, _| {}).expect("opened").expect("room");
        let error = reopen(dir.path(), 10).expect_err("it is locked").to_string();
        assert!(error.contains("another sweep of `it/is` is running"), "{error}");
        first.add(|n| (n == 4).then_some(Outcome::Absorbed));
        drop(first);
        assert_eq!(reopen(dir.path(), 10).expect("free"), [(4, Outcome::Absorbed)]);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_the_place_of_the_journal_is_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "important").expect("written");
        let path = dir.path().join("it.is.journal");
        std::os::unix::fs::symlink(&victim, &path).expect("planted");
        let error = reopen(dir.path(), 10).expect_err("it is a link").to_string();
        assert!(error.contains("cannot open the journal"), "{error}");
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "important");
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_in_the_place_of_the_journal_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("it.is.journal");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("it starts");
        assert!(made.success());
        let error = reopen(dir.path(), 10).expect_err("it is a pipe").to_string();
        assert!(error.starts_with("the journal is not a file"), "{error}");
    }

    #[test]
    fn a_stale_or_broken_journal_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("it.is.journal");
        let header = key(10).header();
        for (text, expected) in [
            ("\n".into(), "1: this is not a journal"),
            ("something else\n".into(), "1: this is not a journal"),
            (key(11).header() + "\n", "1: this journal is stale"),
            (format!("{header}\n99\n"), "2: expected a point"),
            (format!("{header}\n9 absorbed 0000000000000000\n"), "2: the journal was changed"),
            (
                [&*header, "\n", &line(&mut sum_with(0, &header), 99, Outcome::Absorbed)].concat(),
                "2: expected a point",
            ),
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
