//! How one execution ended, and who lets its threads take turns.

use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::schedule::Preemption;

/// How the subject's own code ended, panics apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubjectEnd {
    /// `Ok`. With a fault-free result to compare with: what differs, if anything does.
    Ok { differs: Option<String> },
    /// `Err` that means out of memory.
    Oom,
    /// `Err` that doesn't.
    Err(String),
    /// Before any request failed, an operation did otherwise than its model.
    Mismatch(ModelMismatch),
    /// A panic.
    Panicked(String),
    /// It never came to its end.
    Stopped,
}

/// What went wrong without any fault: in which operation, which is named, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelMismatch {
    pub(crate) kind: Kind,
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

/// Why the threads of a run did not come to their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// None of them could go on.
    Deadlock,
    /// They went on for too many steps.
    Endless,
    /// There were more of them than can be told apart.
    Crowd,
    /// One of them panicked, and nobody caught it.
    Panicked(String),
}

/// What whoever let threads take turns has to say of it.
#[derive(Debug, Default)]
pub(crate) struct ScheduledEnd {
    /// What kept it from its end, if anything did.
    pub(crate) stopped: Option<Stopped>,
    /// A deviation that could not be made.
    pub(crate) diverged: Option<Preemption>,
    /// Threads that there were.
    pub(crate) threads: usize,
    /// What the first thread said that panicked, also where another one made something of that.
    pub(crate) panicked: Option<String>,
}

/// What a run is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "loom"), allow(dead_code, reason = "only loom rehearses"))]
pub(crate) enum Cue {
    /// To make another run ready, alike: it stands before this one in the conductor's search.
    Rehearse,
    /// To call the subject, as the first thread.
    Body,
    /// To forget the rehearsal.
    Cut,
}

/// Lets the threads of a run take turns.
pub(crate) trait ThreadScheduler {
    /// Makes the run with this schedule, which says what it is to do by its cues. Comes back when
    /// all its threads have ended, or none can go on.
    fn conduct(&self, turns: &[Preemption], cue: &mut dyn FnMut(Cue)) -> ScheduledEnd;
}
