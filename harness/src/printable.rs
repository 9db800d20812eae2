//! Text from outside, made safe to print. A panic's message, an error, a result, a name or a path may
//! hold anything; reports are read in terminals and in code review. Control characters, escape
//! sequences, line breaks, and marks that change the direction of text or can't be seen are escaped,
//! and the length is bounded.

use std::fmt::{self, Debug, Write};

/// The most characters of one text that are shown on a line.
const LINE_MAX: usize = 1_000;
/// The most characters of a text of several lines, and of a sentence of ours around a few texts.
const LINES_MAX: usize = 4_000;
/// The most characters of what is of no use if it is cut: a script, or a command to type.
const WHOLE_MAX: usize = 64_000;

/// Whether a character is shown as it is.
pub(crate) fn is_plain(c: char) -> bool {
    let is_hidden = matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    );
    // Unicode keeps the last two of each plane and a few others from ever being characters.
    let is_none = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    !c.is_control() && !is_hidden && !is_none
}

/// A text on one line, with its line breaks escaped.
pub(crate) fn line(text: &str) -> String {
    shown(text, LINE_MAX, false)
}

/// A sentence of ours on one line, with texts inside that may have been cut already: it has room for
/// them, so that they are not cut again.
pub(crate) fn sentence(text: &str) -> String {
    shown(text, LINES_MAX, false)
}

/// A text on its lines.
pub(crate) fn lines(text: &str) -> String {
    shown(text, LINES_MAX, true)
}

/// A command to type, on one line.
pub(crate) fn command(text: &str) -> String {
    shown(text, WHOLE_MAX, false)
}

/// A script on its lines.
pub(crate) fn script(text: &str) -> String {
    shown(text, WHOLE_MAX, true)
}

fn shown(text: &str, max: usize, keeps_lines: bool) -> String {
    let mut shown = Shown::new(max, keeps_lines);
    let _ = shown.write_str(text);
    shown.end()
}

/// The `Debug` text of a value on one line. However long it is, no more of it is kept than is shown.
pub(crate) fn debug(value: &dyn Debug) -> String {
    let mut shown = Shown::new(LINE_MAX, false);
    let _ = write!(shown, "{value:?}");
    shown.end()
}

/// What is shown of the text that is written to it.
struct Shown {
    text: String,
    /// The characters that still fit.
    left: usize,
    keeps_lines: bool,
    /// The bytes that were written.
    bytes: u64,
    is_cut: bool,
}

impl Shown {
    fn new(max: usize, keeps_lines: bool) -> Self {
        Shown { text: String::new(), left: max, keeps_lines, bytes: 0, is_cut: false }
    }

    fn push(&mut self, c: char) {
        let is_kept = is_plain(c) || (c == '\n' && self.keeps_lines);
        // `\u{10ffff}` is the longest escape.
        let length = if is_kept { 1 } else { c.escape_default().len() };
        if self.is_cut || length > self.left {
            self.is_cut = true;
            return;
        }
        self.left -= length;
        if is_kept {
            self.text.push(c);
        } else {
            self.text.extend(c.escape_default());
        }
    }

    /// The text, with what was cut off said at its end.
    fn end(mut self) -> String {
        if self.is_cut {
            let _ = write!(self.text, "… ({} bytes in all)", self.bytes);
        }
        self.text
    }
}

impl fmt::Write for Shown {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.bytes += piece.len() as u64;
        // An error here would end a `Debug` of the caller's in the middle, which may not expect it.
        if !self.is_cut {
            piece
                .chars()
                .take_while(|c| {
                    self.push(*c);
                    !self.is_cut
                })
                .for_each(drop);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_harm_is_escaped_and_the_rest_is_not() {
        for (text, shown) in [
            ("größe 日本 🦀 — fine", "größe 日本 🦀 — fine"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("two\nlines\tand\r", "two\\nlines\\tand\\r"),
            ("\u{202e}desrever\u{2066}", "\\u{202e}desrever\\u{2066}"),
            ("a\u{200b}b\u{feff}c\u{9b}31m", "a\\u{200b}b\\u{feff}c\\u{9b}31m"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("\u{ffff}\u{fdd0}\u{10fffe}", "\\u{ffff}\\u{fdd0}\\u{10fffe}"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(lines("two\nlines\u{1b}"), "two\nlines\\u{1b}");
        assert_eq!(debug(&"a\u{202e}b"), "\"a\\u{202e}b\"");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let long = "ä".repeat(LINE_MAX + 1);
        let shown = line(&long);
        assert!(shown.ends_with("ä… (2002 bytes in all)"), "{shown}");
        assert_eq!(shown.chars().filter(|c| *c == 'ä').count(), LINE_MAX);
        assert_eq!(line(&long[2..]), long[2..]);
        // What was cut is not cut again in a sentence, or in a note with another one.
        let texts = format!("operation 1 ({shown}) failed: {shown}");
        assert_eq!(sentence(&texts), texts);
        assert_eq!(lines(&texts), texts);
        // An escape is shown whole or not at all.
        let escapes = "\u{1b}".repeat(LINE_MAX);
        assert!(line(&escapes).contains("\\u{1b}… ("), "{}", line(&escapes));
        assert!(line(&escapes).chars().count() < LINE_MAX + 40);
    }

    #[test]
    fn a_huge_debug_text_is_not_kept() {
        struct Huge;
        impl Debug for Huge {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (0..100_000).try_for_each(|_| f.write_str("0123456789"))
            }
        }
        let shown = debug(&Huge);
        assert!(shown.ends_with("… (1000000 bytes in all)"), "{shown}");
        assert!(shown.capacity() < 10 * LINE_MAX);
    }
}
