//! A configuration: lines of `key=value`, read once.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::operation::LINES_MAX;
use crate::memory::bytes::try_with_capacity;

/// Where a line is in the text: where it begins, where its `=` is, and where its value ends.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    equals: usize,
    end: usize,
}

/// A configuration that was read: the text that is given out, which has each setting on a line of
/// its own and nothing else, and the places of its lines.
pub(super) struct Configuration {
    text: Vec<u8, Heap>,
    lines: Vec<Line, Heap>,
}

/// The settings of a source, each with the number of its line, from 1; `None` where a line is none.
/// Empty lines and those that begin with `#` are left out.
fn settings(source: &str) -> impl Iterator<Item = (usize, Option<(&str, &str)>)> {
    let lines = (1..).zip(source.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| {
        let pair = line.split_once('=').map(|(key, value)| (key.trim_end(), value.trim_start()));
        (number, pair.filter(|(key, _)| !key.is_empty()))
    })
}

/// The bytes that settings take in a text.
pub(super) fn bytes_of<'s>(settings: impl Iterator<Item = (&'s str, &'s str)>) -> usize {
    settings.map(|(key, value)| key.len() + value.len() + 2).sum()
}

/// Appends a setting as a line, for which there is room.
pub(super) fn append(text: &mut Vec<u8, Heap>, (key, value): (&str, &str)) {
    for part in [key, "=", value, "\n"] {
        text.extend_from_slice(part.as_bytes());
    }
}

impl Configuration {
    /// One without settings; takes no memory.
    pub(super) fn empty(heap: &Heap) -> Self {
        Configuration { text: Vec::new_in(heap.clone()), lines: Vec::new_in(heap.clone()) }
    }

    /// Reads a source. The inner error is the first line that is not understood, that has the key of
    /// an earlier one, or that is one too many.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub(super) fn read(source: &str, heap: &Heap) -> Result<Result<Self, usize>, Refused> {
        let mut count = 0;
        for (number, pair) in settings(source) {
            let earlier = || settings(source).take(count).filter_map(|(_, pair)| pair);
            let is_new = pair.is_some_and(|(key, _)| earlier().all(|(other, _)| other != key));
            if !is_new || count == LINES_MAX {
                return Ok(Err(number));
            }
            count += 1;
        }
        let pairs = || settings(source).filter_map(|(_, pair)| pair);
        let mut text = try_with_capacity(bytes_of(pairs()), heap.clone())?;
        let mut lines = try_with_capacity(count, heap.clone())?;
        for (key, value) in pairs() {
            let start = text.len();
            append(&mut text, (key, value));
            lines.push(Line { start, equals: start + key.len(), end: text.len() - 1 });
        }
        Ok(Ok(Configuration { text, lines }))
    }

    /// Its text, lent.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Its settings, in the order of the source.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let text = self.text();
        let pair = |line: &Line| (&text[line.start..line.equals], &text[line.equals + 1..line.end]);
        self.lines.iter().map(pair)
    }

    /// The value of a key, lent.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::Plan;

    fn read(source: &str) -> Result<std::string::String, usize> {
        let read = Configuration::read(source, &Heap::new()).expect("there is memory");
        read.map(|configuration| configuration.text().to_owned())
    }

    #[test]
    fn a_source_is_read_into_plain_lines() {
        let source = " host = example.org \n\n# a remark\nport=80\r\nempty=\n a=b=c";
        assert_eq!(read(source).as_deref(), Ok("host=example.org\nport=80\nempty=\na=b=c\n"));
        assert_eq!(read("").as_deref(), Ok(""));
        assert_eq!(read("a=1\nb"), Err(2));
        assert_eq!(read("\n=1"), Err(2));
        assert_eq!(read("a=1\n\na=2"), Err(3));
        let most: std::string::String =
            (0..LINES_MAX).map(|number| format!("k{number}=\n")).collect();
        assert!(read(&most).is_ok());
        assert_eq!(read(&(most + "one=more")), Err(LINES_MAX + 1));
    }

    #[test]
    fn values_are_found_by_key() {
        let heap = Heap::new();
        let read = Configuration::read("a=1\né=\nab=2", &heap).expect("there is memory");
        let read = read.unwrap_or_else(|line| panic!("line {line}"));
        assert_eq!(
            ["a", "é", "ab", "b"].map(|key| read.get(key)),
            [Some("1"), Some(""), Some("2"), None]
        );
        assert_eq!(bytes_of(read.iter()), read.text().len());
        heap.arm(Plan::nth(2));
        assert!(Configuration::read("a=1", &heap).is_err());
    }
}
