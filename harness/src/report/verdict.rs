//! A report in a word: its verdict, its coverage, and the result of a replay.

use std::fmt;

use crate::schedule::Preemption;
use crate::trace::Coordinate;

/// The result of a sweep or an exploration in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing was found, and all runs within the caller's limits were made.
    Clean,
    /// At least one bug was found.
    Findings,
    /// Nothing was found, but runs were left out: by a default limit, or by the limit of an
    /// exploration's schedules.
    Incomplete,
    /// Nothing was found in a sample: real threads show only some of their schedules, and requests
    /// × schedules may be more than can be run. If it was a default limit that made it a sample,
    /// [`Coverage::complete`] is false.
    Sampled,
}

impl Verdict {
    /// The word as JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Findings => "findings",
            Verdict::Incomplete => "incomplete",
            Verdict::Sampled => "sampled",
        }
    }
}

/// The result of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    /// The same run, the same finding.
    Reproduced,
    /// A bug shows with the fault at the coordinate where its call site is now.
    Moved(Coordinate),
    /// There is a finding, but in another run than the token's.
    Different,
    /// Nothing was found.
    NoFailure,
    /// The schedule could not be followed: the thread never reached this preemption's point, or the
    /// thread that should run next was blocked.
    Diverged(Preemption),
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replayed::Reproduced => f.write_str("reproduced"),
            Replayed::Moved(at) => write!(f, "moved to {at}"),
            Replayed::Different => f.write_str("different finding"),
            Replayed::NoFailure => f.write_str("no failure"),
            Replayed::Diverged(preemption) => write!(
                f,
                "diverged at {preemption}: T{} never reached its point {}, \
                 or {}",
                preemption.thread,
                preemption.point,
                preemption.obstacle()
            ),
        }
    }
}

/// How much of the subject a sweep or an exploration covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// Requests of a fault-free run, with those of `first_use`.
    pub requests: u64,
    /// Requests that only the first run of a process makes, which fills statics, thread-locals and
    /// caches. Each was failed in a process that had not warmed up.
    pub first_use: u64,
    /// Different call sites among them.
    pub sites: u64,
    /// Schedules that were run without a fault; 0 for a sweep.
    pub schedules: u64,
    /// Faulted runs made.
    pub runs: u64,
    /// Faulted runs that exist within the bounds.
    pub runs_total: u64,
    /// Whether all of them were made.
    pub complete: bool,
}
