//! The plain model: std's collections, and a list in the order of use.

use super::operation::{Gone, Op, Refusal, Reply, Stats};
use crate::memory::bytes::Bytes;

/// Keys and values, in the order of their lines.
pub(super) type Settings = Vec<(String, String)>;

/// What is known of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: Settings,
    /// The same as text.
    pub text: String,
    /// When its time is over.
    pub deadline: u64,
}

/// All that the cache keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The configurations, the one whose last use is longest ago first.
    pub entries: Vec<Known>,
    /// The defaults.
    pub defaults: Settings,
    /// How many configurations are kept.
    pub capacity: usize,
    /// The milliseconds that have passed.
    pub now: u64,
    /// The statistics.
    pub stats: Stats,
}

impl Default for Model {
    fn default() -> Self {
        let (entries, defaults, stats) = (Vec::new(), Vec::new(), Stats::default());
        Model { entries, defaults, capacity: 16, now: 0, stats }
    }
}

type Text = Bytes<Vec<u8>>;

fn read(source: &str) -> Result<Settings, Refusal> {
    let mut settings = Settings::new();
    for (index, line) in source.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = Refusal::Line(index + 1);
        let (key, value) = line.split_once('=').ok_or(wrong)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value_of(&settings, key).is_some() || settings.len() == 64 {
            return Err(wrong);
        }
        settings.push((key.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

fn value_of(settings: &Settings, key: &str) -> Option<String> {
    settings.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
}

fn text_of(settings: &Settings) -> String {
    settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

fn lent(text: &str) -> Reply<Text> {
    let fnv = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let checksum = text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    Reply::Lent { bytes: text.len(), checksum }
}

impl Model {
    /// Does an operation.
    pub(super) fn handle(&mut self, op: &Op) -> Reply<Text> {
        let done = match op {
            Op::Put { name, source, ttl } => self.put(name, source, *ttl),
            Op::Get { name, overrides } => self.get(name, overrides),
            Op::Value { name, key } => Ok(self.value(name, key)),
            Op::Remove { name } => {
                let found = self.take(name);
                let is_over = found.as_ref().is_some_and(|known| known.deadline <= self.now);
                self.stats.expired += u64::from(is_over);
                Ok(Reply::Removed(found.is_some() && !is_over))
            }
            Op::Defaults(source) if source.len() > 4096 => Err(Refusal::Length),
            Op::Defaults(source) => read(source).map(|defaults| {
                self.defaults = defaults;
                Reply::Configured
            }),
            Op::Capacity(capacity) => {
                let before = self.entries.len();
                self.capacity = (*capacity).clamp(1, 256);
                while self.entries.len() > self.capacity {
                    self.give_up();
                }
                Ok(Reply::Resized(before - self.entries.len()))
            }
            Op::Advance(milliseconds) => {
                self.now += u64::from(*milliseconds);
                Ok(Reply::Now(self.now))
            }
            Op::Purge => {
                let before = self.entries.len();
                self.entries.retain(|known| known.deadline > self.now);
                let gone = before - self.entries.len();
                self.stats.expired += gone as u64;
                Ok(Reply::Purged(gone))
            }
            Op::Stats => Ok(Reply::Stats(self.stats)),
        };
        done.unwrap_or_else(Reply::Refused)
    }

    fn take(&mut self, name: &str) -> Option<Known> {
        let at = self.entries.iter().position(|known| known.name == name)?;
        Some(self.entries.remove(at))
    }

    fn give_up(&mut self) -> Gone {
        if let Some(at) = self.entries.iter().position(|known| known.deadline <= self.now) {
            self.entries.remove(at);
            self.stats.expired += 1;
            return Gone::Expired;
        }
        self.entries.remove(0);
        self.stats.evicted += 1;
        Gone::Evicted
    }

    fn put(&mut self, name: &str, source: &str, ttl: u32) -> Result<Reply<Text>, Refusal> {
        if name.is_empty() || name.len() > 128 || source.len() > 4096 {
            return Err(Refusal::Length);
        }
        let settings = read(source)?;
        let gone = match self.take(name) {
            Some(old) if old.deadline > self.now => Gone::Replaced,
            Some(_) => {
                self.stats.expired += 1;
                Gone::Expired
            }
            None if self.entries.len() < self.capacity => Gone::Nothing,
            None => self.give_up(),
        };
        let (name, text) = (name.to_owned(), text_of(&settings));
        self.entries.push(Known { name, settings, text, deadline: self.now + u64::from(ttl) });
        Ok(Reply::Stored(gone))
    }

    /// Finds a configuration, which is then the one that was used last.
    fn look_up(&mut self, name: &str) -> Option<&Known> {
        match self.take(name) {
            Some(known) if known.deadline > self.now => {
                self.stats.hits += 1;
                self.entries.push(known);
                self.entries.last()
            }
            found => {
                self.stats.expired += u64::from(found.is_some());
                self.stats.misses += 1;
                None
            }
        }
    }

    fn value(&mut self, name: &str, key: &str) -> Reply<Text> {
        let default = value_of(&self.defaults, key);
        let Some(known) = self.look_up(name) else { return Reply::Missed };
        value_of(&known.settings, key).or(default).map_or(Reply::NoKey, |value| lent(&value))
    }

    fn get(&mut self, name: &str, overrides: &Settings) -> Result<Reply<Text>, Refusal> {
        for (index, (key, value)) in overrides.iter().enumerate() {
            if key.is_empty() || key.contains('=') || format!("{key}{value}").contains('\n') {
                return Err(Refusal::Override(index));
            }
        }
        let defaults = self.defaults.clone();
        let Some(known) = self.look_up(name) else { return Ok(Reply::Missed) };
        let mut settings = known.settings.clone();
        let mut others = Settings::new();
        for (key, value) in overrides {
            match settings.iter_mut().find(|(other, _)| other == key) {
                Some((_, old)) => old.clone_from(value),
                None => {
                    others.retain(|(other, _)| other != key);
                    others.push((key.clone(), value.clone()));
                }
            }
        }
        settings.extend(others);
        for (key, value) in defaults {
            if value_of(&settings, &key).is_none() {
                settings.push((key, value));
            }
        }
        let text = text_of(&settings);
        Ok(match text == known.text {
            true => lent(&text),
            false => Reply::Made(Bytes(text.into_bytes())),
        })
    }
}
