//! The passes that shrink what loom found. Loom chooses its schedules itself, so nothing can be left
//! out of one. Instead the search is repeated: for a request that fails once instead of for good, and
//! with fewer preemptions. The critical pair stays unknown, since loom offers no order to change.

use crate::explore::shrinker::ScheduleShrinker;
use crate::report::format::count;
use crate::schedule::Preemption;
use crate::schedule::default_order::Bound;
use crate::schedule::search::SearchOptions;
use crate::sweep::observation::{Observation, Point};

/// Shrinks a finding of loom's, and returns its smallest observation.
pub(crate) fn shrink_loom(mut shrinker: ScheduleShrinker<'_>) -> Observation {
    let (Some(host), Some((bound, _))) =
        (shrinker.context.settings.host, Preemption::loom_iteration(&shrinker.preemptions))
    else {
        return shrinker.best;
    };
    // Loom has to repeat a search to reach a schedule: `accept` does so twice for each one found.
    shrinker.runs_left /= 3;
    let mut notes = Vec::new();
    if let Some(point) = shrinker.point.filter(|point| point.persistent) {
        let once = Some(Point { persistent: false, ..point });
        let search =
            host.bounded(Bound::Preemptions(bound), SearchOptions::DEFAULT, shrinker.runs_left);
        if let (Some(preemptions), _) = shrinker.find_schedule(host, once, search)
            && shrinker.accept(once, &preemptions)
        {
            notes.push("once is enough, it need not fail for good".to_owned());
        }
    }
    let (mut enough, mut is_needed) = (bound, bound == 0);
    for fewer in 0..bound {
        let search =
            host.bounded(Bound::Preemptions(fewer), SearchOptions::DEFAULT, shrinker.runs_left);
        let (found, is_exhausted) = shrinker.find_schedule(host, shrinker.point, search);
        if let Some(preemptions) = found {
            if shrinker.runs_left > 0 && shrinker.accept(shrinker.point, &preemptions) {
                enough = fewer;
            }
            break;
        }
        is_needed = is_exhausted;
    }
    let preemptions = count(u64::from(enough), "preemption");
    match enough {
        0 => notes.push("needs no preemption".to_owned()),
        _ if is_needed => notes.push(format!("needs {preemptions}: with fewer, it is not seen")),
        _ if enough < bound => notes.push(format!("{preemptions} are enough")),
        _ => {}
    }
    if let Some(schedule) = &mut shrinker.best.schedule {
        schedule.preemptions = shrinker.preemptions;
        schedule.notes = notes;
    }
    shrinker.best
}
