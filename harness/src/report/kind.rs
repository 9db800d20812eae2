//! The kinds of findings: one for each detector and each oracle, with the name that reports print.

use std::fmt;

/// The kind of a finding: the detector or the oracle that found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A block was still live when the subject was done.
    Leak,
    /// A block was freed a second time.
    DoubleFree,
    /// An address was freed that is no block's: one inside a block, say.
    InvalidFree,
    /// A block of one heap was freed through another.
    CrossAllocatorFree,
    /// A block was freed with another size or alignment than it was allocated with.
    LayoutMismatch,
    /// A block of one form was freed by another: one of `new[]` by `delete`, say.
    MismatchedFree,
    /// Bytes after a block were read or written.
    HeapBufferOverflow,
    /// Bytes before a block were read or written.
    HeapBufferUnderflow,
    /// A freed block was read or written.
    UseAfterFree,
    /// The result depends on what fresh memory holds.
    UninitRead,
    /// A heap of one thread was used from another.
    WrongThread,
    /// More bytes were live than the budget allows.
    OverBudget,
    /// The wrapped allocator broke its own contract.
    PortContract,
    /// Threads wait for each other forever.
    Deadlock,
    /// Two threads accessed the same memory, one of them to write or to free it, and nothing ordered
    /// the two.
    DataRace,
    /// A failed request changed the result, and no error was returned.
    SilentWrong,
    /// A failed request changed the output of a program, which said so, although the sweep is strict.
    Degraded,
    /// A failed request was returned as an error that is not out of memory.
    WrongError,
    /// A failed request changed nothing, although the sweep is strict.
    Absorbed,
    /// After a failed request, the same object did not end as the fault-free run did.
    NotRecovered,
    /// A failed request made the subject request memory without end, or hang.
    NoProgress,
    /// A failed request made the subject panic.
    Panic,
    /// The subject aborted.
    Abort,
    /// The subject died of a signal.
    Crash,
    /// The subject ended the process.
    Exit,
    /// Two runs that should be equal were not.
    Nondeterminism,
}

impl Kind {
    /// Every kind, in the order of their names in the documentation.
    pub const ALL: [Kind; 26] = [
        Kind::Leak,
        Kind::DoubleFree,
        Kind::InvalidFree,
        Kind::CrossAllocatorFree,
        Kind::LayoutMismatch,
        Kind::MismatchedFree,
        Kind::HeapBufferOverflow,
        Kind::HeapBufferUnderflow,
        Kind::UseAfterFree,
        Kind::UninitRead,
        Kind::WrongThread,
        Kind::OverBudget,
        Kind::PortContract,
        Kind::Deadlock,
        Kind::DataRace,
        Kind::SilentWrong,
        Kind::Degraded,
        Kind::WrongError,
        Kind::Absorbed,
        Kind::NotRecovered,
        Kind::NoProgress,
        Kind::Panic,
        Kind::Abort,
        Kind::Crash,
        Kind::Exit,
        Kind::Nondeterminism,
    ];

    /// The name as printed, such as `double-free`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Leak => "leak",
            Kind::DoubleFree => "double-free",
            Kind::InvalidFree => "invalid-free",
            Kind::CrossAllocatorFree => "cross-allocator-free",
            Kind::LayoutMismatch => "layout-mismatch",
            Kind::MismatchedFree => "mismatched-free",
            Kind::HeapBufferOverflow => "heap-buffer-overflow",
            Kind::HeapBufferUnderflow => "heap-buffer-underflow",
            Kind::UseAfterFree => "use-after-free",
            Kind::UninitRead => "uninit-read",
            Kind::WrongThread => "wrong-thread",
            Kind::OverBudget => "over-budget",
            Kind::PortContract => "port-contract",
            Kind::Deadlock => "deadlock",
            Kind::DataRace => "data-race",
            Kind::SilentWrong => "silent-wrong",
            Kind::Degraded => "degraded",
            Kind::WrongError => "wrong-error",
            Kind::Absorbed => "absorbed",
            Kind::NotRecovered => "not-recovered",
            Kind::NoProgress => "no-progress",
            Kind::Panic => "panic",
            Kind::Abort => "abort",
            Kind::Crash => "crash",
            Kind::Exit => "exit",
            Kind::Nondeterminism => "nondeterminism",
        }
    }

    /// The letter that ids of this kind begin with. Kinds may share one, since the hash differs.
    pub(crate) fn letter(self) -> char {
        match self {
            Kind::Leak => 'L',
            Kind::DoubleFree => 'D',
            Kind::InvalidFree => 'I',
            Kind::CrossAllocatorFree => 'X',
            Kind::LayoutMismatch | Kind::MismatchedFree => 'M',
            Kind::HeapBufferOverflow => 'O',
            Kind::HeapBufferUnderflow => 'U',
            Kind::UseAfterFree => 'F',
            Kind::UninitRead => 'V',
            Kind::WrongThread => 'T',
            Kind::OverBudget => 'B',
            Kind::PortContract => 'P',
            Kind::Deadlock => 'K',
            Kind::DataRace => 'G',
            Kind::SilentWrong => 'S',
            Kind::Degraded => 'Y',
            Kind::WrongError => 'W',
            Kind::Absorbed => 'Q',
            Kind::NotRecovered => 'R',
            Kind::NoProgress => 'H',
            Kind::Panic => 'C',
            Kind::Abort => 'A',
            Kind::Crash => 'Z',
            Kind::Exit => 'E',
            Kind::Nondeterminism => 'N',
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own() {
        let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
