//! Where a child process is: its sequence, its step, and the function that it called last, in one number
//! that it leaves in shared memory.

use crate::conformance::clause::Function;

/// The bits of the step, which is counted from 1; 0 is before the first one. A text of a sequence is too
/// short for more steps.
const STEP_BITS: u32 = 20;
/// The bits of the function.
const FUNCTION_BITS: u32 = 4;
/// The bits that are left for the sequence, less one for [`ChildStatus`](crate::process::shared_memory).
pub(crate) const SEQUENCE_BITS: u32 = usize::BITS - STEP_BITS - FUNCTION_BITS - 1;

/// Where a child process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The number of the sequence.
    pub(crate) nth: u64,
    /// The number of the step, from 1; 0 before the first one.
    pub(crate) step: usize,
    pub(crate) function: Function,
}

impl Position {
    /// The number that stands for it.
    pub(crate) fn pack(self) -> usize {
        let sequence = (self.nth as usize) << (STEP_BITS + FUNCTION_BITS);
        sequence | (self.function as usize) << STEP_BITS | self.step
    }

    pub(crate) fn unpack(packed: usize) -> Position {
        let function = packed >> STEP_BITS & ((1 << FUNCTION_BITS) - 1);
        Position {
            nth: (packed >> (STEP_BITS + FUNCTION_BITS)) as u64,
            step: packed & ((1 << STEP_BITS) - 1),
            function: Function::ALL.get(function).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_unpacked_as_it_was_packed() {
        for function in Function::ALL {
            for (nth, step) in [(0, 0), (0, 1), (15, 512), (12345, (1 << STEP_BITS) - 1)] {
                let position = Position { nth, step, function };
                assert_eq!(Position::unpack(position.pack()), position);
            }
        }
    }
}
