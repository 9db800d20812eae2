//! A sequence of operations on a port: lines of text, printed and read back unchanged.
//!
//! ```text
//! a1 = alloc 64 align 8            a block, called a1
//! a2 = zeroed 0 align 1            a block of zeroes
//! grow a1 to max align 8 by 1      `max`: the largest size that the alignment allows; `max-7`
//! shrink a1 to 16 align 8 whole    `whole`: handed in with the size that was answered
//! free a1 by 1                     `by 1`: through the second thread, or the second clone
//! exhaust 64 align 8 lifo          fills the port up, empties it, and does that again
//! churn 64 align 8                 rounds of the same requests and frees
//! reclaim                          takes every block back at once
//! ```

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::error::Error;

/// How many bytes a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Plain(usize),
    /// So many below the largest that there is for an alignment.
    Max(usize),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeRequest {
    pub(crate) size: Size,
    /// A power of two.
    pub(crate) align: usize,
}

impl SizeRequest {
    pub(crate) fn plain(size: usize, align: usize) -> SizeRequest {
        SizeRequest { size: Size::Plain(size), align }
    }

    /// None where no layout is so large.
    pub(crate) fn layout(self) -> Option<Layout> {
        let largest = (isize::MAX as usize).checked_sub(self.align.checked_sub(1)?)?;
        let size = match self.size {
            Size::Plain(size) => size,
            Size::Max(below) => largest.saturating_sub(below),
        };
        Layout::from_size_align(size, self.align).ok()
    }
}

/// In which order blocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExhaustOrder {
    Lifo,
    Fifo,
    /// Every second one first.
    Comb,
}

impl ExhaustOrder {
    pub(crate) const ALL: [ExhaustOrder; 3] =
        [ExhaustOrder::Lifo, ExhaustOrder::Fifo, ExhaustOrder::Comb];

    fn name(self) -> &'static str {
        match self {
            ExhaustOrder::Lifo => "lifo",
            ExhaustOrder::Fifo => "fifo",
            ExhaustOrder::Comb => "comb",
        }
    }

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Alloc { name: u32, ask: SizeRequest, zeroed: bool },
    Resize { name: u32, ask: SizeRequest, grows: bool, whole: bool },
    Free { name: u32, whole: bool },
    Exhaust { ask: SizeRequest, order: ExhaustOrder },
    Churn { ask: SizeRequest },
    Reclaim,
}

/// One operation, and the thread or clone that it is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceStep {
    pub(crate) act: Operation,
    pub(crate) by: u8,
}

