//! The manager as a system: each operation is one of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;

use mallory::system::World;
use mallory::{Heap, Refused, System};

use super::container::Container;
use super::manager::MemoryManager;
use super::model::{Known, Model};
use super::operation::{Json, Op, Reply};
use super::tracker::{Count, Owner};
use crate::memory::PoolString;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl System for MemoryManager {
    const NAME: &'static str = "container-memory";

    type Op = Op;
    type Reply = Reply<Json>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(MemoryManager::new(heap))
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply<Json>, Refused> {
        self.handle(op)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let optional = |of: &Option<PoolString>| of.as_deref().map(text);
        let known = |container: &Container| Known {
            image: text(&container.image),
            env: container.env.iter().flatten().map(|variable| text(variable)).collect(),
            interface: optional(&container.interface),
            log: container.log.iter().flatten().map(|buffer| buffer.to_vec()).collect(),
            state: container.state,
            address: container.address,
            group: container.group,
            limit: container.limit,
        };
        let containers = self.containers.iter();
        let pair = |Count { live, peak }: Count| (live, peak);
        Model {
            containers: containers.map(|of| (text(&of.id), known(of))).collect::<BTreeMap<_, _>>(),
            in_use: self.host.in_use(),
            name: optional(&self.name),
            container_limit: self.limits.container,
            daemon_limit: self.limits.daemon,
            percent: self.limits.percent,
            owners: Owner::ALL.map(|owner| pair(self.tracker.of(owner))),
            total: pair(self.tracker.total()),
            calls: self.tracker.calls(),
            operations: self.operations,
        }
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics().reported()
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
