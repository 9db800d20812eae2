//! What a search over schedules may do beside switching threads.

/// How threads' waits are modelled in a search, and what is left out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SearchOptions {
    /// The most waits of a run that end early: spuriously, or since time passes while others could
    /// go on.
    pub(crate) wakes: u32,
    /// The most futures of tasks that are dropped at an await.
    pub(crate) cancels: u32,
    /// Whether schedules are left out that differ from others only in the order of steps that
    /// commute.
    pub(crate) reduces: bool,
    /// Whether the schedules near to what a fault changes come first.
    pub(crate) guided: bool,
}

impl SearchOptions {
    /// One early wake-up, with the reduction, and near ones first.
    pub(crate) const DEFAULT: SearchOptions =
        SearchOptions { wakes: 1, cancels: 0, reduces: true, guided: true };

    /// Everything that a schedule may do, for one that is given.
    pub(crate) const UNLIMITED: SearchOptions =
        SearchOptions { wakes: u32::MAX, cancels: u32::MAX, reduces: false, guided: false };
}
