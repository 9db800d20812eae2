//! The passes that shrink what loom found. Loom chooses its schedules itself, so nothing can be left
//! out of one. Instead the search is repeated: for a request that fails once instead of for good, and
//! with fewer preemptions. Then the critical pair is looked for in neighbouring runs.

use crate::explore::loom_pair::loom_pair;
use crate::explore::shrinker::ScheduleShrinker;
use crate::report::format::count;
use crate::schedule::Preemption;
use crate::schedule::default_order::Bound;
use crate::schedule::search::SearchOptions;
use crate::sweep::observation::{Observation, Point};

/// Shrinks a finding of loom's, and returns its smallest observation.
pub(crate) fn shrink_loom(mut shrinker: ScheduleShrinker<'_>) -> Observation {
    let Some(host) = shrinker.context.settings.host else { return shrinker.best };
    let Some((bound, _)) = Preemption::loom_iteration(&shrinker.preemptions) else {
        // The default schedule: nothing can be left out of it.
        return with_pair(shrinker);
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
        schedule.preemptions.clone_from(&shrinker.preemptions);
        schedule.notes = notes;
    }
    with_pair(shrinker)
}

/// The smallest observation, with its critical pair.
fn with_pair(mut shrinker: ScheduleShrinker<'_>) -> Observation {
    let pair = loom_pair(&shrinker);
    if let (Some(schedule), Some((pair, stacks))) = (&mut shrinker.best.schedule, pair) {
        schedule.pair = pair;
        shrinker.best.stacks.extend(stacks);
    }
    shrinker.best
}
