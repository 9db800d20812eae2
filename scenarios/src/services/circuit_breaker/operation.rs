//! What the gateway is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use super::backend::Behaviour;
use super::circuit::{Circuit, Policy, State};
use crate::memory::bytes::Bytes;
use crate::services::generate;

/// No backend's name is longer than this.
pub const NAME_MAX: usize = 128;
/// There are no more backends than this.
pub const BACKENDS_MAX: usize = 64;
/// How many changes of circuits are kept for the report.
pub const CHANGES_KEPT: usize = 16;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Makes a backend known.
    Register {
        /// Its name.
        #[arbitrary(with = generate::service)]
        backend: String,
        /// When its circuit opens, and how it closes again.
        #[arbitrary(with = generate::policy)]
        policy: Policy,
    },
    /// Calls a backend.
    Call {
        /// Its name.
        #[arbitrary(with = generate::service)]
        backend: String,
        /// The request.
        #[arbitrary(with = generate::content)]
        request: String,
        /// What the backend does.
        behaviour: Behaviour,
    },
    /// Closes a backend's circuit by hand.
    Close {
        /// The backend.
        #[arbitrary(with = generate::service)]
        backend: String,
    },
    /// The circuit of a backend.
    Circuit {
        /// The backend.
        #[arbitrary(with = generate::service)]
        backend: String,
    },
    /// Lets this many milliseconds pass.
    Advance(#[arbitrary(with = generate::milliseconds)] u32),
    /// The report, as JSON.
    Report,
}

/// Why an operation was not done. Running out of memory is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such backend.
    Unknown,
    /// There is one with this name already.
    Exists,
    /// The name is empty or too long.
    Length,
    /// A policy needs at least one failure and one trial.
    Policy,
    /// There are too many backends.
    Full,
}

/// What an operation returns. The gateway allocates texts on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// It is known, and there are this many.
    Registered(usize),
    /// The backend returned this.
    Passed(Text),
    /// The backend returned the request.
    Echoed {
        /// Its length.
        bytes: usize,
        /// Its checksum (FNV-1a, 64 bits).
        checksum: u64,
    },
    /// The backend failed, and its circuit is in this state now.
    Failed(State),
    /// The backend was not called: its circuit is open for this many milliseconds.
    Rejected(u64),
    /// The circuit is closed; it was in this state.
    Was(State),
    /// The circuit.
    Circuit(Circuit),
    /// The milliseconds that have passed.
    Now(u64),
    /// JSON.
    Report(Text),
    /// It was not done.
    Refused(Refusal),
}

/// A text of the caller's.
pub(super) type Body = Bytes<Vec<u8, Heap>>;
