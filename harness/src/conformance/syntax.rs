//! Reads the text form of sequences, which is printed and read back unchanged.
//!
//! ```text
//! sequence  = *( [ operation ] [ "#" comment ] LF )
//! operation = block "=" ( "alloc" / "zeroed" ) request [ by ]     ; a new block
//!           / ( "grow" / "shrink" ) block "to" request [ whole ] [ by ]
//!           / "free" block [ whole ] [ by ]
//!           / "exhaust" request order [ by ]  ; fills the port, empties it, and fills it again
//!           / "churn" request [ by ]          ; rounds of the same requests and frees
//!           / "reclaim" [ by ]                ; frees every block at once
//! block     = "a" number                      ; from 1; each is allocated once
//! request   = size "align" number             ; a power of two
//! size      = number / "max" [ "-" number ]   ; max: the largest size with this alignment
//! order     = "lifo" / "fifo" / "comb"        ; comb: every second block first
//! whole     = "whole"                         ; pass the block with its returned size
//! by        = "by" number                     ; 1 to 63: the thread or clone that makes the call
//! ```
//!
//! For example `a1 = alloc 64 align 8`, `grow a1 to max-7 align 8 whole by 1`, `free a1`.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, Size, SizeRequest};
use crate::error::Error;

/// The longest text that is read, in bytes.
const TEXT_MAX: usize = 4 << 20;

/// The words of a line that are not read yet. Errors say what is wrong with the line.
struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    /// The next word; `expected` names it in the error.
    fn next(&mut self, expected: &str) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| format!("the line ends where {expected} is expected"))
    }

    /// Reads this word.
    fn word(&mut self, word: &str) -> Result<(), String> {
        let found = self.next(&format!("`{word}`"))?;
        if found == word { Ok(()) } else { Err(format!("expected `{word}`, not `{found}`")) }
    }

    /// The number of a block.
    fn name(word: &str) -> Result<u32, String> {
        let number = word.strip_prefix('a').and_then(|number| number.parse().ok());
        number
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("expected a block such as a1, not `{word}`"))
    }

    fn request(&mut self) -> Result<SizeRequest, String> {
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
        let request = SizeRequest { size, align };
        request
            .layout()
            .map(|_| request)
            .ok_or_else(|| format!("no layout is as large as `{request}`"))
    }

    /// The end of a line: whether `whole` is set, and the thread or clone.
    fn end(&mut self) -> Result<(bool, u8), String> {
        let (mut whole, mut caller) = (false, 0);
        while let Some(word) = self.0.next() {
            match word {
                "whole" if !whole && caller == 0 => whole = true,
                "by" if caller == 0 => {
                    let word = self.next("a number")?;
                    let number = word.parse().ok().filter(|number| (1..=63).contains(number));
                    caller = number.ok_or_else(|| format!("expected 1 to 63, not `{word}`"))?;
                }
                word => return Err(format!("expected the end of the line, not `{word}`")),
            }
        }
        Ok((whole, caller))
    }
}

fn parse_line(line: &str) -> Result<SequenceStep, String> {
    let mut words = Words(line.split_whitespace());
    let first = words.next("an operation")?;
    let mut operation = match first {
        "grow" | "shrink" => {
            let name = Words::name(words.next("a block")?)?;
            words.word("to")?;
            Operation::Resize {
                name,
                request: words.request()?,
                grows: first == "grow",
                whole: false,
            }
        }
        "free" => Operation::Free { name: Words::name(words.next("a block")?)?, whole: false },
        "exhaust" => {
            let request = words.request()?;
            let word = words.next("an order")?;
            let order = ExhaustOrder::ALL.into_iter().find(|order| order.name() == word);
            let order =
                order.ok_or_else(|| format!("expected lifo, fifo or comb, not `{word}`"))?;
            Operation::Exhaust { request, order }
        }
        "churn" => Operation::Churn { request: words.request()? },
        "reclaim" => Operation::Reclaim,
        _ => {
            let name = Words::name(first)?;
            words.word("=")?;
            let verb = words.next("alloc or zeroed")?;
            if verb != "alloc" && verb != "zeroed" {
                return Err(format!("expected alloc or zeroed, not `{verb}`"));
            }
            Operation::Alloc { name, request: words.request()?, zeroed: verb == "zeroed" }
        }
    };
    let (is_whole, caller) = words.end()?;
    match &mut operation {
        Operation::Resize { whole, .. } | Operation::Free { whole, .. } => *whole = is_whole,
        _ if is_whole => return Err("only grow, shrink and free can be `whole`".to_owned()),
        _ => {}
    }
    Ok(SequenceStep { operation, caller })
}

