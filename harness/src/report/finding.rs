//! A finding: one bug as readers get it, with call sites, a count, and the token that replays it.

use std::collections::BTreeMap;

use crate::printable;
use crate::report::call_site::Site;
use crate::report::evidence::{BlockInfo, Evidence, Role};
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::report::rerun::Rerun;
use crate::report::token::Token;
use crate::schedule::{self, Preemption, ScheduledOp};
use crate::trace::{Coordinate, Op};

/// One step of the bug, and where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FindingStep {
    pub(crate) role: Role,
    /// The role in words.
    pub(crate) label: String,
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
    /// Whether only the first run of a process makes the request.
    pub(crate) is_first_use: bool,
}

/// The schedule that a finding needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScheduleAt {
    /// Where it deviates from the default schedule.
    pub(crate) preemptions: Vec<Preemption>,
    /// In how many schedules the bug was seen, of how many that were run.
    pub(crate) seen: u64,
    pub(crate) of: u64,
    /// Two operations whose order matters, in the order that shows it.
    pub(crate) pair: Vec<(ScheduledOp, Site)>,
    /// What shrinking the schedule showed: what could be left out, and what is needed.
    pub(crate) notes: Vec<String>,
}

/// How often a root cause shows in the run that is shown, which may be several times at one block.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockTally {
    times: u64,
    /// Blocks by heap and number, with their bytes.
    blocks: BTreeMap<(String, u64), u64>,
}

impl BlockTally {
    pub(crate) fn add(&mut self, evidence: &Evidence) {
        self.times += 1;
        if let Some(block) = &evidence.block {
            self.blocks.insert((block.heap.clone(), block.number), block.size as u64);
        }
    }
}

/// A detected bug: one root cause, however often it was seen.
///
/// Its `Display` is the text that reports print.
#[derive(Clone, Debug)]
pub struct Finding {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) scenario: String,
    pub(crate) block: Option<BlockInfo>,
    pub(crate) tally: BlockTally,
    pub(crate) steps: Vec<FindingStep>,
    pub(crate) notes: Vec<String>,
    pub(crate) fault: Option<FaultAt>,
    /// The schedule that it needs, under a model checker.
    pub(crate) schedule: Option<ScheduleAt>,
    /// The requests whose failure shows it, of how many.
    pub(crate) count: u64,
    pub(crate) of: u64,
    pub(crate) token: Token,
    pub(crate) rerun: Rerun,
    /// The function of the C library in one call of which the request failed and all the rest
    /// happened; empty for what is the subject's own doing.
    pub(crate) c_call: String,
}

impl Finding {
    /// The detector or oracle that found it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id: a letter for the kind, and 32 bits hashed from the kind and the call sites. It is
    /// the same in every run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of requests whose failure shows it; 1 if it shows without a fault.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first request whose failure shows it; `None` if it shows without a fault.
    #[must_use]
    pub fn fault(&self) -> Option<Coordinate> {
        self.fault.as_ref().map(|fault| fault.at)
    }

    /// The line that replays it.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Everything that is known about it, on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(block) = &self.block {
            parts.push(self.block_line(block));
        }
        parts.extend(
            self.notes.iter().map(|note| printable::sentence(note.lines().next().unwrap_or(""))),
        );
        for step in &self.steps {
            if let Some(frame) = step.site.frames.first() {
                parts.push(format!("{} in {}", step.role.label(), frame.short_name()));
            }
        }
        if let Some(fault) = &self.fault {
            let place =
                fault.site.frames.first().map(|frame| format!(" in {}", frame.short_name()));
            parts.push(fault.line(self.kind) + &place.unwrap_or_default());
        }
        if let Some(schedule) = &self.schedule {
            parts.push(schedule.line());
        }
        parts.join("; ")
    }

    /// The block in words: `1 block, 96 bytes (align 8), heap `main``.
    pub(crate) fn block_line(&self, block: &BlockInfo) -> String {
        let size = count(block.size as u64, "byte");
        // C names no alignment, and a program has one heap.
        let (each, heap) = match block.align {
            0 => (size, String::new()),
            align => (
                format!("{size} (align {align})"),
                format!(", heap `{}`", printable::sentence(&block.heap)),
            ),
        };
        let BlockTally { times, blocks } = &self.tally;
        if blocks.len() > 1 {
            let all = count(blocks.len() as u64, "block");
            let bytes = count(blocks.values().sum(), "byte");
            return format!("{all}, {bytes}, the first {each}{heap}");
        }
        let times = if *times > 1 { format!(", {times} times") } else { String::new() };
        format!("1 block, {each}{heap}{times}")
    }

    /// Whether a function's path in one of its call sites contains this text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.steps.iter().any(|step| step.site.mentions(text))
            || self.fault.as_ref().is_some_and(|fault| fault.site.mentions(text))
    }
}

impl ScheduleAt {
    /// The schedule in words.
    pub(crate) fn line(&self) -> String {
        match self.preemptions.as_slice() {
            [] => "in the default schedule".to_owned(),
            preemptions => format!("in the schedule {}", schedule::format_schedule(preemptions)),
        }
    }
}

impl FaultAt {
    /// The fault in words: `lost when T0#18 fails: 256 bytes`.
    pub(crate) fn line(&self, kind: Kind) -> String {
        let fails = if self.persistent { "fails for good" } else { "fails" };
        let first = if self.is_first_use { " at its first use" } else { "" };
        let what = match self.op {
            Op::Alloc => String::new(),
            op => format!(" ({op})"),
        };
        let verb = if kind == Kind::Leak { "lost when " } else { "when " };
        let bytes = count(self.size, "byte");
        format!("{verb}{} {fails}{first}: {bytes}{what}", self.at)
    }
}
