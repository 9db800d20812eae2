//! What was wrong: the kinds of findings, and a finding as its readers get it.

use std::fmt;

use crate::evidence::{Role, Subject};
use crate::report::Rerun;
use crate::site::Site;
use crate::text::count;
use crate::token::Token;
use crate::trace::{Coordinate, Op};

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

/// One thing that was done to the block in question, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) role: Role,
    pub(crate) site: Site,
}

/// The injected failure that a finding needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultAt {
    pub(crate) at: Coordinate,
    pub(crate) persistent: bool,
    pub(crate) op: Op,
    pub(crate) size: u64,
    pub(crate) site: Site,
}

/// A detected bug: one root cause, however often it was seen.
#[derive(Clone, Debug)]
pub struct Finding {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) scenario: String,
    pub(crate) block: Option<Subject>,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) notes: Vec<String>,
    pub(crate) fault: Option<FaultAt>,
    pub(crate) count: u64,
    pub(crate) of: u64,
    pub(crate) token: Token,
    pub(crate) rerun: Rerun,
}

impl Finding {
    /// The detector or oracle that found it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A letter and 32 bits, hashed from the kind and the call sites: the same in every run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The requests whose failure shows it; 1 where it shows without any.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The request whose failure shows it first; none where it shows without any.
    #[must_use]
    pub fn fault(&self) -> Option<Coordinate> {
        self.fault.as_ref().map(|fault| fault.at)
    }

    /// The line that replays it.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Everything that is known about it in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(block) = &self.block {
            parts.push(self.block_line(block));
        }
        parts.extend(self.notes.iter().map(|note| note.lines().next().unwrap_or("").to_owned()));
        for step in &self.steps {
            if let Some(frame) = step.site.frames.first() {
                parts.push(format!("{} in {}", step.role.label(), frame.short_name()));
            }
        }
        if let Some(fault) = &self.fault {
            parts.push(fault.line(self.kind));
        }
        parts.join("; ")
    }

    pub(crate) fn block_line(&self, block: &Subject) -> String {
        let each = format!("{} (align {})", count(block.size as u64, "byte"), block.align);
        if self.blocks > 1 {
            let all = count(self.blocks, "block");
            let bytes = count(self.bytes, "byte");
            return format!("{all}, {bytes}, the first {each}, heap `{}`", block.heap);
        }
        format!("1 block, {each}, heap `{}`", block.heap)
    }

    /// Whether one of its call sites has this text in a function's path.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.steps.iter().any(|step| step.site.mentions(text))
            || self.fault.as_ref().is_some_and(|fault| fault.site.mentions(text))
    }
}

impl FaultAt {
    pub(crate) fn line(&self, kind: Kind) -> String {
        let fails = if self.persistent { "fails for good" } else { "fails" };
        let what = match self.op {
            Op::Alloc => String::new(),
            op => format!(" ({op})"),
        };
        let verb = if kind == Kind::Leak { "lost when " } else { "when " };
        let bytes = count(self.size, "byte");
        format!("{verb}{} {fails}: {bytes}{what}", self.at)
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
