//! Object ids: the SHA-256 of an object's content, which is its name everywhere in Git LFS.

use std::fmt;

use crate::services::git_log::Digest;

/// A checked object id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Digest);

impl Oid {
    /// Reads 64 lower-case hexadecimal digits, and nothing else: upper case would give one object
    /// two names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Oid> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Oid(Digest(bytes)))
    }

    /// How many digits an id has.
    pub const DIGITS: usize = 64;

    /// Writes its digits, and lends them.
    #[must_use]
    pub fn write<'r>(&self, room: &'r mut [u8; Oid::DIGITS]) -> &'r str {
        let digits = self.0.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (place, digit) in room.iter_mut().zip(digits) {
            *place = b"0123456789abcdef"[usize::from(digit)];
        }
        std::str::from_utf8(room).expect("digits are ASCII")
    }

    /// The id of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Oid {
        Oid(Digest::of(content))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Oid;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn content_is_named_by_its_sha256() {
        assert_eq!(Oid::of(b"").to_string(), EMPTY);
        assert_eq!(Oid::parse(EMPTY), Some(Oid::of(b"")));
        assert_eq!(Oid::of(b"").write(&mut [0; Oid::DIGITS]), EMPTY);
    }

    #[test]
    fn anything_but_64_lower_case_digits_is_refused() {
        let upper = EMPTY.to_uppercase();
        let long = format!("{EMPTY}0");
        let wide = format!("{}é", &EMPTY[..62]);
        let letter = EMPTY.replace('e', "g");
        for text in ["", &EMPTY[..63], &upper, &long, &wide, &letter] {
            assert_eq!(Oid::parse(text), None, "{text}");
        }
    }
}
