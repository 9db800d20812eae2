//! The cache.

use mallory::{Heap, Refused};

use super::answer::{self, Answer, Value};
use super::configuration::Configuration;
use super::entries::{Entries, Entry};
use super::operation::{CAPACITY, CAPACITY_MAX, Gone, NAME_MAX, Refusal, SOURCE_MAX, Stats};
use crate::memory::bytes::try_copy;

/// What a step returns that may not be done: the inner error is a reply, not a failure.
type Done<T> = Result<Result<T, Refusal>, Refused>;

/// A cache of configurations.
pub struct ConfigCache {
    heap: Heap,
    pub(super) entries: Entries,
    pub(super) defaults: Configuration,
    pub(super) capacity: usize,
    /// The milliseconds that have passed since it was made.
    pub(super) now: u64,
    stats: Stats,
}

impl ConfigCache {
    /// An empty cache on this heap, with the usual capacity; takes no memory of the heap yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        ConfigCache {
            heap: heap.clone(),
            entries: Entries::new(heap),
            defaults: Configuration::empty(heap),
            capacity: CAPACITY,
            now: 0,
            stats: Stats::default(),
        }
    }

    /// Reads a configuration and keeps it under this name for `ttl` milliseconds, instead of the
    /// one with the same name. In a full cache it takes the place of one whose time is over, or of
    /// the one whose last use is longest ago. Returns what it has replaced.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory. Nothing is evicted then, nor changed otherwise.
    pub fn put(&mut self, name: &str, source: &str, ttl: u32) -> Done<Gone> {
        if name.is_empty() || name.len() > NAME_MAX || source.len() > SOURCE_MAX {
            return Ok(Err(Refusal::Length));
        }
        let configuration = match Configuration::read(source, &self.heap)? {
            Ok(configuration) => configuration,
            Err(line) => return Ok(Err(Refusal::Line(line))),
        };
        let deadline = self.now.saturating_add(ttl.into());
        if let Some(place) = self.entries.find(name) {
            let gone = if self.is_over(place) { Gone::Expired } else { Gone::Replaced };
            self.stats.expired += u64::from(gone == Gone::Expired);
            let entry = self.entries.get_mut(place);
            entry.configuration = configuration;
            entry.deadline = deadline;
            self.entries.touch(place);
            return Ok(Ok(gone));
        }
        let name = try_copy(name.as_bytes(), self.heap.clone())?;
        self.entries.reserve()?;
        // Nothing can fail from here on, so something may go.
        let gone = if self.entries.len() < self.capacity { Gone::Nothing } else { self.give_up() };
        self.entries.insert(Entry { name, configuration, deadline });
        Ok(Ok(gone))
    }

    /// The configuration with this name, changed by the overrides and completed by the defaults;
    /// `None` if none is cached. Where that is the stored text, it is lent, and nothing is allocated.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory for a text; the look-up then counts as nothing.
    pub fn get<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: &str,
        overrides: &[(K, V)],
    ) -> Done<Option<Answer<'_>>> {
        let is_setting = |(key, value): &(K, V)| {
            let (key, value) = (key.as_ref(), value.as_ref());
            !key.is_empty() && !key.contains(['=', '\n']) && !value.contains('\n')
        };
        if let Some(place) = overrides.iter().position(|pair| !is_setting(pair)) {
            return Ok(Err(Refusal::Override(place)));
        }
        let Some(place) = self.look_up(name) else { return Ok(Ok(None)) };
        let stored = &self.entries.get(place).configuration;
        let changed = answer::changed(stored, overrides, &self.defaults, &self.heap)?;
        self.hit(place);
        Ok(Ok(Some(match changed {
            Some(text) => Answer::Owned(text),
            None => Answer::Borrowed(self.entries.get(place).configuration.text()),
        })))
    }

    /// One value of the configuration with this name, or else its default; lent, never allocated.
    pub fn value(&mut self, name: &str, key: &str) -> Value<'_> {
        let Some(place) = self.look_up(name) else { return Value::NotCached };
        self.hit(place);
        let stored = self.entries.get(place).configuration.get(key);
        stored.or_else(|| self.defaults.get(key)).map_or(Value::NoKey, Value::Is)
    }

    /// Forgets the configuration with this name; returns whether it was cached and its time not over.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(place) = self.entries.find(name) else { return false };
        let is_over = self.is_over(place);
        self.stats.expired += u64::from(is_over);
        self.entries.remove(place);
        !is_over
    }

    /// Reads the defaults, for keys that a configuration doesn't have.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the old defaults then stay.
    pub fn set_defaults(&mut self, source: &str) -> Done<()> {
        if source.len() > SOURCE_MAX {
            return Ok(Err(Refusal::Length));
        }
        let read = Configuration::read(source, &self.heap)?;
        Ok(read.map(|defaults| self.defaults = defaults).map_err(Refusal::Line))
    }

    /// Sets how many configurations are kept, at least one; returns how many go.
    pub fn set_capacity(&mut self, capacity: usize) -> usize {
        self.capacity = capacity.clamp(1, CAPACITY_MAX);
        let mut count = 0;
        while self.entries.len() > self.capacity {
            self.give_up();
            count += 1;
        }
        count
    }

    /// Lets time pass; returns the milliseconds that have passed in all.
    pub fn advance(&mut self, milliseconds: u32) -> u64 {
        self.now = self.now.saturating_add(milliseconds.into());
        self.now
    }

    /// Forgets everything whose time is over; returns how many that were.
    pub fn purge(&mut self) -> usize {
        let mut count = 0;
        while let Some(place) = self.first_over() {
            self.entries.remove(place);
            count += 1;
        }
        self.stats.expired += count as u64;
        count
    }

    /// How often something was found or not, and what went.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn is_over(&self, place: usize) -> bool {
        self.now >= self.entries.get(place).deadline
    }

    fn first_over(&self) -> Option<usize> {
        self.entries.iter().map(|(place, _)| place).find(|place| self.is_over(*place))
    }

    /// The place of a configuration whose time is not over. If there is none, that is a miss.
    fn look_up(&mut self, name: &str) -> Option<usize> {
        let place = self.entries.find(name);
        match place {
            Some(place) if self.is_over(place) => {
                self.entries.remove(place);
                self.stats.expired += 1;
            }
            Some(_) => return place,
            None => {}
        }
        self.stats.misses += 1;
        None
    }

    fn hit(&mut self, place: usize) {
        self.stats.hits += 1;
        self.entries.touch(place);
    }

    /// Takes one out: the first whose time is over, or else the one whose last use is longest ago.
    fn give_up(&mut self) -> Gone {
        if let Some(place) = self.first_over() {
            self.entries.remove(place);
            self.stats.expired += 1;
            return Gone::Expired;
        }
        let oldest = self.entries.iter().next().map(|(place, _)| place);
        if let Some(place) = oldest {
            self.entries.remove(place);
            self.stats.evicted += 1;
        }
        Gone::Evicted
    }
}
