//! What the executor is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use super::fixture;
use super::invocation::Mistake;
use super::runner::{Ending, RunnerError};
use crate::memory::bytes::Bytes;
use crate::services::generate;
use crate::services::git_log::Digest;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Sets a variable for the commands that follow.
    Set {
        /// Its name.
        #[arbitrary(with = fixture::variable)]
        name: String,
        /// Its value.
        #[arbitrary(with = fixture::value)]
        value: String,
    },
    /// Forgets a variable that was set.
    Unset {
        /// Its name.
        #[arbitrary(with = fixture::variable)]
        name: String,
    },
    /// Runs a command and returns what it writes.
    Output {
        /// The command and its arguments.
        #[arbitrary(with = fixture::command)]
        arguments: std::vec::Vec<String>,
        /// The most bytes of output; with more the command fails.
        #[arbitrary(with = generate::count)]
        cap: usize,
    },
    /// Runs a command and returns the length and the SHA-256 of what it writes, of which nothing is
    /// kept.
    Digest {
        /// The command and its arguments.
        #[arbitrary(with = fixture::command)]
        arguments: std::vec::Vec<String>,
    },
    /// Reads `git log --raw` of a revision, and counts.
    Commits {
        /// The revision.
        #[arbitrary(with = fixture::revision)]
        revision: String,
    },
    /// How many commands were started, and how many of them failed.
    Count,
}

/// What an operation returns. The executor allocates texts on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// The variable is set.
    Set,
    /// Whether the variable was set.
    Unset(bool),
    /// What the command wrote.
    Output(Text),
    /// What the command wrote was this.
    Digest {
        /// Bytes.
        length: usize,
        /// Their SHA-256.
        digest: Digest,
    },
    /// The commits of a log, and the changes of all of them.
    Commits {
        /// Commits.
        commits: usize,
        /// Changes.
        changes: usize,
    },
    /// Commands that were started, and those of them that failed.
    Count {
        /// All.
        started: u64,
        /// Those that failed, were killed, took too long or wrote too much.
        failed: u64,
    },
    /// Git ended otherwise than with 0.
    Failed {
        /// How.
        ending: Ending,
        /// The first bytes of its standard error.
        said: Text,
    },
    /// Git wrote more than was asked for, and was killed.
    TooMuch,
    /// The log is none from this line on.
    NotALog(usize),
    /// Git did not run to its end.
    Unfinished(RunnerError),
    /// Nothing was started.
    Rejected(Mistake),
}

/// A text that an operation returns.
pub(super) type ReplyText = Bytes<Vec<u8, Heap>>;
