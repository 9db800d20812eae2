//! What the service is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use crate::services::generate;
use crate::services::git_log::{Digest, Id};

/// The most that one rebuild may hold.
pub const BUDGET: usize = 256 << 20;

/// A rebuild with a higher peak is worth a warning: 80 % of the budget.
pub const BUDGET_WARNING: usize = BUDGET / 5 * 4;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Rebuilds the cache from the whole log.
    Rebuild,
    /// Rebuilds the cache from the newest commits.
    RebuildFrom {
        /// How many.
        #[arbitrary(with = generate::count)]
        commits: usize,
    },
    /// The commits that touched a path, newest first.
    Commits {
        /// As it is written in the log.
        #[arbitrary(with = generate::path)]
        path: String,
    },
    /// The paths that a commit touched, in byte order.
    Paths {
        /// Its id.
        commit: Id,
    },
    /// The size of the cache, and the log that it was built from.
    Summary,
    /// Removes the cache.
    Discard,
}

/// The size of a cache, and the log that it was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Commits in it.
    pub commits: usize,
    /// Paths that they touched.
    pub paths: usize,
    /// The SHA-256 of the log that it was built from.
    pub input: Digest,
}

/// What an operation returns. The service allocates the lists on its heap; the model uses std's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<Ids, Paths> {
    /// The cache was made.
    Rebuilt(Summary),
    /// There is no cache.
    NoCache,
    /// The cache doesn't know the path or the commit.
    Unknown,
    /// The commits that touched the path.
    Commits(Ids),
    /// The paths that the commit touched.
    Paths(Paths),
    /// What the cache is.
    Summary(Summary),
    /// The cache was removed.
    Discarded,
}

/// A list of commits that an operation returns.
pub type Ids = Vec<Id, Heap>;
