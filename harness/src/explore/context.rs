//! What all searches of an exploration are about.

use crate::schedule::search::STEPS_MAX;
use crate::sweep::measurements::Baseline;
use crate::sweep::point::RunContext;
use crate::sweep::settings::ExploreSettings;

/// What all searches are about.
pub(crate) struct SearchContext<'a> {
    pub(crate) norm: &'a RunContext<'a>,
    pub(crate) scouted: &'a Baseline,
    pub(crate) threads: ExploreSettings,
    /// Schedules of each search at the most.
    pub(crate) limit: u64,
    /// Whether these are drawn from all that there are, and not the first.
    pub(crate) drawn: bool,
    /// Points after which a run is one that never ends.
    pub(crate) steps_max: u64,
}

impl<'a> SearchContext<'a> {
    /// The search that makes no request fail.
    pub(crate) fn of_census(
        norm: &'a RunContext<'a>,
        scouted: &'a Baseline,
        threads: ExploreSettings,
    ) -> SearchContext<'a> {
        let limit = threads.limit();
        SearchContext { norm, scouted, threads, limit, drawn: false, steps_max: STEPS_MAX }
    }
}
