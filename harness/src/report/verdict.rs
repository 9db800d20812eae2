//! A report in a word: what it says, how much was looked at, what a replay came to.

use std::fmt;

use crate::schedule::Preemption;
use crate::trace::Coordinate;

/// What a report says in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing was found, and all that was asked for was done.
    Clean,
    /// Something was found.
    Findings,
    /// Nothing was found, but a limit that nobody asked for was hit.
    Incomplete,
    /// Nothing was found in what chance took: real threads show some of their schedules only, and
    /// requests × schedules may be more than can be run. Where nobody asked for a limit,
    /// [`Coverage::complete`] says that something was left out.
    Sampled,
}

impl Verdict {
    /// The word as it stands in JSON.
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

/// What a replay came to. It never passes silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    /// The same run, the same finding.
    Reproduced,
    /// The same failure stands at another place now.
    Moved(Coordinate),
    /// There is a finding, in a run that went otherwise.
    Different,
    /// Nothing was found.
    NoFailure,
    /// The schedule could not be followed: its point never came, or whom it names could not go on.
    Diverged(Preemption),
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replayed::Reproduced => f.write_str("reproduced"),
            Replayed::Moved(at) => write!(f, "moved to {at}"),
            Replayed::Different => f.write_str("different finding"),
            Replayed::NoFailure => f.write_str("no failure"),
            Replayed::Diverged(turn) => write!(
                f,
                "diverged at {turn}: T{} never came to its point {}, or T{} could not go on there",
                turn.thread, turn.point, turn.to
            ),
        }
    }
}

/// How much of what there is was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// Requests of the fault-free run.
    pub requests: u64,
    /// Different call sites among them.
    pub sites: u64,
    /// Schedules of its threads that were run without a fault; 0 where they were not explored.
    pub schedules: u64,
    /// Faulted runs made.
    pub runs: u64,
    /// Faulted runs that there are.
    pub runs_total: u64,
    /// Whether every one was made.
    pub complete: bool,
}