impl Operation {
    /// What it asks for, if it does.
    pub(crate) fn ask_mut(&mut self) -> Option<&mut SizeRequest> {
        match self {
            Operation::Alloc { ask, .. }
            | Operation::Resize { ask, .. }
            | Operation::Exhaust { ask, .. }
            | Operation::Churn { ask } => Some(ask),
            Operation::Free { .. } | Operation::Reclaim => None,
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
        match &self.act {
            Operation::Alloc { name, ask, zeroed } => {
                write!(f, "a{name} = {} {ask}", if *zeroed { "zeroed" } else { "alloc" })?;
            }
            Operation::Resize { name, ask, grows, whole: w } => {
                let verb = if *grows { "grow" } else { "shrink" };
                write!(f, "{verb} a{name} to {ask}{}", whole(w))?;
            }
            Operation::Free { name, whole: w } => write!(f, "free a{name}{}", whole(w))?,
            Operation::Exhaust { ask, order } => write!(f, "exhaust {ask} {}", order.name())?,
            Operation::Churn { ask } => write!(f, "churn {ask}")?,
            Operation::Reclaim => f.write_str("reclaim")?,
        }
        if self.by > 0 { write!(f, " by {}", self.by) } else { Ok(()) }
    }
}

/// A sequence as text, a line for each step.
pub(crate) fn print(steps: &[SequenceStep]) -> String {
    steps.iter().map(|step| format!("{step}\n")).collect()
}

/// Leaves out what refers to blocks that are not there, numbers the blocks from 1, and lets a grow
/// say no less, and a shrink no more, than what the block is long.
pub(crate) fn tidy(steps: &[SequenceStep]) -> Vec<SequenceStep> {
    let mut blocks: BTreeMap<u32, (u32, Size)> = BTreeMap::new();
    let mut tidied = Vec::with_capacity(steps.len());
    for step in steps {
        let mut step = *step;
        match &mut step.act {
            Operation::Alloc { name, ask, .. } => {
                let next = blocks.len() as u32 + 1;
                blocks.insert(*name, (next, ask.size));
                *name = next;
            }
            Operation::Resize { name, ask, grows, .. } => {
                let Some((known, size)) = blocks.get_mut(name) else { continue };
                *name = *known;
                if let (Size::Plain(new), Size::Plain(old)) = (&mut ask.size, &mut *size) {
                    *new = if *grows { (*new).max(*old) } else { (*new).min(*old) };
                    *old = *new;
                }
            }
            Operation::Free { name, .. } => match blocks.get(name) {
                Some((known, _)) => *name = *known,
                None => continue,
            },
            Operation::Exhaust { .. } | Operation::Churn { .. } | Operation::Reclaim => {}
        }
        tidied.push(step);
    }
    tidied
}

/// The longest text and the most steps that are read.
const TEXT_MAX: usize = 4 << 20;

/// The words of a line, and what is wrong with the line if they don't fit.
struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn next(&mut self, expected: &str) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| format!("it ends where {expected} is expected"))
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        let found = self.next(&format!("`{word}`"))?;
        if found == word { Ok(()) } else { Err(format!("expected `{word}`, not `{found}`")) }
    }

    fn name(word: &str) -> Result<u32, String> {
        let number = word.strip_prefix('a').and_then(|number| number.parse().ok());
        number
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("expected a block such as a1, not `{word}`"))
    }

    fn ask(&mut self) -> Result<SizeRequest, String> {
        let word = self.next("a size")?;
        let size = match word.strip_prefix("max") {
            Some("") => Some(Size::Max(0)),
            Some(rest) => rest.strip_prefix('-').and_then(|n| n.parse().ok()).map(Size::Max),
            None => word.parse().ok().map(Size::Plain),
        };
        let size =
            size.ok_or_else(|| format!("expected a size, `max` or `max-7`, not `{word}`"))?;
        self.word("align")?;
        let word = self.next("an alignment")?;
        let align = word.parse::<usize>().ok().filter(|align| align.is_power_of_two());
        let align = align.ok_or_else(|| format!("expected a power of two, not `{word}`"))?;
        let ask = SizeRequest { size, align };
        ask.layout().map(|_| ask).ok_or_else(|| format!("no layout is as large as `{ask}`"))
    }

    /// What may stand at the end.
    fn end(&mut self) -> Result<(bool, u8), String> {
        let (mut whole, mut by) = (false, 0);
        while let Some(word) = self.0.next() {
            match word {
                "whole" if !whole && by == 0 => whole = true,
                "by" if by == 0 => {
                    let word = self.next("a number")?;
                    let number = word.parse().ok().filter(|number| (1..=63).contains(number));
                    by = number.ok_or_else(|| format!("expected 1 to 63, not `{word}`"))?;
                }
                word => return Err(format!("nothing is expected here, and there is `{word}`")),
            }
        }
        Ok((whole, by))
    }
}

fn parse_line(line: &str) -> Result<SequenceStep, String> {
    let mut words = Words(line.split_whitespace());
    let first = words.next("an operation")?;
    let mut act = match first {
        "grow" | "shrink" => {
            let name = Words::name(words.next("a block")?)?;
            words.word("to")?;
            Operation::Resize { name, ask: words.ask()?, grows: first == "grow", whole: false }
        }
        "free" => Operation::Free { name: Words::name(words.next("a block")?)?, whole: false },
        "exhaust" => {
            let ask = words.ask()?;
            let word = words.next("an order")?;
            let order = ExhaustOrder::ALL.into_iter().find(|order| order.name() == word);
            let order =
                order.ok_or_else(|| format!("expected lifo, fifo or comb, not `{word}`"))?;
            Operation::Exhaust { ask, order }
        }
        "churn" => Operation::Churn { ask: words.ask()? },
        "reclaim" => Operation::Reclaim,
        _ => {
            let name = Words::name(first)?;
            words.word("=")?;
            let verb = words.next("alloc or zeroed")?;
            if verb != "alloc" && verb != "zeroed" {
                return Err(format!("expected alloc or zeroed, not `{verb}`"));
            }
            Operation::Alloc { name, ask: words.ask()?, zeroed: verb == "zeroed" }
        }
    };
    let (is_whole, by) = words.end()?;
    match &mut act {
        Operation::Resize { whole, .. } | Operation::Free { whole, .. } => *whole = is_whole,
        _ if is_whole => return Err("only what hands in a block can be `whole`".to_owned()),
        _ => {}
    }
    Ok(SequenceStep { act, by })
}

