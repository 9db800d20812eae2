//! What the hub is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use crate::memory::bytes::Bytes;
use crate::services::generate;

/// No name of a listener or a task is longer than this.
pub const NAME_MAX: usize = 128;
/// No note is longer than this.
pub const NOTE_MAX: usize = 1024;
/// No inbox has more reports than this.
pub const INBOX_MAX: usize = 12;
/// There are no more listeners than this.
pub const LISTENERS_MAX: usize = 8;

/// How a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum TaskState {
    /// It waits for a worker.
    Pending,
    /// A worker runs it.
    Running,
    /// It is done.
    Succeeded,
    /// It can't be done.
    Failed,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Listens from now on. One who listens already changes what for, and keeps the inbox.
    Listen {
        /// The listener.
        #[arbitrary(with = generate::listener)]
        listener: String,
        /// Listens for reports of this state only.
        only: Option<TaskState>,
    },
    /// Stops listening. What was not acknowledged is dropped.
    Leave(#[arbitrary(with = generate::listener)] String),
    /// Reports a task's state to all who listen for it, or to none.
    Report {
        /// The task.
        #[arbitrary(with = generate::name)]
        task: String,
        /// Its state.
        state: TaskState,
        /// What else there is to say.
        #[arbitrary(with = generate::content)]
        note: String,
    },
    /// The next reports in an inbox, as JSON. They stay there.
    Receive {
        /// The listener.
        #[arbitrary(with = generate::listener)]
        listener: String,
        /// How many reports at most.
        #[arbitrary(with = generate::count)]
        limit: usize,
    },
    /// All that was received is dealt with: the listener knows it, and it leaves the inbox.
    Acknowledge(#[arbitrary(with = generate::listener)] String),
    /// Nothing that was received is dealt with: it is received once more, in the same order.
    Reject(#[arbitrary(with = generate::listener)] String),
    /// The latest state of each task that a listener knows of, as JSON.
    Known(#[arbitrary(with = generate::listener)] String),
    /// Counts the reports in all inboxes.
    Count,
}

/// What an operation returns. The hub allocates its text on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// There are this many listeners.
    Listening(usize),
    /// The listener is gone, and so are this many reports that were not acknowledged.
    Left(usize),
    /// The report is in this many inboxes.
    Reported(usize),
    /// JSON.
    Reports(Text),
    /// This many reports are dealt with.
    Acknowledged(usize),
    /// This many reports are received once more.
    Rejected(usize),
    /// JSON.
    Known(Text),
    /// There are this many reports.
    Counted(usize),
    /// There is no such listener.
    Unknown,
    /// A name or a note is too long.
    TooLong,
    /// There are [`LISTENERS_MAX`] already.
    TooMany,
    /// The inbox of a listener is full, so nobody gets the report.
    Full,
}

/// JSON that an operation returns.
pub(super) type Json = Bytes<Vec<u8, Heap>>;

impl TaskState {
    /// Its name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::Running => "running",
            TaskState::Succeeded => "succeeded",
            TaskState::Failed => "failed",
        }
    }
}
