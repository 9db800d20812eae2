//! What the cache is asked, and what it replies.

use std::hash::Hasher;

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::{Heap, Refused};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Value};
use super::cache::ConfigCache;
use crate::memory::bytes::Bytes;
use crate::memory::hash::Fnv;
use crate::services::generate;

/// No name is longer than this.
pub const NAME_MAX: usize = 128;
/// No source is longer than this.
pub const SOURCE_MAX: usize = 4096;
/// No configuration has more lines than this.
pub const LINES_MAX: usize = 64;
/// No cache keeps more configurations than this.
pub const CAPACITY_MAX: usize = 256;
/// How many are kept unless the capacity is set.
pub(super) const CAPACITY: usize = 16;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Stores a configuration: lines of `key=value`.
    Put {
        /// Its name.
        #[arbitrary(with = generate::service)]
        name: String,
        /// Its text.
        #[arbitrary(with = generate::settings)]
        source: String,
        /// For how many milliseconds.
        #[arbitrary(with = generate::milliseconds)]
        ttl: u32,
    },
    /// The configuration with this name, changed by overrides and completed by the defaults.
    Get {
        /// Its name.
        #[arbitrary(with = generate::service)]
        name: String,
        /// Keys with the values that they have instead.
        #[arbitrary(with = generate::overrides)]
        overrides: std::vec::Vec<(String, String)>,
    },
    /// One value of a configuration, or else its default.
    Value {
        /// The configuration's name.
        #[arbitrary(with = generate::service)]
        name: String,
        /// The key.
        #[arbitrary(with = generate::setting)]
        key: String,
    },
    /// Forgets a configuration.
    Remove {
        /// Its name.
        #[arbitrary(with = generate::service)]
        name: String,
    },
    /// Sets the defaults.
    Defaults(#[arbitrary(with = generate::settings)] String),
    /// Sets how many configurations are kept.
    Capacity(#[arbitrary(with = generate::count)] usize),
    /// Lets this many milliseconds pass.
    Advance(#[arbitrary(with = generate::milliseconds)] u32),
    /// Forgets everything whose time is over.
    Purge,
    /// The statistics.
    Stats,
}

/// What a configuration that is stored has replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nothing: there was room.
    Nothing,
    /// The configuration with its name.
    Replaced,
    /// One whose time was over.
    Expired,
    /// The one whose last use was longest ago.
    Evicted,
}

/// Why an operation was not done. Running out of memory is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name or the source is empty or too long.
    Length,
    /// This line, from 1, is not understood, or its key occurs twice, or it is one too many.
    Line(usize),
    /// This override, from 0, is no setting.
    Override(usize),
}

/// What became of look-ups and configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that found nothing, or something whose time was over.
    pub misses: u64,
    /// Configurations that went because their time was over.
    pub expired: u64,
    /// Configurations that went because there was no room.
    pub evicted: u64,
}

/// What an operation returns. The cache allocates a changed text on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// It is stored, and this went.
    Stored(Gone),
    /// A text that the cache lent.
    Lent {
        /// Its length.
        bytes: usize,
        /// Its checksum (FNV-1a, 64 bits).
        checksum: u64,
    },
    /// A text that was made for the caller.
    Made(Text),
    /// Nothing with this name is cached.
    Missed,
    /// There is no such key.
    NoKey,
    /// Whether there was such a configuration.
    Removed(bool),
    /// The defaults are set.
    Configured,
    /// The capacity is set, and this many configurations went.
    Resized(usize),
    /// The milliseconds that have passed.
    Now(u64),
    /// This many configurations went.
    Purged(usize),
    /// The statistics.
    Stats(Stats),
    /// It was not done.
    Refused(Refusal),
}

/// A text of the caller's.
pub(super) type Made = Bytes<Vec<u8, Heap>>;

/// A text that is lent outlives no operation, so it is replied as its checksum.
fn lent(text: &str) -> Reply<Made> {
    let mut hasher = Fnv::default();
    hasher.write(text.as_bytes());
    Reply::Lent { bytes: text.len(), checksum: hasher.sum() }
}

impl ConfigCache {
    /// Does an operation. The text in its reply, if there is one, is freed when it is dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; nothing has changed then.
    pub fn handle(&mut self, op: &Op) -> Result<Reply<Made>, Refused> {
        let done = match op {
            Op::Put { name, source, ttl } => self.put(name, source, *ttl)?.map(Reply::Stored),
            Op::Get { name, overrides } => self.get(name, overrides)?.map(|answer| match answer {
                Some(Answer::Borrowed(text)) => lent(text),
                Some(Answer::Owned(text)) => Reply::Made(Bytes(text)),
                None => Reply::Missed,
            }),
            Op::Value { name, key } => Ok(match self.value(name, key) {
                Value::NotCached => Reply::Missed,
                Value::NoKey => Reply::NoKey,
                Value::Is(value) => lent(value),
            }),
            Op::Remove { name } => Ok(Reply::Removed(self.remove(name))),
            Op::Defaults(source) => self.set_defaults(source)?.map(|()| Reply::Configured),
            Op::Capacity(capacity) => Ok(Reply::Resized(self.set_capacity(*capacity))),
            Op::Advance(milliseconds) => Ok(Reply::Now(self.advance(*milliseconds))),
            Op::Purge => Ok(Reply::Purged(self.purge())),
            Op::Stats => Ok(Reply::Stats(self.stats())),
        };
        Ok(done.unwrap_or_else(Reply::Refused))
    }
}
