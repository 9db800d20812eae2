//! What all searches of one exploration share: the subject, its baseline, and the limits.

use crate::schedule::fault_focus::ThreadSteps;
use crate::schedule::search::STEPS_MAX;
use crate::sweep::measurements::Baseline;
use crate::sweep::point::RunContext;
use crate::sweep::settings::{ExploreSettings, ScheduleMode};

/// The most schedules of a bounded search, unless the caller sets a number.
const SCHEDULES_MAX: u64 = 200_000;

/// The most schedules of a portfolio beside those of its bounded search: without a fault, and with
/// one.
pub(crate) const OTHERS_MAX: [u64; 2] = [8_000, 200];

/// What all searches of one exploration share.
pub(crate) struct SearchContext<'a> {
    pub(crate) run: &'a RunContext<'a>,
    pub(crate) baseline: &'a Baseline,
    pub(crate) threads: ExploreSettings,
    /// The most schedules of each search.
    pub(crate) limit: u64,
    /// Whether these are a random sample of all schedules, instead of the first ones.
    pub(crate) sampled: bool,
    /// Whether loom begins with fewer preemptions, since not all schedules can be run.
    pub(crate) lower_first: bool,
    /// The most schedules with fewer preemptions that loom runs if it could not run all.
    pub(crate) more: u64,
    /// The most scheduling points of a run. One with more is taken for endless.
    pub(crate) steps_max: u64,
    /// The steps of each thread in the default schedule without a fault.
    pub(crate) default_run: &'a [ThreadSteps],
}

impl<'a> SearchContext<'a> {
    /// For the census, in which no request fails.
    pub(crate) fn for_census(
        run: &'a RunContext<'a>,
        baseline: &'a Baseline,
        threads: ExploreSettings,
    ) -> SearchContext<'a> {
        let limit = schedules_max(&threads);
        SearchContext {
            run,
            baseline,
            threads,
            limit,
            sampled: false,
            lower_first: false,
            more: limit,
            steps_max: STEPS_MAX,
            default_run: &[],
        }
    }
}

/// The most schedules of each search.
pub(crate) fn schedules_max(threads: &ExploreSettings) -> u64 {
    let is_bounded = matches!(threads.mode, ScheduleMode::Bounded | ScheduleMode::Portfolio);
    threads.schedules.unwrap_or(if is_bounded { SCHEDULES_MAX } else { u64::MAX })
}
