use allocator_api2::{collections::TryReserveError, vec::Vec};
use mallory::{Heap, System, system::World};

struct Stack(Vec<u8, Heap>);

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, arbitrary::Arbitrary)]
enum Op {
    Push(u8),
    Pop,
}

impl System for Stack {
    const NAME: &'static str = "stack";
    type Op = Op;
    type Reply = Option<u8>;
    type Error = TryReserveError;
    type Model = std::vec::Vec<u8>; // what the stack is compared with

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, TryReserveError> {
        Ok(Stack(Vec::new_in(heap.clone())))
    }
    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<Option<u8>, TryReserveError> {
        let Op::Push(byte) = op else { return Ok(self.0.pop()) };
        self.0.try_reserve(1)?;
        self.0.push(*byte);
        Ok(None)
    }
    fn model(model: &mut Self::Model, op: &Op, _: &World<'_>) -> impl std::fmt::Debug {
        let Op::Push(byte) = op else { return model.pop() };
        model.push(*byte);
        None
    }
    fn snapshot(&self) -> Self::Model {
        self.0.to_vec()
    }
    fn is_oom(_: &TryReserveError) -> bool {
        true
    }
}

#[test]
fn the_stack_is_right_under_random_scripts_and_faults() {
    mallory::proptest::property::<Stack>().run().assert_clean();
}
