//! Makes the values in an operation smaller: numbers, strings, lists and options. It works on the
//! operation's RON text, so operations need no trait for it.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A part of the text that can be made smaller, by its range of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ValuePiece {
    /// A number, a string or `true`.
    Literal(Range<usize>),
    /// The items of a list.
    List(Vec<Range<usize>>),
    /// `Some(…)`.
    Option(Range<usize>),
}

/// The end of the string that begins at `start`, behind its closing quote.
fn string_end(text: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, c) in text[start + 1..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return start + 1 + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The end of the bracketed text that begins at `start`, behind its closing bracket, and its items.
fn closed(text: &str, start: usize) -> (usize, Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut item) = (0, start, start + 1);
    let mut items = Vec::new();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    if item < at {
                        items.push(item..at);
                    }
                    return (at + 1, items);
                }
            }
            b',' if depth == 1 => {
                items.push(item..at);
                item = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    (text.len(), items)
}

/// All parts of a text that can be made smaller, from the left. Lists and options contain other parts.
fn pieces(text: &str) -> Vec<ValuePiece> {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(text, at);
                pieces.push(ValuePiece::Literal(at..end));
                at = end;
            }
            b'[' => {
                let (_, items) = closed(text, at);
                if !items.is_empty() {
                    pieces.push(ValuePiece::List(items));
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let begin = at;
                at += 1;
                while at < bytes.len() && (is_word(bytes[at]) || bytes[at] == b'.') {
                    at += 1;
                }
                pieces.push(ValuePiece::Literal(begin..at));
            }
            byte if is_word(byte) => {
                let begin = at;
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
                match &text[begin..at] {
                    "Some" if bytes.get(at) == Some(&b'(') => {
                        pieces.push(ValuePiece::Option(begin..closed(text, at).0));
                    }
                    "true" => pieces.push(ValuePiece::Literal(begin..at)),
                    _ => {}
                }
            }
            _ => at += 1,
        }
    }
    pieces
}

/// All numbers up to this one are tried.
const SMALL: i128 = 16;

/// Literals that are smaller than this one, the smallest first.
pub(crate) fn smaller(literal: &str) -> Vec<String> {
    if literal == "true" {
        return vec!["false".to_owned()];
    }
    if let Some(inner) = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return smaller_strings(inner);
    }
    let Ok(number) = literal.parse::<i128>() else { return Vec::new() };
    let size = number.unsigned_abs();
    // All small numbers, since programs often use an index modulo some number.
    let mut all: Vec<i128> = (0..=SMALL).collect();
    // Then bisection from below: an accepted number is shrunk again.
    let mut gap = size / 2;
    while gap > 0 {
        all.push((size - gap) as i128);
        gap /= 2;
    }
    if number < 0 {
        all.push(size as i128);
        all.extend(all.clone().into_iter().map(|positive| -positive));
    }
    let is_simpler = |other: &i128| {
        let key = |n: i128| (n.unsigned_abs(), n < 0);
        key(*other) < key(number)
    };
    let mut texts: Vec<String> = Vec::new();
    for text in all.into_iter().filter(is_simpler).map(|number| number.to_string()) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// The longest string of which single characters, and the most items of a list of which single ones, are
/// left out.
const SINGLES_MAX: usize = 64;

