//! The operations of a sequence on a port, and how they are printed. `syntax` has the grammar.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::fmt;

/// The size of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Size {
    /// This many bytes.
    Plain(usize),
    /// This many bytes less than the largest size with the alignment.
    Max(usize),
}

impl Size {
    /// The number of bytes, if it is given.
    pub(crate) fn plain(self) -> Option<usize> {
        match self {
            Size::Plain(size) => Some(size),
            Size::Max(_) => None,
        }
    }
}

/// The size and alignment of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SizeRequest {
    pub(crate) size: Size,
    /// A power of two.
    pub(crate) align: usize,
}

impl SizeRequest {
    pub(crate) fn plain(size: usize, align: usize) -> SizeRequest {
        SizeRequest { size: Size::Plain(size), align }
    }

    /// `None` if no layout is that large.
    pub(crate) fn layout(self) -> Option<Layout> {
        let largest = (isize::MAX as usize).checked_sub(self.align.checked_sub(1)?)?;
        let size = match self.size {
            Size::Plain(size) => size,
            Size::Max(below) => largest.saturating_sub(below),
        };
        Layout::from_size_align(size, self.align).ok()
    }
}

/// The order in which blocks are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExhaustOrder {
    Lifo,
    Fifo,
    /// Every second one, and then the others.
    Comb,
}

impl ExhaustOrder {
    pub(crate) const ALL: [ExhaustOrder; 3] =
        [ExhaustOrder::Lifo, ExhaustOrder::Fifo, ExhaustOrder::Comb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            ExhaustOrder::Lifo => "lifo",
            ExhaustOrder::Fifo => "fifo",
            ExhaustOrder::Comb => "comb",
        }
    }

    /// Sorts blocks, which are in the order of their allocation.
    pub(crate) fn arrange<T>(self, blocks: Vec<T>) -> Vec<T> {
        match self {
            ExhaustOrder::Fifo => blocks,
            ExhaustOrder::Lifo => blocks.into_iter().rev().collect(),
            ExhaustOrder::Comb => {
                let (even, odd): (Vec<_>, Vec<_>) =
                    blocks.into_iter().enumerate().partition(|(nth, _)| nth % 2 == 0);
                even.into_iter().chain(odd).map(|(_, block)| block).collect()
            }
        }
    }
}

/// One operation. `whole`: the block is passed with its returned size instead of the requested one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Alloc { name: u32, request: SizeRequest, zeroed: bool },
    Resize { name: u32, request: SizeRequest, grows: bool, whole: bool },
    Free { name: u32, whole: bool },
    Exhaust { request: SizeRequest, order: ExhaustOrder },
    Churn { request: SizeRequest },
    Reclaim,
}

/// One operation, and the thread or clone that makes its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SequenceStep {
    pub(crate) operation: Operation,
    pub(crate) caller: u8,
}

impl Operation {
    /// Its request, if it makes one.
    pub(crate) fn request_mut(&mut self) -> Option<&mut SizeRequest> {
        match self {
            Operation::Alloc { request, .. }
            | Operation::Resize { request, .. }
            | Operation::Exhaust { request, .. }
            | Operation::Churn { request } => Some(request),
            Operation::Free { .. } | Operation::Reclaim => None,
        }
    }
}

impl SequenceStep {
    /// The block that it is on, if it is on one.
    pub(crate) fn block(&self) -> Option<u32> {
        match self.operation {
            Operation::Alloc { name, .. }
            | Operation::Resize { name, .. }
            | Operation::Free { name, .. } => Some(name),
            Operation::Exhaust { .. } | Operation::Churn { .. } | Operation::Reclaim => None,
        }
    }

    /// Its request, if it makes one.
    pub(crate) fn request(&self) -> Option<SizeRequest> {
        let mut operation = self.operation;
        operation.request_mut().copied()
    }

    /// Replaces its request, if it makes one.
    pub(crate) fn set_request(&mut self, request: SizeRequest) {
        if let Some(present) = self.operation.request_mut() {
            *present = request;
        }
    }
}

impl fmt::Display for SizeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Size::Plain(size) => write!(f, "{size}")?,
            Size::Max(0) => f.write_str("max")?,
            Size::Max(below) => write!(f, "max-{below}")?,
        }
        write!(f, " align {}", self.align)
    }
}

impl fmt::Display for SequenceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |whole: &bool| if *whole { " whole" } else { "" };
        match &self.operation {
            Operation::Alloc { name, request, zeroed } => {
                write!(f, "a{name} = {} {request}", if *zeroed { "zeroed" } else { "alloc" })?;
            }
            Operation::Resize { name, request, grows, whole: w } => {
                let verb = if *grows { "grow" } else { "shrink" };
                write!(f, "{verb} a{name} to {request}{}", whole(w))?;
            }
            Operation::Free { name, whole: w } => write!(f, "free a{name}{}", whole(w))?,
            Operation::Exhaust { request, order } => {
                write!(f, "exhaust {request} {}", order.name())?
            }
            Operation::Churn { request } => write!(f, "churn {request}")?,
            Operation::Reclaim => f.write_str("reclaim")?,
        }
        if self.caller > 0 { write!(f, " by {}", self.caller) } else { Ok(()) }
    }
}

/// The text of a sequence, a line for each step.
pub(crate) fn print(steps: &[SequenceStep]) -> String {
    steps.iter().map(|step| format!("{step}\n")).collect()
}

/// Makes a sequence valid after steps were removed: leaves out steps on blocks that don't exist
/// or were freed,
/// renumbers the blocks from 1, and makes the size of a grow at least, and of a shrink at most, the
/// block's.
pub(crate) fn tidy(steps: &[SequenceStep]) -> Vec<SequenceStep> {
    let mut blocks: BTreeMap<u32, (u32, Size)> = BTreeMap::new();
    let mut last = 0;
    let mut tidied = Vec::with_capacity(steps.len());
    for step in steps {
        let mut step = *step;
        match &mut step.operation {
            Operation::Alloc { name, request, .. } => {
                last += 1;
                blocks.insert(*name, (last, request.size));
                *name = last;
            }
            Operation::Resize { name, request, grows, .. } => {
                let Some((known, size)) = blocks.get_mut(name) else { continue };
                *name = *known;
                if let (Size::Plain(new), Size::Plain(old)) = (&mut request.size, &mut *size) {
                    *new = if *grows { (*new).max(*old) } else { (*new).min(*old) };
                    *old = *new;
                }
            }
            Operation::Free { name, .. } => match blocks.remove(name) {
                Some((known, _)) => *name = known,
                None => continue,
            },
            Operation::Exhaust { .. } | Operation::Churn { .. } | Operation::Reclaim => {}
        }
        tidied.push(step);
    }
    tidied
}
