//! Names made of hex digits: git's object ids, and SHA-256 digests.

use std::fmt;
use std::str::FromStr;

use arbitrary::{Arbitrary, Unstructured};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A full object id: SHA-1 (40 hex digits) or SHA-256 (64).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id {
    /// A SHA-1 is followed by zeroes.
    bytes: [u8; 32],
    length: u8,
}

/// The error for text or bytes that are not an object id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object id has 40 or 64 hex digits")
    }
}

impl std::error::Error for NotAnId {}

impl Id {
    /// From 40 or 64 hex digits.
    ///
    /// # Errors
    /// [`NotAnId`] for anything else.
    pub fn from_hex(hex: &[u8]) -> Result<Id, NotAnId> {
        let mut bytes = [0; 32];
        if hex.len() != 40 && hex.len() != 64 {
            return Err(NotAnId);
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Id { bytes, length: hex.len() as u8 / 2 })
    }

    /// From 20 or 32 bytes.
    ///
    /// # Errors
    /// [`NotAnId`] for any other number.
    pub fn from_bytes(raw: &[u8]) -> Result<Id, NotAnId> {
        if raw.len() != 20 && raw.len() != 32 {
            return Err(NotAnId);
        }
        let mut bytes = [0; 32];
        bytes[..raw.len()].copy_from_slice(raw);
        Ok(Id { bytes, length: raw.len() as u8 })
    }

    /// What git writes if there is no object: as many zeroes as this id has digits.
    #[must_use]
    pub fn none(self) -> Id {
        Id { bytes: [0; 32], ..self }
    }

    /// A view of its 20 or 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Mostly one of few ids (one digit repeated), so that the same id is generated again.
impl<'a> Arbitrary<'a> for Id {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Id> {
        let how = u.arbitrary::<u8>()?;
        let digit = b"0123456789abcdef"[usize::from(how & 15)];
        let id = match how >> 6 {
            0..=2 => Id::from_hex(&[digit; 40]),
            _ if how & 32 == 0 => Id::from_hex(&[digit; 64]),
            _ => Id::from_bytes(&u.arbitrary::<[u8; 20]>()?),
        };
        id.map_err(|NotAnId| arbitrary::Error::IncorrectFormat)
    }
}

fn digit(hex: u8) -> Result<u8, NotAnId> {
    let value = char::from(hex).to_digit(16).ok_or(NotAnId)?;
    Ok(value as u8)
}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(hex: &str) -> Result<Id, NotAnId> {
        Id::from_hex(hex.as_bytes())
    }
}

impl TryFrom<String> for Id {
    type Error = NotAnId;

    fn try_from(hex: String) -> Result<Id, NotAnId> {
        hex.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.to_string()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_bytes())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printed_as_they_are_read() {
        for hex in ["0123456789abcdef0123456789abcdef01234567", &"a5".repeat(32)] {
            let id: Id = hex.parse().unwrap();
            assert_eq!(id.to_string(), hex);
            assert_eq!(id.as_bytes().len() * 2, hex.len());
            assert_eq!(Id::from_bytes(id.as_bytes()), Ok(id));
        }
        for wrong in ["", "abc", &"g".repeat(40), &"a".repeat(39), &"é".repeat(20)] {
            assert_eq!(wrong.parse::<Id>(), Err(NotAnId));
        }
        assert_eq!(Id::from_bytes(&[0; 21]), Err(NotAnId));
    }

    #[test]
    fn digests_are_sha_256() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), of_nothing);
    }
}
