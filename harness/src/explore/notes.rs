//! What a report says about an exploration itself: how far its searches went, and what was left out.

use crate::explore::work_item::SearchResult;
use crate::host::Host;
use crate::report::Report;
use crate::report::format::{count, thousands};
use crate::schedule::default_order::Bound;
use crate::sweep::measurements::Baseline;
use crate::sweep::settings::{ExploreSettings, ScheduleMode, Settings};

/// Under loom: the sentence on the level to which each of the faults was run that were cut off.
pub(crate) fn describe_levels(levels: &[Option<u32>]) -> Option<String> {
    let least = levels.iter().min().copied().flatten()?;
    let preemptions = count(u64::from(least), "preemption");
    Some(format!("each of these faults was run in all schedules to {preemptions}"))
}

/// How far the schedules without a fault were run.
fn describe_census(settings: &Settings, threads: ExploreSettings, census: &SearchResult) -> String {
    let threads_seen = count(census.threads, "thread");
    let all = format!("{threads_seen}, {}", count(census.schedules, "schedule"));
    if census.stopped {
        return format!("{all}: ended with the first finding");
    }
    let bound = match threads.bound {
        Bound::NONE => "to no bound".to_owned(),
        Bound::Preemptions(bound) => format!("to {}", count(u64::from(bound), "preemption")),
        Bound::Delays(bound) => format!("to {}", count(u64::from(bound), "delay")),
    };
    let is_weak = settings.host.is_some_and(Host::is_weak);
    let parts = || {
        let others = census.parts.iter().skip(1).filter(|part| part.1 > 0);
        others.map(|(name, made)| format!(", {} by {name}", thousands(*made))).collect::<String>()
    };
    match threads.mode {
        ScheduleMode::Random(_) | ScheduleMode::Pct(..) => format!("{all} at random"),
        _ if !census.exhausted => match census.parts.first() {
            Some((_, made)) => {
                format!("{all}: the first {} of those {bound}{}", thousands(*made), parts())
            }
            None => match census.complete_to {
                Some(level) => {
                    let level = count(u64::from(level), "preemption");
                    format!("{all}: all of those to {level}, and a part of those {bound}")
                }
                None => format!(
                    "{threads_seen}, the first {} of those {bound}",
                    count(census.schedules, "schedule")
                ),
            },
        },
        _ if !census.exceeds && !is_weak => format!("{all}: exhaustive, there is no other"),
        _ => {
            let wakes = match threads.search.wakes {
                _ if is_weak => String::new(),
                wakes => format!(" and {}", count(u64::from(wakes), "early wake-up")),
            };
            match census.parts.first() {
                Some((_, made)) => {
                    format!("{all}: {} exhaustive {bound}{wakes}{}", thousands(*made), parts())
                }
                None => format!("{all}: exhaustive {bound}{wakes}"),
            }
        }
    }
}

/// Whether there is nothing that could be run in another order.
pub(crate) fn has_one_schedule(census: &SearchResult) -> bool {
    // One thread may still have choices of its own: futures to drop, branches of a `select!`.
    let has_choices = census.exhausted && census.schedules > 1;
    census.threads <= 1 && !has_choices
}

/// Adds what the census shows, and what the settings make of it.
pub(crate) fn add_notes(
    settings: &Settings,
    baseline: &Baseline,
    threads: ExploreSettings,
    census: &SearchResult,
    results: usize,
    report: &mut Report,
) {
    let mut note = |text: String| report.notes.push(text);
    note(describe_census(settings, threads, census));
    if has_one_schedule(census) {
        note("it starts no thread of mallory::thread: there is one schedule; see Sweep".to_owned());
    }
    if results > 1 {
        note(format!("{results} different results without a fault, depending on the schedule"));
    }
    if baseline.lacks_sites() {
        note(settings.lacks_sites());
    }
    if !settings.classified {
        note("errors unclassified: every Err counts as out of memory; see Explore::oom".to_owned());
    }
    if settings.in_process {
        note("runs were made in process: an abort would have ended it".to_owned());
    }
}
