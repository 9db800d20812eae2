//! The state of a point as one byte of shared memory: 0 while it is not done, otherwise its
//! outcome, and whether a bug was found.

use crate::process::exit::Death;
use crate::report::outcome::Outcome;
use crate::sweep::exit_outcome::outcome_of;

/// The bit that says that a bug was found.
pub(crate) const FOUND: u8 = 0x80;

/// The byte of a point that is done.
pub(crate) fn encode(outcome: Outcome, found: bool) -> u8 {
    (outcome as u8 + 1) | if found { FOUND } else { 0 }
}

/// The byte of a point at which a child died.
pub(crate) fn dead(death: Death) -> u8 {
    encode(outcome_of(death), true)
}

/// The outcome in a byte; `None` if the point is not done.
pub(crate) fn decode(byte: u8) -> Option<Outcome> {
    Outcome::ALL.get(usize::from(byte & !FOUND).checked_sub(1)?).copied()
}
