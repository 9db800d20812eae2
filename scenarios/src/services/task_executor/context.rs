//! What a task needs while it runs, and nothing that outlives it.

use allocator_api2::vec::Vec;
use mallory::Heap;

use super::values::Compensation;
use crate::memory::RequestArena;
use crate::memory::bytes::Text;
use crate::memory::pool::{KEPT_BYTES, Reusable};

/// What a task needs while it runs. Contexts come from a pool, and are empty there.
#[derive(Debug)]
pub struct TaskExecutionContext {
    /// Where the present step works; reset after each step.
    pub(super) arena: RequestArena,
    /// What takes the changes of the steps so far back.
    pub(super) compensations: Vec<Compensation, Heap>,
    /// What the steps emitted.
    pub(super) output: Text<Heap>,
}

impl TaskExecutionContext {
    /// A context on this heap; takes no memory yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        TaskExecutionContext {
            arena: RequestArena::new(heap),
            compensations: Vec::new_in(heap.clone()),
            output: Text::new_in(heap.clone()),
        }
    }
}

impl Reusable for TaskExecutionContext {
    fn reset(&mut self) -> bool {
        self.arena.reset();
        self.compensations.clear();
        self.output.clear();
        self.output.capacity() <= KEPT_BYTES
    }
}