/// Reads a sequence. Empty lines, and what follows a `#`, are left out.
///
/// # Errors
/// Where a line is none of these, with its number.
pub(crate) fn parse(text: &str) -> Result<Vec<SequenceStep>, Error> {
    parse_of("sequence", text)
}

/// Reads the sequence in a file.
///
/// # Errors
/// A file that can't be read or is no text, and what [`parse`] answers.
pub(crate) fn read(path: &Path) -> Result<Vec<SequenceStep>, Error> {
    let place = path.display().to_string();
    let failed = |error: std::io::Error| {
        Error::new(format!("{place}: {error}")).help("name a file of a sequence's lines")
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TEXT_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    parse_of(&place, &text)
}

/// Reads a sequence that stands in this place.
fn parse_of(place: &str, text: &str) -> Result<Vec<SequenceStep>, Error> {
    const MEND: &str = "a line looks like: a1 = alloc 64 align 8, grow a1 to 128 align 8, free a1";
    if text.len() > TEXT_MAX {
        return Err(Error::new(format!("{place}: more than {TEXT_MAX} bytes"))
            .help("4 MiB are read at most: give it less to do"));
    }
    let mut steps: Vec<SequenceStep> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: String| Error::new(format!("{place}, line {number}: {what}")).help(MEND);
        let step = parse_line(line).map_err(wrong)?;
        match step.act {
            Operation::Alloc { name, .. } if !names.insert(name) => {
                return Err(wrong(format!("there is an a{name} already")));
            }
            Operation::Resize { name, .. } | Operation::Free { name, .. }
                if !names.contains(&name) =>
            {
                return Err(wrong(format!("there is no a{name} before it")));
            }
            _ => {}
        }
        steps.push(step);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read_back_as_they_were_printed() {
        let text = "a1 = alloc 64 align 8\na2 = zeroed 0 align 1 by 2\n\
                    grow a1 to max-7 align 8 whole by 1\nshrink a1 to 16 align 65536\n\
                    free a1 whole\nexhaust 64 align 8 comb\nchurn 24 align 8\nreclaim\nfree a2\n";
        let steps = parse(text).expect("a sequence");
        assert_eq!(print(&steps), text);
        assert_eq!(tidy(&steps), steps, "names are in order already");
    }

    #[test]
    fn a_bad_line_is_refused_with_its_number() {
        for (text, expected) in [
            ("free a1", "line 1: there is no a1 before it"),
            ("a1 = alloc 8 align 8\n\na1 = alloc 8 align 8", "line 3: there is an a1 already"),
            ("a1 = alloc 8 align 3", "expected a power of two, not `3`"),
            ("a1 = alloc 8", "it ends where `align` is expected"),
            ("a1 = alloc -8 align 8", "expected a size"),
            ("a1 = alloc 18446744073709551615 align 8", "no layout is as large"),
            ("a1 = take 8 align 8", "expected alloc or zeroed"),
            ("a0 = alloc 8 align 8", "expected a block such as a1"),
            ("lose a1", "expected a block such as a1"),
            ("reclaim whole", "only what hands in a block"),
            ("reclaim by 64", "expected 1 to 63"),
            ("exhaust 8 align 8 sideways", "expected lifo, fifo or comb"),
            ("reclaim now", "nothing is expected here"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse(&"reclaim\n".repeat(1 << 20)).is_err());
    }

    #[test]
    fn what_refers_to_a_dropped_block_is_dropped_as_well() {
        let steps = parse("a1 = alloc 1 align 1\na2 = alloc 2 align 1\nfree a1\nfree a2");
        let steps = steps.expect("a sequence");
        assert_eq!(print(&tidy(&steps[1..])), "a1 = alloc 2 align 1\nfree a1\n");
    }
}
