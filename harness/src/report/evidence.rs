//! The evidence of a bug that one run gathers: who did what to which block, and when. With call
//! sites, and grouped with that of other runs, it becomes a finding.

use crate::printable;
use crate::report::kind::Kind;

/// What a call site did to the block in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Allocated,
    Freed,
    FirstFree,
    SecondFree,
    Requested,
    Owner,
    Panicked,
    Waits,
    Holds,
    /// Waits for a thread to end. Where it does follows from what that thread waits for.
    Joins,
    /// Read or wrote memory that is not the subject's.
    Accessed,
    /// Died of a signal.
    Died,
    /// Was killed for its silence.
    Hung,
}

impl Role {
    pub(crate) const ALL: [Role; 13] = [
        Role::Allocated,
        Role::Freed,
        Role::FirstFree,
        Role::SecondFree,
        Role::Requested,
        Role::Owner,
        Role::Panicked,
        Role::Waits,
        Role::Holds,
        Role::Joins,
        Role::Accessed,
        Role::Died,
        Role::Hung,
    ];

    /// The role in words.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Role::Allocated => "allocated",
            Role::Freed => "freed",
            Role::FirstFree => "first free",
            Role::SecondFree => "second free",
            Role::Requested => "requested",
            Role::Owner => "around it",
            Role::Panicked => "panicked",
            Role::Waits => "waits",
            Role::Holds => "locked",
            Role::Joins => "joins",
            Role::Accessed => "accessed",
            Role::Died => "died",
            Role::Hung => "hung",
        }
    }
}

/// A moment of a run whose call site a finding needs. A run is deterministic, so it is made again
/// to take the backtraces of just these moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Moment {
    /// The allocation that made block `aN`.
    Allocation(u64),
    /// The run's Nth event, counted from 1.
    Event(u64),
    /// The Nth call from a foreign thread.
    Foreign(u64),
    /// The Nth free of a block that was not allocated in the run.
    UnknownFree(u64),
    /// The panic.
    Panic,
    /// The Nth stray access of a guarded run.
    Access(u64),
    /// The end of the process: its last instruction, or where it hung.
    Death,
    /// The Nth operation on shared data, under a model checker.
    Step(u64),
}

/// A block as a finding names it: by its number, never by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockInfo {
    pub(crate) number: u64,
    pub(crate) size: usize,
    /// Its alignment; 0 where none was asked for, as by `malloc`.
    pub(crate) align: usize,
    pub(crate) heap: String,
}

/// What a detector or an oracle reports about one bug in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) kind: Kind,
    pub(crate) block: Option<BlockInfo>,
    /// Who did what, and when.
    pub(crate) steps: Vec<(Role, Moment)>,
    /// More precise words than those of the roles: none, or one for each step.
    pub(crate) labels: Vec<String>,
    /// Sentences for the report, without places.
    pub(crate) notes: Vec<String>,
    /// The operation of a script that went wrong without any fault; else empty.
    pub(crate) operation: String,
}

impl Evidence {
    pub(crate) fn new(kind: Kind) -> Self {
        let (steps, labels, notes) = (Vec::new(), Vec::new(), Vec::new());
        Evidence { kind, block: None, steps, labels, notes, operation: String::new() }
    }

    /// Adds the block that it is about, and its allocation as a step.
    pub(crate) fn about(mut self, block: BlockInfo) -> Self {
        self.steps.push((Role::Allocated, Moment::Allocation(block.number)));
        self.block = Some(block);
        self
    }

    /// Adds a step.
    pub(crate) fn step(mut self, role: Role, moment: Moment) -> Self {
        self.steps.push((role, moment));
        self
    }

    /// Adds a step with words of its own. All steps of this evidence need some then.
    pub(crate) fn labelled(mut self, label: String, role: Role, moment: Moment) -> Self {
        self.labels.push(label);
        self.step(role, moment)
    }

    /// Adds a sentence.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(printable::lines(&note.into()));
        self
    }
}
