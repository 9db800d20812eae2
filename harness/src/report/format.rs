//! Helpers for text that people read: differences of two texts, numbers, and panic messages.

use std::fmt::{self, Write as _};

use crate::printable;

/// Whether what `show` writes is the expected text. No other text is built for it, since runs are
/// many, and few differ.
pub(crate) fn is_equal(expected: &str, show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result) -> bool {
    let mut rest = ExpectedRest { expected };
    show(&mut rest).is_ok() && rest.expected.is_empty()
}

/// The lines in which what `show` writes differs from the expected text, or `None` if it doesn't.
pub(crate) fn difference(
    expected: &str,
    show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result,
) -> Option<String> {
    if is_equal(expected, show) {
        return None;
    }
    let mut text = String::new();
    let _ = show(&mut text);
    Some(diff(expected, &text))
}

/// Whether two texts have the same lines in another order; a text of one line is taken apart at its
/// commas.
pub(crate) fn are_reordered(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let separator = if text.contains('\n') { '\n' } else { ',' };
        let is_frame = |c: char| c == ',' || c.is_whitespace() || "()[]{}".contains(c);
        let mut parts: Vec<String> =
            text.split(separator).map(|part| part.trim_matches(is_frame).to_owned()).collect();
        parts.sort_unstable();
        parts
    };
    one.len() == other.len() && parts(one) == parts(other)
}

/// Compares what is written to it with a text, without building another one.
struct ExpectedRest<'a> {
    expected: &'a str,
}

impl fmt::Write for ExpectedRest<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.expected = self.expected.strip_prefix(piece).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// The changed lines of two texts, with `-` and `+`; at most twelve lines of 160 characters, six of
/// each text if both have more.
pub(crate) fn diff(expected: &str, text: &str) -> String {
    const LINES_MAX: usize = 12;
    const WIDTH_MAX: usize = 160;
    // The time of a comparison may grow with the square of the lines, so only some are compared:
    // those after the first difference.
    const COMPARED_MAX: usize = 2_000;
    let equal = expected.split_inclusive('\n').zip(text.split_inclusive('\n'));
    let skipped = equal.take_while(|(expected, found)| expected == found).count();
    let part = |text: &str| -> (String, bool) {
        let mut lines = text.split_inclusive('\n').skip(skipped);
        (lines.by_ref().take(COMPARED_MAX).collect(), lines.next().is_some())
    };
    let ((expected, is_cut), (text, is_text_cut)) = (part(expected), part(text));
    let diff = similar::TextDiff::from_lines(&expected, &text);
    let changed: Vec<_> =
        diff.iter_all_changes().filter(|it| it.tag() != similar::ChangeTag::Equal).collect();
    let of = |tag| changed.iter().filter(|change| change.tag() == tag).count();
    let (gone, new) = (of(similar::ChangeTag::Delete), of(similar::ChangeTag::Insert));
    let half = LINES_MAX / 2;
    let mut room = [gone.min(LINES_MAX - new.min(half)), new.min(LINES_MAX - gone.min(half))];
    let mut out = String::new();
    for change in &changed {
        let left = &mut room[usize::from(change.tag() == similar::ChangeTag::Insert)];
        if *left == 0 {
            continue;
        }
        *left -= 1;
        let line: String = change.value().trim_end().chars().take(WIDTH_MAX).collect();
        let _ = writeln!(out, "{} {}", change.tag(), printable::line(&line));
    }
    let left = changed.len().saturating_sub(LINES_MAX);
    if is_cut || is_text_cut {
        let _ = writeln!(out, "… and more lines, which were not compared");
    } else if left > 0 {
        let _ = writeln!(out, "… and {left} more lines");
    }
    out.trim_end().to_owned()
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

/// The message of a panic, as it can be printed.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    printable::line(text.unwrap_or("a value that is not text"))
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
    fn equal_texts_differ_in_nothing_however_they_are_written() {
        let show = |out: &mut dyn fmt::Write| {
            out.write_str("entries: ")?;
            out.write_str("3\n")
        };
        assert!(is_equal("entries: 3\n", &show));
        assert!(!is_equal("entries: 3\nmore\n", &show));
        assert!(!is_equal("entries: 2\n", &show));
        assert_eq!(diff("entries: 3\nmore\n", "entries: 3\n"), "- more");
        assert_eq!(diff("entries: 2\n", "entries: 3\n"), "- entries: 2\n+ entries: 3");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let expected: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(diff(&expected, "").ends_with("… and 88 more lines"));
        let other: String = (0..100).map(|n| format!("{}\n", n + 1000)).collect();
        let both = diff(&expected, &other);
        assert!(both.starts_with("- 0\n") && both.contains("- 5\n+ 1000\n"), "{both}");
        assert!(both.ends_with("+ 1005\n… and 188 more lines"), "{both}");
    }
}
