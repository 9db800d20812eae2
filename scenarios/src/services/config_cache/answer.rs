//! What the cache gives out: lent where the stored text is what was asked for, otherwise a text of
//! the caller's.

use std::ops::Deref;

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::configuration::{Configuration, append, bytes_of};
use crate::memory::bytes::try_with_capacity;

/// A configuration's text.
pub enum Answer<'c> {
    /// As it is stored: lent until the cache is used again.
    Borrowed(&'c str),
    /// Changed by an override or completed by a default: freed when it is dropped.
    Owned(Vec<u8, Heap>),
}

impl Deref for Answer<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Answer::Borrowed(text) => text,
            Answer::Owned(text) => std::str::from_utf8(text).unwrap_or_default(),
        }
    }
}

/// One value of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'c> {
    /// No configuration with this name is cached.
    NotCached,
    /// Neither the configuration nor the defaults have this key.
    NoKey,
    /// The value, lent until the cache is used again.
    Is(&'c str),
}

/// The value that overrides one; the last of several with this key counts.
fn overriding<'o, K: AsRef<str>, V: AsRef<str>>(
    overrides: &'o [(K, V)],
    key: &str,
) -> Option<&'o str> {
    let last = overrides.iter().rev().find(|(other, _)| other.as_ref() == key);
    last.map(|(_, value)| value.as_ref())
}

/// The settings that are stored, each as it is overridden; then overrides of other keys; then
/// defaults of keys that are in neither.
fn merged<'s, K: AsRef<str>, V: AsRef<str>>(
    stored: &'s Configuration,
    overrides: &'s [(K, V)],
    defaults: &'s Configuration,
) -> impl Iterator<Item = (&'s str, &'s str)> + Clone {
    let own = stored.iter().map(move |(key, value)| {
        let value = overriding(overrides, key).unwrap_or(value);
        (key, value)
    });
    let other = overrides.iter().enumerate().filter(move |(place, (key, _))| {
        let key = key.as_ref();
        stored.get(key).is_none() && overriding(&overrides[place + 1..], key).is_none()
    });
    let other = other.map(|(_, (key, value))| (key.as_ref(), value.as_ref()));
    let missing = defaults
        .iter()
        .filter(move |(key, _)| stored.get(key).is_none() && overriding(overrides, key).is_none());
    own.chain(other).chain(missing)
}

/// The text that overrides and defaults make of a stored configuration; `None` if it is the stored
/// one. A text is freed when it is dropped.
///
/// # Errors
/// [`Refused`] if there is no memory for a text.
pub(super) fn changed<K: AsRef<str>, V: AsRef<str>>(
    stored: &Configuration,
    overrides: &[(K, V)],
    defaults: &Configuration,
    heap: &Heap,
) -> Result<Option<Vec<u8, Heap>>, Refused> {
    let settings = merged(stored, overrides, defaults);
    if settings.clone().eq(stored.iter()) {
        return Ok(None);
    }
    let mut text = try_with_capacity(bytes_of(settings.clone()), heap.clone())?;
    settings.for_each(|setting| append(&mut text, setting));
    Ok(Some(text))
}
