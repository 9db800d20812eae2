//! Units in worker children, or in process: what came of each, and how it is told if a child dies.

use crate::process::worker_pool;
use crate::process::worker_pool::ItemEnd;
use crate::sweep::observation::Message;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::explore::context::SearchContext;
use crate::explore::work_item::{SearchResult, WorkItem, run_unit};
use crate::host::Host;
use crate::process::child;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::worker_pool::WorkerEvent;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::execute;
use crate::schedule::{FoundSchedule, Preemption};
use crate::sweep::exit_outcome::{kind_of, notes as notes_of, os_error, outcome_of};
use crate::sweep::isolated_run::run_isolated;
use crate::sweep::observation::Observation;
use crate::sweep::point::RunContext;

/// What a worker does: a warm-up run, then one search after the other.
fn work(
    plot: &SearchContext<'_>,
    units: &[WorkItem],
    board: &SharedMemory,
    life: &ChildStatus,
    pipe: &Pipe,
) {
    let scratch = ScratchDir::new(child::parent());
    execute(plot.norm.subject, plot.norm.settings.job(&scratch));
    worker_pool::take_items(board, life, |item| {
        let mut tell = |found: &Observation| {
            pipe.send(&Message::<SearchResult> { item, found: Some(found.clone()), result: None });
        };
        let (result, leaked) = run_unit(plot, units[item], &scratch, &mut tell);
        let effort = result.schedules;
        pipe.send(&Message { item, found: None, result: Some(result) });
        ItemEnd { status: 1, effort, leaked }
    });
}

/// Where a worker died: at which unit, of what, and in which schedule.
struct Died {
    unit: usize,
    death: Death,
    turns: Option<Vec<Preemption>>,
    schedules: u64,
    outcomes: Vec<u64>,
}

/// Runs all units, in children or in process. `glance` hears of the runs made so far.
pub(crate) fn run_units(
    plot: &SearchContext<'_>,
    units: &[WorkItem],
    patience: Duration,
    glance: &mut dyn FnMut(u64),
) -> Result<Vec<SearchResult>, Error> {
    let settings = plot.norm.settings;
    let mut did: Vec<Option<SearchResult>> = units.iter().map(|_| None).collect();
    if settings.in_process {
        let scratch = ScratchDir::new(std::process::id());
        for (unit, did) in units.iter().zip(&mut did) {
            *did = Some(run_unit(plot, *unit, &scratch, &mut |_| {}).0);
        }
        ScratchDir::remove(std::process::id(), std::process::id());
        return finish(plot, units, did);
    }
    let jobs = settings.jobs.min(units.len()).max(1);
    let board = SharedMemory::new(jobs, units.len()).map_err(|e| os_error("share memory", &e))?;
    let mut early: Vec<Vec<Observation>> = vec![Vec::new(); units.len()];
    let (mut died, mut doubtful) = (Vec::new(), Vec::new());
    let work = |life: &ChildStatus, pipe: &Rc<Pipe>| work(plot, units, &board, life, pipe);
    let runs = || {
        let going = (0..jobs).map(|job| board.status(job).schedules()).sum::<u64>();
        board.requests().load(Ordering::Relaxed) + going
    };
    let end = worker_pool::run_workers(&board, patience, &work, |news| match news {
        WorkerEvent::Message(Message { item, found, result }) => {
            early[item].extend(found);
            if result.is_some() {
                did[item] = result;
            }
        }
        WorkerEvent::Death(unit, death, had_company) => {
            if did[unit].is_some() {
                return;
            }
            if had_company && death == Death::Stall {
                doubtful.push(unit);
                return;
            }
            let lives = (0..jobs).map(|job| board.status(job));
            let life = lives.into_iter().find(|life| life.current_item() == Some(unit));
            let turns = life.and_then(ChildStatus::preemptions);
            let turns = turns.map(|turns| turns.into_iter().map(Preemption::unpack).collect());
            let ends = |life: &ChildStatus| {
                life.outcomes.iter().map(|e| e.load(Ordering::Relaxed)).collect()
            };
            let outcomes = life.map_or_else(|| vec![0; Outcome::ALL.len()], ends);
            let schedules = life.map_or(1, ChildStatus::schedules);
            died.push(Died { unit, death, turns, schedules, outcomes });
        }
        WorkerEvent::FalseStart(_) => {}
        WorkerEvent::Tick => glance(runs()),
    });
    if let Some(death) = end.map_err(|error| os_error("start a child", &error))? {
        return Err(Error::new(format!("a worker died before its first point: {death}"))
            .help("the subject does not always do the same without a fault"));
    }
    for death in died {
        let unit = death.unit;
        let early = std::mem::take(&mut early[unit]);
        did[unit] = Some(confirm(plot, units[unit], death, early, patience)?);
    }
    for unit in doubtful {
        // It may have waited for what another thread of this process held at the fork.
        let mut again = run_units(plot, &units[unit..=unit], patience, &mut |_| {})?;
        did[unit] = again.pop();
    }
    finish(plot, units, did)
}

