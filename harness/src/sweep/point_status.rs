//! The state of a point, as one byte of shared memory.

use crate::process::exit::Death;
use crate::report::outcome::Outcome;
use crate::sweep::exit_outcome::outcome_of;

/// What a worker's outcome looks like on the board: 0 is none yet.
pub(crate) const FOUND: u8 = 0x80;

pub(crate) fn encode(outcome: Outcome, found: bool) -> u8 {
    (outcome as u8 + 1) | if found { FOUND } else { 0 }
}

/// What stands on the board of a point at which a child died.
pub(crate) fn dead(death: Death) -> u8 {
    encode(outcome_of(death), true)
}

pub(crate) fn decode(byte: u8) -> Option<Outcome> {
    Outcome::ALL.get(usize::from(byte & !FOUND).checked_sub(1)?).copied()
}
