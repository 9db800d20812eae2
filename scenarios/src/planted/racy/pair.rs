//! What a planted bug of several threads is, beside its near miss.

use mallory::{Heap, Kind};

use crate::planted::pair::Oom;

/// Which model checker sees a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenBy {
    /// The bounded search over shuttle's schedules: the order of threads is enough.
    Shuttle,
    /// Loom only: the threads have to see memory in different orders, and shuttle's atomics are
    /// sequentially consistent.
    Loom,
}

/// A planted bug and its near miss.
#[derive(Clone, Copy, Debug)]
pub struct RacyPair {
    /// The bug's name; the near miss's has `-near-miss` behind it.
    pub name: &'static str,
    /// What it has to be reported as.
    pub kind: Kind,
    /// The model checker that finds it.
    pub seen_by: SeenBy,
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

impl RacyPair {
    /// The near miss's name.
    #[must_use]
    pub fn near_miss_name(&self) -> String {
        format!("{}-near-miss", self.name)
    }
}