fn smaller_strings(inner: &str) -> Vec<String> {
    // A string with escapes is not divided: a part of an escape is no string.
    let plain: Vec<char> = if inner.contains('\\') { Vec::new() } else { inner.chars().collect() };
    let text = |chars: &[char]| chars.iter().collect::<String>();
    let mut all: Vec<String> = ["", "a", "b", "c", "d"].map(str::to_owned).to_vec();
    let half = plain.len() / 2;
    all.extend([text(&plain[..half]), text(&plain[half..])]);
    all.extend(["a", "0"].map(|letter| letter.repeat(plain.len())));
    if plain.len() <= SINGLES_MAX {
        for nth in 0..plain.len() {
            all.push(text(&[&plain[..nth], &plain[nth + 1..]].concat()));
        }
    }
    // Lower-case letters read best.
    let weight = |c: char| (!c.is_ascii_lowercase(), !c.is_ascii_alphanumeric(), c);
    let is_smaller = |other: &String| {
        let key = |text: &str| (text.chars().count(), text.chars().map(weight).collect::<Vec<_>>());
        key(other) < key(inner)
    };
    let mut texts: Vec<String> = Vec::new();
    for text in all.into_iter().filter(is_smaller).map(|text| format!("\"{text}\"")) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// An operation whose values can be made smaller.
pub(crate) trait SmallerValue: Sized {
    /// Operations with one smaller value.
    fn smaller(&self) -> Vec<Self>;
    /// The operation with each literal replaced for which `other` returns something. `None`: there is no
    /// such literal; an error: the result is no operation.
    fn with_all(&self, other: &dyn Fn(&str) -> Option<String>) -> Option<Result<Self, ()>>;
}

fn text_of(op: &impl Serialize) -> String {
    ron::to_string(op).unwrap_or_default()
}

impl<O: Serialize + DeserializeOwned> SmallerValue for O {
    fn smaller(&self) -> Vec<Self> {
        let text = text_of(self);
        let mut texts = Vec::new();
        let mut with = |range: &Range<usize>, other: &str| {
            texts.push(format!("{}{other}{}", &text[..range.start], &text[range.end..]));
        };
        for piece in pieces(&text) {
            match piece {
                ValuePiece::Option(range) => with(&range, "None"),
                ValuePiece::List(items) => {
                    let (first, last) = (items[0].start, items[items.len() - 1].end);
                    let keep = |range: &[Range<usize>]| -> String {
                        let kept: Vec<&str> =
                            range.iter().map(|item| &text[item.clone()]).collect();
                        kept.join(",")
                    };
                    let whole = first..last;
                    with(&whole, "");
                    let half = items.len() / 2;
                    with(&whole, &keep(&items[..half]));
                    with(&whole, &keep(&items[half..]));
                    for nth in (0..items.len()).rev().take(SINGLES_MAX) {
                        let rest = [&items[..nth], &items[nth + 1..]].concat();
                        with(&whole, &keep(&rest));
                    }
                }
                ValuePiece::Literal(range) => {
                    for other in smaller(&text[range.clone()]) {
                        with(&range, &other);
                    }
                }
            }
        }
        let read = |other: &String| ron::from_str::<Self>(other).ok();
        let differs = |other: &Self| text_of(other) != text;
        texts.iter().filter_map(read).filter(differs).collect()
    }

    fn with_all(&self, other: &dyn Fn(&str) -> Option<String>) -> Option<Result<Self, ()>> {
        let text = text_of(self);
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for piece in pieces(&text) {
            if let ValuePiece::Literal(range) = piece
                && let Some(other) = other(&text[range.clone()])
            {
                out.push_str(&text[from..range.start]);
                out.push_str(&other);
                from = range.end;
            }
        }
        if from == 0 {
            return None;
        }
        out.push_str(&text[from..]);
        Some(ron::from_str(&out).map_err(|_| ()))
    }
}

/// The different literals of these operations, in the order of their first occurrence.
pub(crate) fn distinct<'a, O: Serialize + 'a>(ops: impl Iterator<Item = &'a O>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for op in ops {
        let text = text_of(op);
        for piece in pieces(&text) {
            if let ValuePiece::Literal(range) = piece {
                let literal = &text[range];
                if !all.iter().any(|known| known == literal) {
                    all.push(literal.to_owned());
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Put { key2: String, size: i32, tags: Vec<String>, note: Option<u8>, on: bool },
        Move(u32, u32),
    }

    #[test]
    fn every_value_is_made_smaller_and_the_result_is_an_operation() {
        let op = Sample::Put {
            key2: "it is \"7\", [1]".into(),
            size: -9,
            tags: vec!["x".into(), "y".into()],
            note: Some(3),
            on: true,
        };
        let smaller: Vec<String> = SmallerValue::smaller(&op).iter().map(text_of).collect();
        let text = text_of(&op);
        for (from, to) in [
            (r#""it is \"7\", [1]""#, r#""""#),
            ("-9", "0"),
            ("-9", "9"),
            (r#"["x","y"]"#, "[]"),
            (r#"["x","y"]"#, r#"["y"]"#),
            ("Some(3)", "None"),
            ("Some(3)", "Some(2)"),
            ("true", "false"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            let expected = text.replacen(from, to, 1);
            assert!(smaller.contains(&expected), "{expected} in {smaller:#?}");
        }
        assert!(!smaller.contains(&text));
    }

    #[test]
    fn a_literal_is_replaced_wherever_it_occurs() {
        let op = Sample::Move(70, 70);
        let with_all = |literal: &str, other: &str| {
            op.with_all(&|present| (present == literal).then(|| other.to_owned()))
        };
        assert_eq!(with_all("70", "3"), Some(Ok(Sample::Move(3, 3))));
        assert_eq!(with_all("7", "3"), None);
        assert_eq!(with_all("70", "\"\""), Some(Err(())));
        assert_eq!(distinct([&op, &Sample::Move(5, 70)].into_iter()), ["70", "5"]);
        assert_eq!(smaller("3"), ["0", "1", "2"]);
        assert!(smaller("99").starts_with(&smaller("17")) && smaller("99").contains(&"98".into()));
        assert!(smaller("0").is_empty() && smaller("\"\"").is_empty() && smaller("1.5").is_empty());
    }
}
