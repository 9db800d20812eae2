//! LFS pointer files: the few lines that Git stores in place of a large object.
//!
//! ```text
//! version https://git-lfs.github.com/spec/v1
//! ext-0-scan sha256:<the id before the extension>      (any number of these, sorted)
//! oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
//! size 12345
//! ```
//! Reading is strict, since a file that only resembles a pointer is a user's data: one space
//! between key and value, keys in this order, a newline after each line and nothing else.

use std::fmt;

use super::oid::Oid;

/// A pointer file is smaller than this.
pub const MAX_BYTES: usize = 1024;

/// The version that is written.
const VERSION: &str = "https://git-lfs.github.com/spec/v1";

/// The versions that are read: the one above and its name before the first release.
const VERSIONS: [&str; 2] = [VERSION, "https://hawser.github.com/spec/v1"];

/// Why a text is not a pointer file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPointer {
    /// The first line that is wrong, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for NotAPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pointer file, line {}: {}", self.line, self.problem)
    }
}

/// What a pointer file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer<'a> {
    /// The object.
    pub oid: Oid,
    /// Its size in bytes.
    pub size: u64,
    /// The lines of extensions, as they were: a tool keeps what it doesn't know.
    extensions: &'a str,
}

impl<'a> Pointer<'a> {
    /// Reads a pointer file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &'a str) -> Result<Pointer<'a>, NotAPointer> {
        let mut lines = Lines { rest: text, line: 1 };
        if text.len() >= MAX_BYTES {
            return lines.wrong("the file is not smaller than 1024 bytes");
        }
        let version = lines.field("version")?;
        if !VERSIONS.contains(&version) {
            return lines.wrong("an unknown version");
        }
        lines.advance();

        let (from, mut last) = (lines.rest, "");
        while lines.rest.starts_with("ext-") {
            let (key, value) = lines.split()?;
            if !is_extension(key) {
                return lines.wrong("not an extension's key");
            }
            if key <= last {
                return lines.wrong("extensions are not sorted");
            }
            if sha256(value).is_none() {
                return lines.wrong("not a SHA-256 object id");
            }
            last = key;
            lines.advance();
        }
        let extensions = &from[..from.len() - lines.rest.len()];

        let Some(oid) = sha256(lines.field("oid")?) else {
            return lines.wrong("not a SHA-256 object id");
        };
        lines.advance();
        let Some(size) = decimal(lines.field("size")?) else {
            return lines.wrong("not a size");
        };
        lines.advance();
        if !lines.rest.is_empty() {
            return lines.wrong("more lines than a pointer file has");
        }
        Ok(Pointer { oid, size, extensions })
    }
}

impl fmt::Display for Pointer<'_> {
    /// The file's text, in the present version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version {VERSION}")?;
        f.write_str(self.extensions)?;
        writeln!(f, "oid sha256:{}\nsize {}", self.oid, self.size)
    }
}

/// The lines that were not yet read.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    fn wrong<T>(&self, problem: &'static str) -> Result<T, NotAPointer> {
        Err(NotAPointer { line: self.line, problem })
    }

    /// The present line as key and value.
    fn split(&self) -> Result<(&'a str, &'a str), NotAPointer> {
        if self.rest.is_empty() {
            return self.wrong("the file ends before it");
        }
        let Some((line, _)) = self.rest.split_once('\n') else {
            return self.wrong("no newline at its end");
        };
        let Some(pair) = line.split_once(' ') else {
            return self.wrong("no space between key and value");
        };
        Ok(pair)
    }

    /// The value of the present line, which must have this key.
    fn field(&self, key: &str) -> Result<&'a str, NotAPointer> {
        let (found, value) = self.split()?;
        if found != key {
            return self.wrong("another key is expected here");
        }
        Ok(value)
    }

    fn advance(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.line += 1;
    }
}

/// `ext-<one digit>-<name>`
fn is_extension(key: &str) -> bool {
    let Some((order, name)) = key.strip_prefix("ext-").and_then(|key| key.split_once('-')) else {
        return false;
    };
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    matches!(order.as_bytes(), [b'0'..=b'9']) && !name.is_empty() && name.bytes().all(legal)
}

fn sha256(value: &str) -> Option<Oid> {
    value.strip_prefix("sha256:").and_then(Oid::parse)
}

/// A size as a pointer writes it: digits, no sign, no zero before others.
fn decimal(value: &str) -> Option<u64> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (value == "0" || !value.starts_with('0'));
    value.parse().ok().filter(|_| canonical)
}
