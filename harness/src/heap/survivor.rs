//! A block that outlives its run, and what a run knows of the global heap that keeps it.

use crate::detect::block::Block;
use crate::heap::Heap;
use crate::options::Options;

/// What runs know of a global heap, whatever it wraps.
pub(crate) trait Global: Sync {
    /// A run's heap over the allocator inside.
    fn heap(&'static self, options: Options) -> Heap;
    /// Lets the calls of the present thread (or of all) go through this heap, until
    /// [`disarm`](Self::disarm).
    fn arm(&self, heap: &Heap, everyone: bool);
    /// From here on requests pass; frees are looked at.
    fn rest(&self);
    fn disarm(&self);
    /// Remembers a block that outlives its run.
    fn keep(&self, block: &Block, outlives: Outlives);
    /// By how many blocks and bytes there are more survivors than the last time it was asked;
    /// those with a finding of their own apart.
    fn more(&self) -> (i64, i64);
    /// Calls since the last time it was asked that belonged to no run.
    fn take_unattributed(&self) -> u64;
}

/// How a block is that outlives its run. As a number, it is the block's heap in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Outlives {
    /// As the allocator inside gave it.
    Plain,
    /// With guards around it.
    Guarded,
    /// From a port of the run's own: nobody is left to take it back.
    ForGood,
}

impl Outlives {
    pub(crate) const ALL: [Outlives; 3] = [Outlives::Plain, Outlives::Guarded, Outlives::ForGood];
}
