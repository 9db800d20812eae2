//! The executor as a system: each operation is one of its own. Threads of a script run their tasks at the
//! same time, and share the contexts.

use std::fmt::Debug;

use mallory::system::{ApplyShared, World};
use mallory::{Heap, Refused, System};

use super::executor::{Tally, TaskExecutor, as_text};
use super::model::Model;
use super::operation::{Op, Output, Reply};
use super::values::Entry;

impl System for TaskExecutor {
    const NAME: &'static str = "task-executor";

    type Op = Op;
    type Reply = Reply<Output>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(TaskExecutor::new(heap))
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply<Output>, Refused> {
        self.handle(op)
    }

    fn shared() -> Option<ApplyShared<Self>> {
        Some(|executor, op, _world| executor.handle(op))
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let workspace = self.workspace();
        let Tally { done, rolled_back, undone } = workspace.tally;
        let pair = |Entry { key, value }: &Entry| (as_text(key).into(), as_text(value).into());
        let values = workspace.values.entries().iter().map(pair);
        Model { values: Vec::from_iter(values), done, rolled_back, undone }
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
