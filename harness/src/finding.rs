//! What was wrong: the kinds of findings, and the evidence that a run gathers for one.

use std::fmt;

/// What a finding is about: a detector's or an oracle's name, as printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A block was still live when the subject was done.
    Leak,
    /// A block was freed that had been freed before.
    DoubleFree,
    /// An address was freed that no heap ever gave out, or one inside a block.
    InvalidFree,
    /// A block of one heap was freed through another.
    CrossAllocatorFree,
    /// A block was given back with another size or alignment than it was asked for with.
    LayoutMismatch,
    /// Bytes behind a block were written.
    HeapBufferOverflow,
    /// Bytes before a block were written.
    HeapBufferUnderflow,
    /// A freed block was written.
    UseAfterFree,
    /// A heap of one thread was used from another.
    WrongThread,
    /// More bytes were live than the budget allows.
    OverBudget,
    /// The wrapped allocator broke its own contract.
    PortContract,
    /// Threads wait for each other for ever.
    Deadlock,
    /// A failed request changed the result, and nobody was told.
    SilentWrong,
    /// A failed request came out as an error that is not out of memory.
    WrongError,
    /// A failed request changed nothing, where the scenario is strict.
    Absorbed,
    /// After a failed request, the same object did not end as the fault-free run did.
    NotRecovered,
    /// A failed request made the subject ask for memory without end.
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
    pub const ALL: [Kind; 22] = [
        Kind::Leak,
        Kind::DoubleFree,
        Kind::InvalidFree,
        Kind::CrossAllocatorFree,
        Kind::LayoutMismatch,
        Kind::HeapBufferOverflow,
        Kind::HeapBufferUnderflow,
        Kind::UseAfterFree,
        Kind::WrongThread,
        Kind::OverBudget,
        Kind::PortContract,
        Kind::Deadlock,
        Kind::SilentWrong,
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
            Kind::HeapBufferOverflow => "heap-buffer-overflow",
            Kind::HeapBufferUnderflow => "heap-buffer-underflow",
            Kind::UseAfterFree => "use-after-free",
            Kind::WrongThread => "wrong-thread",
            Kind::OverBudget => "over-budget",
            Kind::PortContract => "port-contract",
            Kind::Deadlock => "deadlock",
            Kind::SilentWrong => "silent-wrong",
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

    /// The letter that an id of this kind begins with. Kinds may share one: the hash tells them
    /// apart.
    pub(crate) fn letter(self) -> char {
        match self {
            Kind::Leak => 'L',
            Kind::DoubleFree => 'D',
            Kind::InvalidFree => 'I',
            Kind::CrossAllocatorFree => 'X',
            Kind::LayoutMismatch => 'M',
            Kind::HeapBufferOverflow => 'O',
            Kind::HeapBufferUnderflow => 'U',
            Kind::UseAfterFree => 'F',
            Kind::WrongThread => 'T',
            Kind::OverBudget => 'B',
            Kind::PortContract => 'P',
            Kind::Deadlock => 'K',
            Kind::SilentWrong => 'S',
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
}

impl Role {
    pub(crate) const ALL: [Role; 7] = [
        Role::Allocated,
        Role::Freed,
        Role::FirstFree,
        Role::SecondFree,
        Role::Requested,
        Role::Owner,
        Role::Panicked,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Role::Allocated => "allocated",
            Role::Freed => "freed",
            Role::FirstFree => "first free",
            Role::SecondFree => "second free",
            Role::Requested => "requested",
            Role::Owner => "around it",
            Role::Panicked => "panicked",
        }
    }
}

/// A moment of a run whose call site a finding needs. The run is deterministic, so it is run
/// again to look at just these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Moment {
    /// The allocation that made block `aN`.
    Allocation(u64),
    /// The run's Nth event, counted from 1.
    Event(u64),
    /// The Nth call from a foreign thread.
    Foreign(u64),
    /// The panic.
    Panic,
}

/// A block as a finding names it: by its number, never by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) number: u64,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) heap: String,
}

/// What a detector has to say about one bug in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) kind: Kind,
    pub(crate) block: Option<Subject>,
    /// Who did what to it, and when.
    pub(crate) steps: Vec<(Role, Moment)>,
    /// Sentences for the report, without places.
    pub(crate) notes: Vec<String>,
}

impl Evidence {
    pub(crate) fn new(kind: Kind) -> Self {
        Evidence { kind, block: None, steps: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn about(mut self, block: Subject) -> Self {
        self.steps.push((Role::Allocated, Moment::Allocation(block.number)));
        self.block = Some(block);
        self
    }

    pub(crate) fn step(mut self, role: Role, moment: Moment) -> Self {
        self.steps.push((role, moment));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// `1 byte`, `2 bytes`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(n))
}

/// `1,204`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        assert_eq!(count(1, "byte"), "1 byte");
        assert_eq!(count(1_204_000, "request"), "1,204,000 requests");
        assert_eq!(thousands(999), "999");
    }

    #[test]
    fn kinds_have_names_of_their_own() {
        let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
