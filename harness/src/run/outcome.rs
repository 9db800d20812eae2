//! The ways in which one execution can end, and the interface to what schedules its threads.

use crate::process::codec::by_index;
use crate::report::evidence::Evidence;
use crate::report::format::are_reordered;
use crate::report::kind::Kind;
use crate::schedule::Preemption;
use crate::schedule::data_races::DataRace;

/// How the subject's own code ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubjectEnd {
    /// `Ok`. `differs` is the difference to the fault-free result, if there is any.
    Ok { differs: Option<String> },
    /// A program ended as usual, but its output differs from the fault-free one, and it said
    /// that something was wrong.
    Degraded,
    /// `Err` that means out of memory.
    Oom,
    /// `Err` that doesn't; its text.
    Err(String),
    /// An operation differed from its model before any request failed.
    Mismatch(ModelMismatch),
    /// A panic; its message.
    Panicked(String),
    /// It was stopped before it ended.
    Stopped,
}

/// How the result of a whole program begins: with its exit status.
pub(crate) const EXIT_STATUS: &str = "exit status ";

/// The exit status in the result of a whole program.
pub(crate) fn exit_status(result: &str) -> Option<i32> {
    result.strip_prefix(EXIT_STATUS)?.lines().next()?.parse().ok()
}

/// How a result is compared with the fault-free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResultComparison {
    /// By its text.
    #[default]
    Exact,
    /// By the lines of its text, in any order: results of fault-free runs differ in the order of an
    /// unordered collection.
    Unordered,
    /// Not at all: results of fault-free runs differ.
    Never,
}

by_index!(ResultComparison);

impl ResultComparison {
    pub(crate) const ALL: [ResultComparison; 3] =
        [ResultComparison::Exact, ResultComparison::Unordered, ResultComparison::Never];

    /// The strictest comparison by which two fault-free results are equal.
    pub(crate) fn of(first: &str, second: &str) -> ResultComparison {
        if first == second {
            ResultComparison::Exact
        } else if are_reordered(first, second) {
            ResultComparison::Unordered
        } else {
            ResultComparison::Never
        }
    }
}

/// How an operation went wrong without any fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelMismatch {
    pub(crate) kind: Kind,
    /// The operation's name.
    pub(crate) operation: String,
    pub(crate) note: String,
}

impl ModelMismatch {
    /// The same as a finding.
    pub(crate) fn evidence(self) -> Evidence {
        let note = format!("without any fault, {}", self.note);
        Evidence { operation: self.operation, ..Evidence::new(self.kind).note(note) }
    }
}

/// Why the threads of a run were stopped before they ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// None of them could continue.
    Deadlock,
    /// They ran for too many steps.
    Endless,
    /// There were more threads than the scheduler allows.
    Crowd,
    /// One of them panicked, and nothing caught the panic; its message.
    Panicked(String),
}

/// How a scheduled run ended, as its scheduler reports it.
#[derive(Debug, Default)]
pub(crate) struct ScheduledEnd {
    /// Why it was stopped, if it was.
    pub(crate) stopped: Option<Stopped>,
    /// The first preemption of the schedule that could not be made.
    pub(crate) diverged: Option<Preemption>,
    /// The number of threads.
    pub(crate) threads: usize,
    /// The message of the first panic of any thread, even if another thread handled it.
    pub(crate) panicked: Option<String>,
    /// Whether the future of a task was dropped at an await.
    pub(crate) cancelled: bool,
    /// Accesses of memory that nothing orders.
    pub(crate) races: Vec<DataRace>,
}

/// What a scheduler tells a run to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "loom"), allow(dead_code, reason = "only loom rehearses"))]
pub(crate) enum Cue {
    /// Prepare a rehearsal, an equal run: loom searches from the beginning, so it has to execute
    /// the schedules that come before the wanted one.
    Rehearse,
    /// Call the subject, as the first thread.
    Body,
    /// Discard the rehearsal.
    Cut,
}

/// Schedules the threads of a run.
pub(crate) trait ThreadScheduler {
    /// Executes a run with this schedule; `cue` is called for each of its steps. Returns when all
    /// threads have ended, or none can continue.
    fn conduct(&self, preemptions: &[Preemption], cue: &mut dyn FnMut(Cue)) -> ScheduledEnd;
}
