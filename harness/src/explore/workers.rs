//! Runs work items in child processes, or in this one, and returns the result of each. If a child dies,
//! its fault is run again in the schedule of its death, to confirm the death.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::explore::context::SearchContext;
use crate::explore::item_run::run_item;
use crate::explore::work_item::{SearchResult, WorkItem};
use crate::host::Host;
use crate::process::child;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::worker_pool::WorkerEvent;
use crate::process::worker_pool::{self, ItemEnd};
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::execute;
use crate::schedule::{FoundSchedule, Preemption};
use crate::sweep::exit_outcome::{describe, kind_of, os_error, outcome_of};
use crate::sweep::isolated_run::run_isolated;
use crate::sweep::observation::Message;
use crate::sweep::observation::Observation;
use crate::sweep::point::RunContext;

/// What a worker does: a warm-up run, then one work item after the other.
fn work(
    context: &SearchContext<'_>,
    items: &[WorkItem],
    shared: &SharedMemory,
    status: &ChildStatus,
    pipe: &Pipe,
) {
    let scratch = ScratchDir::new(child::parent());
    execute(context.run.subject, context.run.settings.job(&scratch));
    worker_pool::take_items(shared, status, |item| {
        let mut on_found = |found: &Observation| {
            pipe.send(&Message::<SearchResult> { item, found: Some(found.clone()), result: None });
        };
        let (result, leaked) = run_item(context, items[item], &scratch, &mut on_found);
        let effort = result.schedules;
        pipe.send(&Message { item, found: None, result: Some(result) });
        ItemEnd { status: 1, effort, leaked }
    });
}

/// The death of a worker while it ran a work item.
struct WorkerDeath {
    /// The index of the work item.
    item: usize,
    death: Death,
    /// The schedule in which the worker died; `None` if it was too long to be recorded.
    schedule: Option<Vec<Preemption>>,
    /// Schedules that were begun, and the runs among them that ended, by outcome.
    schedules: u64,
    outcomes: Vec<u64>,
}

/// Runs all work items, in child processes or in this one, and returns their results in the same
/// order. `on_progress` is called with the number of runs so far.
pub(crate) fn run_items(
    context: &SearchContext<'_>,
    items: &[WorkItem],
    patience: Duration,
    on_progress: &mut dyn FnMut(u64),
) -> Result<Vec<SearchResult>, Error> {
    let settings = context.run.settings;
    let mut results: Vec<Option<SearchResult>> = items.iter().map(|_| None).collect();
    if settings.in_process {
        let scratch = ScratchDir::new(std::process::id());
        for (item, result) in items.iter().zip(&mut results) {
            *result = Some(run_item(context, *item, &scratch, &mut |_| {}).0);
        }
        ScratchDir::remove(std::process::id());
        return collect(context, results);
    }
    let jobs = settings.jobs.min(items.len()).max(1);
    let shared = SharedMemory::new(jobs, items.len()).map_err(|e| os_error("share memory", &e))?;
    let mut early: Vec<Vec<Observation>> = vec![Vec::new(); items.len()];
    let (mut deaths, mut doubtful) = (Vec::new(), Vec::new());
    let work = |status: &ChildStatus, pipe: &Rc<Pipe>| work(context, items, &shared, status, pipe);
    let runs = || {
        let unfinished = (0..jobs).map(|job| shared.status(job).schedules()).sum::<u64>();
        shared.requests().load(Ordering::Relaxed) + unfinished
    };
    let end = worker_pool::run_workers(&shared, patience, &work, |event| match event {
        WorkerEvent::Message(Message { item, found, result }) => {
            early[item].extend(found);
            if result.is_some() {
                results[item] = result;
            }
        }
        WorkerEvent::Death(item, death, had_company) => {
            if results[item].is_some() {
                return;
            }
            if had_company && death == Death::Stall {
                doubtful.push(item);
                return;
            }
            let mut children = (0..jobs).map(|job| shared.status(job));
            let child = children.find(|child| child.current_item() == Some(item));
            let packed = child.and_then(ChildStatus::preemptions);
            let schedule = packed.map(|all| all.into_iter().map(Preemption::unpack).collect());
            let ends = |child: &ChildStatus| {
                child.outcomes.iter().map(|n| n.load(Ordering::Relaxed)).collect()
            };
            let outcomes = child.map_or_else(|| vec![0; Outcome::ALL.len()], ends);
            let schedules = child.map_or(1, ChildStatus::schedules);
            deaths.push(WorkerDeath { item, death, schedule, schedules, outcomes });
        }
        WorkerEvent::FalseStart(_) => {}
        WorkerEvent::Tick => on_progress(runs()),
    });
    if let Some(death) = end.map_err(|error| os_error("start a child", &error))? {
        return Err(Error::new(format!("a worker died before its first point: {death}"))
            .help("the subject does not always do the same without a fault"));
    }
    for death in deaths {
        let item = death.item;
        let early = std::mem::take(&mut early[item]);
        results[item] = Some(confirm_death(context, items[item], death, early, patience)?);
    }
    for item in doubtful {
        // The child may have waited for a lock that another thread of this process held at the fork.
        let mut again = run_items(context, &items[item..=item], patience, &mut |_| {})?;
        results[item] = again.pop();
    }
    collect(context, results)
}

