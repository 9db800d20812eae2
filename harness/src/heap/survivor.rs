//! A block that outlives its run under the global allocator, and who keeps it.

use crate::detect::block::Block;

/// Where the blocks are kept that outlive a run: the global heap, as a run's heap sees it.
pub(crate) trait KeepSurvivors {
    /// Remembers a block that outlives its run.
    fn keep(&self, block: &Block, outlives: SurvivorKind);
    /// By how many blocks and bytes the survivors have grown since this was last called. Blocks that
    /// have a finding of their own don't count.
    fn growth(&self) -> (i64, i64);
}

/// How a block is that outlives its run. As a number, it is the block's heap in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum SurvivorKind {
    /// As the allocator inside gave it.
    Plain,
    /// With guards around it.
    Guarded,
    /// From a port of the run's own: nobody is left to take it back.
    ForGood,
}

impl SurvivorKind {
    pub(crate) const ALL: [SurvivorKind; 3] =
        [SurvivorKind::Plain, SurvivorKind::Guarded, SurvivorKind::ForGood];
}