/// Reads a sequence.
///
/// # Errors
/// If a line is wrong: with its number.
pub(crate) fn parse(text: &str) -> Result<Vec<SequenceStep>, Error> {
    parse_at(|line| format!("line {line}"), text)
}

/// Reads the sequence in a file.
///
/// # Errors
/// If the file can't be read or isn't UTF-8, or a line is wrong.
pub(crate) fn read(path: &Path) -> Result<Vec<SequenceStep>, Error> {
    let place = path.display().to_string();
    let failed = |error: std::io::Error| {
        Error::new(format!("the sequence can't be read: {error}"))
            .at(&*place)
            .help("name a file with the lines of a sequence")
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TEXT_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    parse_at(|line| format!("{place}:{line}"), &text)
}

/// Reads a sequence. `place` names a line in errors.
fn parse_at(place: impl Fn(usize) -> String, text: &str) -> Result<Vec<SequenceStep>, Error> {
    const HELP: &str =
        "write lines such as: a1 = alloc 64 align 8, grow a1 to 128 align 8, free a1";
    if text.len() > TEXT_MAX {
        return Err(Error::new(format!("the sequence is longer than {TEXT_MAX} bytes"))
            .at(place(1))
            .help("shorten it to 4 MiB"));
    }
    let mut steps: Vec<SequenceStep> = Vec::new();
    let mut names = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: String| Error::new(what).at(place(number)).help(HELP);
        let step = parse_line(line).map_err(wrong)?;
        match step.operation {
            Operation::Alloc { name, .. } if !names.insert(name) => {
                return Err(wrong(format!("a{name} was allocated before")));
            }
            Operation::Resize { name, .. } | Operation::Free { name, .. }
                if !names.contains(&name) =>
            {
                return Err(wrong(format!("a{name} was not allocated before")));
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
    use crate::conformance::operation::{print, tidy};

    #[test]
    fn sequences_are_read_back_as_they_were_printed() {
        let text = "a1 = alloc 64 align 8\na2 = zeroed 0 align 1 by 2\n\
                    grow a1 to max-7 align 8 whole by 1\nshrink a1 to 16 align 65536\n\
                    free a1 whole\nexhaust 64 align 8 comb\nchurn 24 align 8\nreclaim\nfree a2\n";
        let steps = parse(text).expect("a sequence");
        assert_eq!(print(&steps), text);
        assert_eq!(tidy(&steps), steps, "the names are in order");
    }

    #[test]
    fn a_bad_line_is_an_error_with_its_number() {
        for (text, expected) in [
            ("free a1", "a1 was not allocated before\n  --> line 1\nhelp: "),
            (
                "a1 = alloc 8 align 8\n\na1 = alloc 8 align 8",
                "a1 was allocated before\n  --> line 3",
            ),
            ("a1 = alloc 8 align 3", "expected a power of two, not `3`"),
            ("a1 = alloc 8", "the line ends where `align` is expected"),
            ("a1 = alloc -8 align 8", "expected a size"),
            ("a1 = alloc 18446744073709551615 align 8", "no layout is as large"),
            ("a1 = take 8 align 8", "expected alloc or zeroed"),
            ("a0 = alloc 8 align 8", "expected a block such as a1"),
            ("lose a1", "expected a block such as a1"),
            ("reclaim whole", "only grow, shrink and free"),
            ("reclaim by 64", "expected 1 to 63"),
            ("exhaust 8 align 8 sideways", "expected lifo, fifo or comb"),
            ("reclaim now", "expected the end of the line, not `now`"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse(&"reclaim\n".repeat(1 << 20)).is_err());
    }

    #[test]
    fn steps_on_a_removed_block_are_removed_as_well() {
        let steps = parse("a1 = alloc 1 align 1\na2 = alloc 2 align 1\nfree a1\nfree a2");
        let steps = steps.expect("a sequence");
        assert_eq!(print(&tidy(&steps[1..])), "a1 = alloc 2 align 1\nfree a1\n");
    }
}
