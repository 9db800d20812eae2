//! An operation that no script file can hold.
//@ feature ron
//~ `Op` can't be written to a script file and read from it
//~ write `#[derive(serde::Serialize, serde::Deserialize)]` above it
use mallory::system::{System, World};
use mallory::{Heap, Refused};

struct Nothing;

#[derive(Clone, Debug)]
enum Op {
    Look,
}

impl System for Nothing {
    const NAME: &'static str = "nothing";

    type Op = Op;
    type Reply = ();
    type Error = Refused;
    type Model = ();

    fn open(_: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        Ok(Nothing)
    }

    fn apply(&mut self, Op::Look: &Op, _: &World<'_>) -> Result<(), Refused> {
        Ok(())
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) {}

    fn model((): &mut (), Op::Look: &Op, _: &World<'_>) -> impl std::fmt::Debug {}
}

fn main() {
    let _ = mallory::Scenario::script::<Nothing>("it.ron", "()");
}