fn finish(
    plot: &SearchContext<'_>,
    units: &[WorkItem],
    did: Vec<Option<SearchResult>>,
) -> Result<Vec<SearchResult>, Error> {
    let mut all = Vec::with_capacity(units.len());
    for did in did {
        let did = did.ok_or_else(|| {
            Error::new("what came of a fault got lost on its way")
                .help("does the subject close or write to descriptors that are not its own?")
        })?;
        if did.crowd {
            let most = plot.norm.settings.host.map_or(0, Host::threads_max);
            return Err(Error::new(format!("the subject starts more than {most} threads"))
                .help("explore it with fewer: two or three show nearly everything"));
        }
        all.push(did);
    }
    Ok(all)
}

/// A death is tried again, with its fault and in its schedule, by a child that tells what it sees as
/// it goes.
fn confirm(
    plot: &SearchContext<'_>,
    unit: WorkItem,
    died: Died,
    early: Vec<Observation>,
    patience: Duration,
) -> Result<SearchResult, Error> {
    let Died { death, turns, schedules, mut outcomes, .. } = died;
    outcomes[outcome_of(death) as usize] += 1;
    let turned = turns.clone().unwrap_or_default();
    let order =
        FoundSchedule { preemptions: turned, seen: 1, of: schedules, ..FoundSchedule::default() };
    let bare = |evidence: Vec<Evidence>, fingerprint| Observation {
        point: unit.point(),
        evidence,
        fingerprint,
        order: Some(order.clone()),
        ..Observation::default()
    };
    let mut found = early;
    for found in &mut found {
        found.order.iter_mut().for_each(|order| order.of = schedules);
    }
    match &turns {
        None => {
            let note = format!("{death}, in a schedule too long to be told");
            found.push(bare(vec![Evidence::new(kind_of(death)).note(note)], 0));
        }
        Some(turns) => {
            let texts = if unit == WorkItem::Census { &[] } else { plot.norm.texts };
            let norm = RunContext { turns, texts, ..*plot.norm };
            let seen = run_isolated(&norm, &unit.plan(), unit.point(), patience)?;
            let evidence = if seen.death == Some(death) {
                let note = notes_of(&[(death, seen.stack.clone())])?.concat();
                Evidence::new(kind_of(death)).note(note)
            } else {
                let note = format!("{death} at first, and not when it was run again");
                Evidence::new(Kind::Nondeterminism).note(note)
            };
            let early =
                seen.found().map(|early| Observation { order: Some(order.clone()), ..early });
            found.extend(early);
            let injected = seen.injected;
            found.push(Observation { injected, ..bare(vec![evidence], seen.fingerprint) });
        }
    }
    Ok(SearchResult { outcomes, schedules, died: true, found, ..SearchResult::default() })
}
