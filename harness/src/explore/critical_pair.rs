//! The critical pair of a finding: two operations of different threads such that the finding shows
//! if the first one happens before the second.

use std::collections::BTreeMap;

use crate::explore::operation_log::OperationLog;
use crate::explore::shrinker::ScheduleShrinker;
use crate::process::backtrace::{Capture, Stack};
use crate::report::evidence::Moment;
use crate::schedule::{Preemption, ScheduledOp};

/// The most runs for finding the critical pair.
const RUNS_MAX: u64 = 2_000;

/// Two operations in the order in which they have to happen, and the backtraces of both.
pub(crate) type CriticalPair = (Vec<ScheduledOp>, BTreeMap<Moment, Stack>);

/// The critical pair by the last preemption of a shrunk schedule: what the other thread has to have
/// done, and what the preempted thread must not have done before.
pub(crate) fn critical_pair(shrinker: &mut ScheduleShrinker<'_>) -> Option<CriticalPair> {
    let schedule = shrinker.preemptions.clone();
    let log = operations(shrinker, &schedule)?;
    let last = (0..schedule.len()).rev().find(|nth| log.is_preemption(schedule[*nth]))?;
    shrinker.runs_left = RUNS_MAX;
    let (before, after) = (schedule[..last].to_vec(), schedule[last + 1..].to_vec());
    let with = |preemption: Preemption| [&before[..], &[preemption], &after].concat();
    // The latest point at which the thread may still be preempted.
    let mut latest = schedule[last];
    loop {
        let later = Preemption { point: latest.point + 1, ..latest };
        let candidate = with(later);
        match shrinker.probe(shrinker.point, &candidate) {
            Some((_, made)) if made == candidate => latest = later,
            _ => break,
        }
    }
    // The earliest point of the other thread at which the preempted one may continue.
    let log = operations(shrinker, &with(latest))?;
    let first = log.first_point_after(latest)?;
    let mut done = None;
    for point in first + 1.. {
        let back = Preemption { thread: latest.to, point, to: latest.thread };
        let candidate = [&before[..], &[latest, back]].concat();
        if shrinker.probe(shrinker.point, &candidate).is_some() {
            done = Some(point - 1);
            break;
        }
        if shrinker.runs_left == 0 || !log.reaches(latest.to, point) {
            break;
        }
    }
    // If there is none, the other thread has to do all it does until it blocks or ends.
    let done = done.or_else(|| log.last_point_after(latest))?;
    let first = log.operation(latest.to, done)?;
    let second = log.operation(latest.thread, latest.point)?;
    let moments = [first.step, second.step].map(Moment::Step).into_iter().collect();
    let run = shrinker.run(&with(latest), |job| job.capture = Some(Capture::of(moments)));
    Some((vec![first, second], run.taken))
}

/// All operations of the threads in a schedule.
fn operations(shrinker: &ScheduleShrinker<'_>, schedule: &[Preemption]) -> Option<OperationLog> {
    let run = shrinker.run(schedule, |job| job.record_operations = true);
    OperationLog::new(run.operations)
}
