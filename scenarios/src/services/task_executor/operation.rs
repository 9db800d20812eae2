//! What the executor is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::{Heap, Refused};
use serde::{Deserialize, Serialize};

use crate::memory::bytes::Bytes;
use crate::services::generate;

/// No key is longer than this.
pub const KEY_MAX: usize = 128;
/// No value, and no text that a step emits, is longer than this.
pub const VALUE_MAX: usize = 2048;
/// There are no more values than this.
pub const VALUES_MAX: usize = 256;
/// No task has more steps than this.
pub const STEPS_MAX: usize = 32;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Runs a task: all of its steps, or none of them.
    Run(#[arbitrary(with = generate::few)] std::vec::Vec<Step>),
    /// The value of a key.
    Get(#[arbitrary(with = generate::key)] String),
    /// The values, and how many tasks there were, as JSON.
    Report,
    /// Counts the values.
    Count,
}

/// One step of a task. In a template `${key}` is the value of that key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Step {
    /// Gives a key this value.
    Set {
        /// The key.
        #[arbitrary(with = generate::key)]
        key: String,
        /// A template of the value.
        #[arbitrary(with = generate::template)]
        value: String,
    },
    /// Removes a key and its value.
    Remove {
        /// The key.
        #[arbitrary(with = generate::key)]
        key: String,
    },
    /// Gives a value another key.
    Rename {
        /// The key that it has.
        #[arbitrary(with = generate::key)]
        from: String,
        /// The key that it gets, which no value may have.
        #[arbitrary(with = generate::key)]
        to: String,
    },
    /// Fails unless a key has this value.
    Require {
        /// The key.
        #[arbitrary(with = generate::key)]
        key: String,
        /// A template of the value.
        #[arbitrary(with = generate::template)]
        value: String,
    },
    /// Appends a text to what the task returns.
    Emit {
        /// A template of the text.
        #[arbitrary(with = generate::template)]
        text: String,
    },
}

/// The rule by which a step fails. Running out of memory is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No value has this key.
    Unknown,
    /// A value has this key already.
    Exists,
    /// The value is another one.
    Differs,
    /// A key or a value would be too long.
    TooLong,
    /// There would be too many values.
    TooMany,
    /// A template has no end of a key.
    Template,
}

/// Why a step was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// There is no memory.
    Memory,
    /// By this rule.
    Rule(Failure),
}

impl From<Refused> for Stopped {
    fn from(_: Refused) -> Self {
        Stopped::Memory
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::Rule(failure)
    }
}

/// What an operation returns. The executor allocates its text on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// The task is done; this is what its steps emitted.
    Done(Text),
    /// A step failed, and the changes of those before it are taken back.
    RolledBack {
        /// The number of the step, from 0.
        step: usize,
        /// Why it failed.
        why: Failure,
        /// How many changes were taken back.
        undone: usize,
    },
    /// The value, if there is one.
    Value(Option<Text>),
    /// JSON.
    Report(Text),
    /// How many values there are.
    Counted(usize),
    /// The task has more than [`STEPS_MAX`] steps.
    TooManySteps,
}

/// Text that an operation returns.
pub(super) type Output = Bytes<Vec<u8, Heap>>;
