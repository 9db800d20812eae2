//! The cache as a system: each operation is one of its own.

use std::fmt::Debug;

use mallory::system::World;
use mallory::{Heap, Refused, System};

use super::cache::ConfigCache;
use super::configuration::Configuration;
use super::entries::Entry;
use super::model::{Known, Model, Settings};
use super::operation::{Made, Op, Reply};

fn settings(configuration: &Configuration) -> Settings {
    configuration.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl System for ConfigCache {
    const NAME: &'static str = "config-cache";

    type Op = Op;
    type Reply = Reply<Made>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(ConfigCache::new(heap))
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply<Made>, Refused> {
        self.handle(op)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let known = |entry: &Entry| Known {
            name: String::from_utf8_lossy(&entry.name).into_owned(),
            settings: settings(&entry.configuration),
            text: entry.configuration.text().to_owned(),
            deadline: entry.deadline,
        };
        Model {
            entries: self.entries.iter().map(|(_, entry)| known(entry)).collect(),
            defaults: settings(&self.defaults),
            capacity: self.capacity,
            now: self.now,
            stats: self.stats(),
        }
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
