//! What the manager is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use crate::memory::bytes::Bytes;
use crate::services::generate;

/// No container's id is longer than this.
pub const ID_MAX: usize = 256;
/// No container has more variables in its environment than this.
pub const ENV_MAX: usize = 8;
/// No text of a log is longer than this.
pub const LOG_MAX: usize = 8192;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Makes a container from a specification: lines of `image=`, `limit=` (bytes), `env=`.
    Create {
        /// Its id.
        #[arbitrary(with = generate::container)]
        id: String,
        /// Its specification.
        #[arbitrary(with = generate::specification)]
        spec: String,
    },
    /// Starts a container.
    Start {
        /// Its id.
        #[arbitrary(with = generate::container)]
        id: String,
    },
    /// Runs a command in a container; its output is the command's text, this often.
    Exec {
        /// The container's id.
        #[arbitrary(with = generate::container)]
        id: String,
        /// The command.
        #[arbitrary(with = generate::content)]
        command: String,
        /// How often.
        times: u8,
    },
    /// Appends a text, this often, to a container's log, which keeps its newest part.
    Log {
        /// The container's id.
        #[arbitrary(with = generate::container)]
        id: String,
        /// The text.
        #[arbitrary(with = generate::content)]
        text: String,
        /// How often.
        times: u16,
    },
    /// Stops a container.
    Stop {
        /// Its id.
        #[arbitrary(with = generate::container)]
        id: String,
    },
    /// Removes a container that doesn't run.
    Destroy {
        /// Its id.
        #[arbitrary(with = generate::container)]
        id: String,
    },
    /// Reads the daemon's configuration: lines of `name=`, `container_limit=`, `daemon_limit=`.
    Reload(#[arbitrary(with = generate::configuration)] String),
    /// The host says how many hundredths of the daemon's limit there are just now.
    Pressure(u8),
    /// The metrics, as JSON.
    Metrics,
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never started.
    Created,
    /// It runs.
    Running,
    /// It ran.
    Stopped,
}

/// Why an operation was not done. Running out of memory is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such container.
    Unknown,
    /// There is one with this id already.
    Exists,
    /// The container is in this state.
    Is(State),
    /// The id or the text is empty or too long.
    Length,
    /// This line, from 1, is not understood; 0 if one is missing.
    Line(usize),
    /// The host has no address or no control group left.
    Host,
    /// The container would be over its limit.
    ContainerLimit,
    /// The daemon would be over its limit.
    DaemonLimit,
    /// Nothing new is started in an emergency.
    Emergency,
}

/// What an operation returns. The manager allocates its text on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// The container is there, with this address and this control group.
    Created {
        /// The address.
        address: u8,
        /// The control group.
        group: u8,
    },
    /// The container is in this state now.
    Now(State),
    /// The command's output.
    Output {
        /// Its length.
        bytes: usize,
        /// Its checksum (FNV-1a, 64 bits).
        checksum: u64,
    },
    /// The log has this many bytes now.
    Logged(usize),
    /// The container is gone; its log had this many bytes.
    Destroyed(usize),
    /// The configuration is in force.
    Reloaded,
    /// There is this much pressure, and this many bytes of logs were dropped.
    Pressure(super::Level, usize),
    /// JSON.
    Metrics(Text),
    /// It was not done.
    Refused(Refusal),
}

/// JSON that an operation returns.
pub(super) type Json = Bytes<Vec<u8, Heap>>;
