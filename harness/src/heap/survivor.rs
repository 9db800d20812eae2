//! Blocks that outlive their run under the global allocator: the interface between the run's heap,
//! which ends with such blocks live, and the global heap, which keeps them.

use crate::detect::block::Block;

/// Keeps the blocks that outlive a run: the global heap, as a run's heap sees it.
pub(crate) trait KeepSurvivors {
    /// Remembers a block that outlives its run.
    fn keep(&self, block: &Block, kind: SurvivorKind);
    /// By how many blocks and bytes the survivors have grown since the last call. Blocks that have
    /// a finding of their own don't count.
    fn growth(&self) -> (i64, i64);
}

/// How a surviving block has to be freed. As a number, it is the block's heap in the table of
/// survivors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum SurvivorKind {
    /// As it is: it came from the allocator inside without guards.
    Plain,
    /// With the guards around it.
    Guarded,
    /// Never: it came from a port that ended with the run.
    ForGood,
}

impl SurvivorKind {
    pub(crate) const ALL: [SurvivorKind; 3] =
        [SurvivorKind::Plain, SurvivorKind::Guarded, SurvivorKind::ForGood];
}