fn collect(
    context: &SearchContext<'_>,
    results: Vec<Option<SearchResult>>,
) -> Result<Vec<SearchResult>, Error> {
    let mut all = Vec::with_capacity(results.len());
    for result in results {
        let result = result.ok_or_else(|| {
            Error::new("a worker's result never reached the parent process")
                .help("check that the subject closes and writes only its own file descriptors")
        })?;
        if result.too_many_threads {
            let most = context.run.settings.host.map_or(0, Host::threads_max);
            return Err(Error::new(format!("the subject starts more than {most} threads"))
                .help("explore it with fewer: two or three show nearly everything"));
        }
        all.push(result);
    }
    Ok(all)
}

/// Repeats the run in which a worker died, in a child process that sends what it sees while it runs.
/// `early` is what the worker sent before it died.
fn confirm_death(
    context: &SearchContext<'_>,
    item: WorkItem,
    worker: WorkerDeath,
    early: Vec<Observation>,
    patience: Duration,
) -> Result<SearchResult, Error> {
    let WorkerDeath { death, schedule: recorded, schedules, mut outcomes, .. } = worker;
    outcomes[outcome_of(death) as usize] += 1;
    let preemptions = recorded.clone().unwrap_or_default();
    let schedule =
        FoundSchedule { preemptions, seen: 1, of: schedules, ..FoundSchedule::default() };
    let observation = |evidence: Vec<Evidence>, fingerprint| Observation {
        point: item.point(),
        evidence,
        fingerprint,
        schedule: Some(schedule.clone()),
        ..Observation::default()
    };
    let mut found = early;
    for found in &mut found {
        found.schedule.iter_mut().for_each(|schedule| schedule.of = schedules);
    }
    match &recorded {
        None => {
            let note = format!("{death}, in a schedule too long to be recorded");
            found.push(observation(vec![Evidence::new(kind_of(death)).note(note)], 0));
        }
        Some(preemptions) => {
            let texts = if item == WorkItem::Census { &[] } else { context.run.texts };
            let run = RunContext { preemptions, texts, ..*context.run };
            let seen = run_isolated(&run, &item.plan(), item.point(), patience)?;
            let record = seen.death.clone().filter(|record| record.death == death);
            let (evidence, stacks) = match record {
                Some(record) => {
                    let described = describe(std::slice::from_ref(&record))?.pop();
                    let described = described.expect("[mallory bug] one death, one description");
                    (described.evidence, described.stacks)
                }
                None => {
                    let note = format!("{death} at first, and not when it was run again");
                    (Evidence::new(Kind::Nondeterminism).note(note), BTreeMap::new())
                }
            };
            let early =
                seen.found().map(|early| Observation { schedule: Some(schedule.clone()), ..early });
            found.extend(early);
            let injected = seen.injected;
            let seen = observation(vec![evidence], seen.fingerprint);
            found.push(Observation { injected, stacks, ..seen });
        }
    }
    Ok(SearchResult { outcomes, schedules, died: true, found, ..SearchResult::default() })
}
