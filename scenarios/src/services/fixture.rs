//! The fixtures: real input, committed, its SHA-256 pinned and checked whenever it is read.

use std::sync::Arc;

use mallory::Error;
use sha2::{Digest, Sha256};

/// One file with the hash that it must have, as `sha256sum` prints both.
struct Fixture {
    name: &'static str,
    bytes: &'static [u8],
}

/// The pinned hashes: `sha256sum *.log *.jsonl > SHA256SUMS` in the fixtures' folder.
const SUMS: &str = include_str!("../../fixtures/SHA256SUMS");

const JOURNAL: Fixture =
    Fixture { name: "journal.log", bytes: include_bytes!("../../fixtures/journal.log") };

const LFS_REQUESTS: Fixture = Fixture {
    name: "lfs-requests.jsonl",
    bytes: include_bytes!("../../fixtures/lfs-requests.jsonl"),
};

/// What git does in a repository that a test makes: a recording of `git_command`.
const GIT_COMMANDS: Fixture = Fixture { name: "git-answers.log", bytes: GIT_ANSWERS };

/// This repository's own history, as printed by `git log --raw --no-abbrev`.
///
/// # Errors
/// Where the file is not the pinned one.
pub fn journal() -> Result<Arc<[u8]>, Error> {
    JOURNAL.checked(SUMS)
}

/// The recording of git's answers.
///
/// # Errors
/// Where the file is not the pinned one.
pub fn git_answers() -> Result<Arc<[u8]>, Error> {
    GIT_COMMANDS.checked(SUMS)
}

/// A session of Git LFS requests, one a line.
///
/// # Errors
/// Where the file is not the pinned one.
pub fn lfs_requests() -> Result<Arc<[u8]>, Error> {
    LFS_REQUESTS.checked(SUMS)
}

/// A small log written by hand: a rename, a merge, notes, an empty commit, a quoted path, a copy.
/// For tests that read it thousands of times.
pub const SAMPLE: &[u8] = include_bytes!("../../fixtures/sample.log");

/// The recording of git's answers, unchecked.
pub const GIT_ANSWERS: &[u8] = include_bytes!("../../fixtures/git-answers.log");

impl Fixture {
    fn checked(&self, sums: &str) -> Result<Arc<[u8]>, Error> {
        let pinned = sums.lines().find_map(|line| {
            let (sum, name) = line.split_once("  ")?;
            (name == self.name).then_some(sum)
        });
        let place = format!("scenarios/fixtures/{}", self.name);
        let pinned = pinned.ok_or_else(|| {
            Error::new(format!("{place}: SHA256SUMS has no line for it")).help(HELP)
        })?;
        let found: String =
            Sha256::digest(self.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if found != pinned {
            let what = format!("{place}: its SHA-256 is {found}, but {pinned} is pinned");
            return Err(Error::new(what).help(HELP));
        }
        Ok(Arc::from(self.bytes))
    }
}

const HELP: &str = "restore the committed file, or pin the new one (sha256sum > SHA256SUMS)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_fixtures_are_the_pinned_ones() {
        assert!(journal().expect("pinned").starts_with(b"commit "));
        assert!(lfs_requests().expect("pinned").starts_with(b"{"));
        assert!(git_answers().expect("pinned").starts_with(b"run\n"));
        let sample = Fixture { name: "sample.log", bytes: SAMPLE };
        assert!(sample.checked(SUMS).expect("pinned").starts_with(b"commit "));
    }

    #[test]
    fn a_fixture_whose_hash_differs_is_refused() {
        let zeroes = "0".repeat(64);
        let error = JOURNAL.checked(&format!("{zeroes}  journal.log\n")).expect_err("differs");
        assert!(error.to_string().contains("fixtures/journal.log: its SHA-256 is "), "{error}");
        let error = JOURNAL.checked("").expect_err("not pinned");
        assert!(error.to_string().contains("has no line for it"), "{error}");
    }
}
