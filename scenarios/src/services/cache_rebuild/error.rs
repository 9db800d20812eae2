//! Why the service fails.

use std::io;

use mallory::Refused;

use crate::services::git_log::log;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no memory, or none within the budget.
    OutOfMemory,
    /// The input is not a log.
    Log(log::Error),
    /// The cache file is truncated, damaged, or not a cache.
    Corrupt,
    /// A file operation failed.
    Io(io::ErrorKind),
    /// The directory's name is not UTF-8.
    Directory,
}

impl From<Refused> for Error {
    fn from(Refused: Refused) -> Self {
        Error::OutOfMemory
    }
}

impl From<log::Error> for Error {
    fn from(error: log::Error) -> Self {
        Error::Log(error)
    }
}

impl From<Corrupt> for Error {
    fn from(Corrupt: Corrupt) -> Self {
        Error::Corrupt
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error.kind())
    }
}

/// The bytes are not a cache, or a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;
