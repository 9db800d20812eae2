//! Planted bugs that need several threads, and some of them a failed request as well: each with a
//! near miss beside it, as in the folder above.
//!
//! They are explored, not swept, and only with the feature of the model checker that can see them.

mod cleanup;
mod count;
mod leak;
mod lock_order;
mod publication;
mod window;

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Port, Scenario};

use crate::sync::{Mutex, MutexGuard, PoisonError};

use super::Oom;

/// Which model checker sees a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The bounded search over shuttle's schedules: the order of threads is enough.
    ByShuttle,
    /// Loom only: the threads have to see memory in different orders, and shuttle's atomics are
    /// sequentially consistent.
    ByLoom,
}

/// A planted bug and its near miss.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The bug's name; the near miss's has `-near-miss` behind it.
    pub name: &'static str,
    /// What it has to be reported as.
    pub kind: Kind,
    /// Who finds it.
    pub seen: Seen,
    /// Whether it needs a failed request.
    pub needs_fault: bool,
    /// How many preemptions it needs.
    pub preemptions: u32,
    /// What is wrong with it.
    pub wrong: &'static str,
    /// What the near miss does instead.
    pub right: &'static str,
    /// The bug.
    pub planted: fn(&Heap) -> Result<usize, Oom>,
    /// The near miss.
    pub near_miss: fn(&Heap) -> Result<usize, Oom>,
}

/// Every pair: first what an order of threads shows, then what needs a failed request, too.
pub const PAIRS: [Pair; 6] =
    [count::PAIR, publication::PAIR, lock_order::PAIR, leak::PAIR, window::PAIR, cleanup::PAIR];

/// The bugs and their near misses, as the command line has them: the group `racy`.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let scenario = |name: String, about, run: fn(&Heap) -> Result<usize, Oom>| {
        Scenario::threads(name, about, move |explore| explore.oom(|_: &Oom| true).run(run))
            .group("racy")
    };
    let both = |pair: &Pair| {
        [
            scenario(pair.name.to_owned(), pair.wrong, pair.planted),
            scenario(pair.near_miss_name(), pair.right, pair.near_miss),
        ]
    };
    PAIRS.iter().flat_map(both).collect()
}

impl Pair {
    /// The near miss's name.
    #[must_use]
    pub fn near_miss_name(&self) -> String {
        format!("{}-near-miss", self.name)
    }
}

/// What every block of these systems is.
const BLOCK: Layout = Layout::new::<[u64; 4]>();

/// A block of the heap that is given back by hand, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block(NonNull<u8>);

// SAFETY: a block is memory that whoever holds this may use, on whichever thread.
#[allow(unsafe_code)]
unsafe impl Send for Block {}
// SAFETY: as above; a shared reference only leads to a copy.
#[allow(unsafe_code)]
unsafe impl Sync for Block {}

impl Block {
    fn new(heap: &Heap) -> Result<Block, Oom> {
        Ok(Block(heap.alloc(BLOCK)?.cast()))
    }

    fn give_back(self, heap: &Heap) {
        // SAFETY: blocks come from this heap with this layout; each is given back by the last one
        // who holds it, but for the planted bugs, which a heap refuses.
        #[allow(unsafe_code)]
        unsafe {
            heap.free(self.0, BLOCK)
        }
    }
}

/// No step of these systems panics, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
