//! The gateway as a system: each operation is one of its own.

use std::fmt::Debug;

use mallory::system::World;
use mallory::{Heap, Refused, System};

use super::breakers::{Breaker, Change, Counts};
use super::gateway::Gateway;
use super::model::{Known, Model};
use super::operation::{Body, Op, Reply};

fn name(breaker: &Breaker) -> String {
    String::from_utf8_lossy(&breaker.name).into_owned()
}

impl System for Gateway {
    const NAME: &'static str = "circuit-breaker";

    type Op = Op;
    type Reply = Reply<Body>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(Gateway::new(heap))
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply<Body>, Refused> {
        self.handle(op)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let breakers = &self.breakers;
        let known = |breaker: &Breaker| {
            let Counts { passed, failed, rejected } = breaker.counts;
            Known {
                name: name(breaker),
                policy: breaker.policy,
                circuit: breaker.circuit,
                counts: [passed, failed, rejected],
            }
        };
        let change = |Change { at, backend, to }: Change| {
            (at, name(&breakers.breakers[backend]), to.name().to_owned())
        };
        Model {
            backends: breakers.breakers.iter().map(known).collect(),
            changes: breakers.changes.iter().map(change).collect(),
            now: breakers.now,
        }
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
