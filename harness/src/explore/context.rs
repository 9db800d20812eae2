//! What all searches of an exploration are about.

use crate::schedule::search::STEPS_MAX;
use crate::sweep::measurements::Scouted;
use crate::sweep::point::Norm;
use crate::sweep::settings::Threads;

/// What all searches are about.
pub(crate) struct Plot<'a> {
    pub(crate) norm: &'a Norm<'a>,
    pub(crate) scouted: &'a Scouted,
    pub(crate) threads: Threads,
    /// Schedules of each search at the most.
    pub(crate) limit: u64,
    /// Whether these are drawn from all that there are, and not the first.
    pub(crate) drawn: bool,
    /// Points after which a run is one that never ends.
    pub(crate) steps_max: u64,
}

impl<'a> Plot<'a> {
    /// The search that makes no request fail.
    pub(crate) fn of_census(
        norm: &'a Norm<'a>,
        scouted: &'a Scouted,
        threads: Threads,
    ) -> Plot<'a> {
        let limit = threads.limit();
        Plot { norm, scouted, threads, limit, drawn: false, steps_max: STEPS_MAX }
    }
}
