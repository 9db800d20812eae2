//! The journal as a system: each operation is one of its methods.

use std::fmt::Debug;

use mallory::system::World;
use mallory::{Heap, System};

use super::journal::JournalIntern;
use super::model::Model;
use super::operation::{Error, Ids, Op, Path, Reply};

impl System for JournalIntern {
    const NAME: &'static str = "journal-intern";

    type Op = Op;
    type Reply = Reply<Path, Ids>;
    type Error = Error;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Error> {
        Ok(JournalIntern::new(heap))
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Self::Reply, Error> {
        Ok(match op {
            Op::Append(entry) => Reply::Appended(self.append(&[entry.borrow()])?),
            Op::AppendFromLog { skip, take } => {
                Reply::Appended(self.append_from_log(world.input, *skip, *take)?)
            }
            Op::Replay => self.replay()?,
            Op::Compact => Reply::Compacted(self.compact()?),
            Op::Lookup { path } => Reply::Newest(self.lookup(path.as_bytes())?),
            Op::History { path } => Reply::History(self.history(path.as_bytes())?),
            Op::Count => self.count()?,
        })
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> Model {
        Model::of(self)
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.strings().metrics()
    }

    fn model(model: &mut Model, op: &Op, world: &World<'_>) -> impl Debug {
        match model.apply(op, world) {
            Ok(reply) => Box::new(reply) as Box<dyn Debug>,
            Err(error) => Box::new(error),
        }
    }
}
