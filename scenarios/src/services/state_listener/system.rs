//! The hub as a system: each operation is one of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;

use mallory::system::World;
use mallory::{Heap, Refused, System};

use super::hub::{Listener, Report, StateHub};
use super::model::{Listening, Model};
use super::operation::{Json, Op, Reply};
use crate::memory::Handle;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl System for StateHub {
    const NAME: &'static str = "state-listener";

    type Op = Op;
    type Reply = Reply<Json>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(StateHub::new(heap))
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply<Json>, Refused> {
        self.handle(op)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let string = |handle: Handle| {
            self.strings.resolve(handle, text).unwrap_or_else(|| "a string is lost".to_owned())
        };
        let report = |report: &Report| (string(report.task), report.state, string(report.note));
        let listening = |listener: &Listener| {
            let (in_flight, waiting) = listener.inbox.split_at(listener.in_flight);
            Listening {
                only: listener.only,
                in_flight: in_flight.iter().map(report).collect(),
                waiting: waiting.iter().map(report).collect(),
                known: listener.known.iter().map(|(task, state)| (string(*task), *state)).collect(),
            }
        };
        let listeners = self.listeners.iter();
        let listeners = listeners.map(|of| (text(&of.name), listening(of))).collect();
        let mut references = BTreeMap::new();
        // Under the kill switch there are several copies of a string.
        self.strings.for_each(|bytes, count| *references.entry(text(bytes)).or_default() += count);
        Model { listeners, references }
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.strings.stats().metrics()
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
