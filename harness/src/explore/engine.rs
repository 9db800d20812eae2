//! Faults × schedules: runs every failing request in every schedule within a bound.
//!
//! 1. The baseline of a sweep, in the default schedule.
//! 2. The *census*: all schedules without a fault. It shows which requests each thread makes in any of
//!    them, which results there are, and what is wrong without any fault.
//! 3. Each point of the sweep, transient and persistent, in a search of its own. One point with its
//!    search is a work item of the worker processes.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::explore::context::{SearchContext, schedules_max};
use crate::explore::extra_requests::extend_baseline;
use crate::explore::notes::{add_notes, describe_levels, has_one_schedule};
use crate::explore::sampling::{SampleShare, share};
use crate::explore::shrink::shrink_findings;
use crate::explore::work_item::{SearchResult, WorkItem};
use crate::explore::workers::run_items;
use crate::host;
use crate::host::{Engine, Host};
use crate::process::child;
use crate::process::scratch_dir::tidy;
use crate::report::Report;
use crate::report::evidence::Evidence;
use crate::report::format::{count, thousands};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::rt;
use crate::run::Subject;
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::schedule::FoundSchedule;
use crate::schedule::default_order::Bound;
use crate::sweep::baseline::run_baseline;
use crate::sweep::exit_outcome::{observation_at, patience};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::points::{check_names, points};
use crate::sweep::settings::{ExploreSettings, Progress, ScheduleMode, Settings};
use crate::sweep::suppressions::finish_report;

/// The most runs of all searches together, unless the caller sets a limit. Above it, a sample is run.
const RUNS_MAX: u64 = 4_000_000;

/// The engine that the caller chose, or the only one in this build.
fn choose_engine(threads: &ExploreSettings) -> Result<Engine, Error> {
    let available: Vec<Engine> =
        Engine::ALL.into_iter().filter(|engine| engine.is_available()).collect();
    match (threads.engine, available.as_slice()) {
        (Some(engine), _) if engine.is_available() => Ok(engine),
        (Some(engine), _) => Err(engine.missing()),
        (None, [engine]) => Ok(*engine),
        (None, []) => Err(Engine::Shuttle.missing()),
        (None, _) => Err(Error::new("this build has both shuttle and loom, and none is chosen")
            .help("call Explore::shuttle() or Explore::loom()")),
    }
}

/// Prepares the settings for runs under a host.
///
/// # Errors
/// If this build has no such engine, or the settings contradict an exploration.
pub(crate) fn prepare(settings: &mut Settings) -> Result<(), Error> {
    let Some(threads) = settings.threads else { return Ok(()) };
    match choose_engine(&threads)? {
        Engine::Shuttle => settings.host = Some(host::shuttle()?),
        Engine::Loom => {
            refuse_for_loom(&threads, &settings.daemons)?;
            settings.host = Some(host::loom()?);
        }
    }
    if settings.global.is_some() || settings.options.parallel {
        return Err(Error::new(
            "an exploration needs a heap of its own, which is not Options::parallel",
        )
        .help("leave the global heap and Options::parallel to a sweep"));
    }
    rt::set_daemon_names(&settings.daemons);
    if settings.options.budget.is_some()
        && let Some(threads) = &mut settings.threads
    {
        // Which request exceeds a budget depends on the order of all of them.
        threads.search.reduces = false;
    }
    // Loom doesn't see requests, so they become scheduling points only if the caller wants them.
    settings.options = settings.options.clone().driven(threads.points);
    hook_panics();
    // The host's panic hook has to run before ours: under loom every run ends a stack by a panic.
    host::prepare_process();
    if settings.options.unwinding {
        learn_machinery();
    }
    tidy(child::is_alive);
    Ok(())
}

/// Refuses what loom does not do.
fn refuse_for_loom(threads: &ExploreSettings, daemons: &[String]) -> Result<(), Error> {
    let is_bounded = is_bounded(threads) && !matches!(threads.bound, Bound::Delays(_));
    let refusals = [
        (
            !is_bounded,
            "loom explores only all schedules within a bound of preemptions",
            "use shuttle for delays, random schedules and PCT",
        ),
        (threads.search.cancels > 0, "loom drops no futures", "use shuttle for cancellations"),
        (
            threads.asks_wakes && threads.search.wakes > 0,
            "loom lets no wait end early",
            "use shuttle for early wake-ups, or leave out `wakeups`",
        ),
        (
            !threads.search.reduces,
            "loom always leaves out schedules that differ only in the order of operations that commute",
            "use shuttle for every order, or leave out `every_order`",
        ),
        (
            !daemons.is_empty(),
            "loom ends a run only when all its threads have ended",
            "use shuttle for daemons, or let the thread end",
        ),
    ];
    match refusals.into_iter().find(|(is_asked, ..)| *is_asked) {
        Some((_, what, help)) => Err(Error::new(what).help(help)),
        None => Ok(()),
    }
}

/// Whether all schedules within a bound are run.
fn is_bounded(threads: &ExploreSettings) -> bool {
    matches!(threads.mode, ScheduleMode::Bounded | ScheduleMode::Portfolio)
}

/// Explores a subject.
pub(crate) fn explore(settings: &mut Settings, subject: &dyn Subject) -> Report {
    let mut report = Report::empty(&settings.name, settings.seed);
    let result = prepare(settings).and_then(|()| run_all(settings, subject, &mut report));
    match result {
        Ok(()) => report,
        Err(error) => Report::failed(&settings.name, settings.seed, error),
    }
}

/// Runs the baseline, the census and all faults, and fills the report in.
fn run_all(settings: &Settings, subject: &dyn Subject, report: &mut Report) -> Result<(), Error> {
    let Some(threads) = settings.threads else { return Ok(()) };
    let mut baseline = run_baseline(settings, subject)?;
    // What fails without a fault in the first schedule is found by the census, with its schedule.
    if baseline.fails_for_other_reasons() {
        baseline.check()?;
    }
    report.coverage.complete = true;
    let mut found = baseline.found.clone();
    if !found.is_empty() {
        for found in &mut found {
            found.schedule.get_or_insert_with(FoundSchedule::default);
        }
        let is_weak = settings.host.is_some_and(Host::is_weak);
        if is_weak && baseline.dead_end.is_none() && baseline.error.is_none() {
            // Which stores its loads see is loom's choice, also in its first run.
            let run = RunContext::new(settings, subject, &baseline);
            found = shrink_findings(&run, &baseline, found, false)?;
        }
        return finish_report(settings, &baseline, found, report, false);
    }
    let limit = schedules_max(&threads);
    let show_progress = |done, total| {
        if let Some(progress) = &settings.progress {
            progress(Progress { done, total });
        }
    };
    let census = {
        let run = RunContext::new(settings, subject, &baseline);
        let context = SearchContext::for_census(&run, &baseline, threads);
        let mut on_progress = |schedules| show_progress(schedules, 0);
        let patience = patience(settings, &baseline);
        let mut results = run_items(&context, &[WorkItem::Census], patience, &mut on_progress)?;
        results.pop().unwrap_or_default()
    };
    if census.found.is_empty() {
        baseline.check()?;
    }
    check_names(settings, &baseline, &BTreeMap::new())?;
    report.peak = baseline.peak as u64;
    report.fingerprint = baseline.fingerprint;
    report.coverage.schedules = census.schedules;
    let is_bounded = is_bounded(&threads);
    let is_random = threads.mode != ScheduleMode::Bounded;
    report.coverage.complete = (census.exhausted || !is_bounded) && !census.stopped;
    report.sampled = !is_bounded;
    let (steps, results) = (census.steps, census.texts.len());
    extend_baseline(&mut baseline, &census.extra_requests, &census.texts);
    report.coverage.requests = baseline.requests;
    report.coverage.sites = if baseline.has_sites { baseline.site_count() } else { 0 };
    add_notes(settings, &baseline, threads, &census, results, report);
    if !census.found.is_empty() {
        // What shows without a fault ends the exploration: it would show in faulted runs as well.
        let run = RunContext::new(settings, subject, &baseline);
        let found = shrink_findings(&run, &baseline, census.found, is_random)?;
        return finish_report(settings, &baseline, found, report, false);
    }
    let points = points(&baseline, settings.faults);
    if points.is_empty() {
        return check_choices(settings, &baseline, &census);
    }
    let all = points.len() as u64;
    let product = all.saturating_mul(census.schedules);
    let runs = settings.limit.unwrap_or(RUNS_MAX);
    // If the census was cut off, the number of schedules is unknown.
    let is_asked = threads.schedules.is_some() || !is_bounded;
    let is_known = census.exhausted || is_asked;
    let is_sample = (product > runs || !is_known) && (settings.limit.is_some() || !is_asked);
    let (points, limit) = if is_sample {
        let size = (runs, census.schedules);
        let SampleShare { points, schedules } =
            share(&baseline, settings.faults, settings.seed, size);
        (points, schedules.min(threads.schedules.unwrap_or(u64::MAX)))
    } else {
        (points, limit)
    };
    let weak = settings.host.is_some_and(Host::is_weak);
    let is_drawn = is_sample && is_bounded;
    let sampled = is_drawn && !weak;
    let run = RunContext::new(settings, subject, &baseline);
    let steps_max = steps.saturating_mul(10).saturating_add(1_000);
    let lower_first = !census.exhausted || limit < census.schedules;
    let more = if is_sample { 0 } else { limit };
    let context = SearchContext {
        run: &run,
        baseline: &baseline,
        threads,
        limit,
        sampled,
        lower_first,
        more,
        steps_max,
        default_run: &census.default_run,
    };
    let items: Vec<WorkItem> = points.iter().copied().map(WorkItem::Fault).collect();
    let total = if is_sample { runs.min(product) } else { product };
    let mut on_progress = |runs: u64| show_progress(runs, total.max(runs));
    let patience = patience(settings, &baseline);
    let results = run_items(&context, &items, patience, &mut on_progress)?;
    let left_out = all - points.len() as u64;
    report.coverage.runs_total = left_out.saturating_mul(census.schedules);
    let mut found = Vec::new();
    // Faults whose schedules were cut off, those that ended a worker, and those that loom ended early.
    let (mut cut, mut dead, mut ended, mut stopped) = (0, 0, 0, 0);
    let mut levels = Vec::new();
    for (point, result) in points.iter().zip(results) {
        for (outcome, count) in result.outcomes.iter().enumerate() {
            report.outcomes[outcome] += count;
        }
        let is_cut = !result.died && !result.is_complete(threads.mode);
        stopped += u64::from(result.stopped);
        let expected = if is_cut || result.died { census.schedules } else { 0 };
        report.coverage.runs_total += expected.max(result.schedules);
        // Loom ends its search at a deadlock, and at an error that it reports by a panic.
        ended += u64::from(is_cut && !result.stopped && result.schedules < limit && weak);
        cut += u64::from(is_cut);
        levels.extend((is_cut && !result.stopped).then_some(result.complete_to));
        dead += u64::from(result.died);
        // A request may still occur in schedules that were left out.
        found.extend((!is_cut).then(|| never_reached(*point, &result, &baseline)).flatten());
        found.extend(result.found);
    }
    report.coverage.runs = report.outcomes.iter().sum();
    report.coverage.runs_total = report.coverage.runs_total.max(report.coverage.runs);
    report.coverage.complete &= cut + dead + left_out == 0;
    if report.coverage.complete {
        report.coverage.runs_total = report.coverage.runs;
    }
    if is_sample && cut + left_out > 0 {
        report.sampled |= is_drawn;
        report.limit_asked = is_drawn && settings.limit.is_some() && census.exhausted;
        let more = if is_known {
            format!("--limit {} makes all", report.coverage.runs_total)
        } else {
            "the number of all runs is unknown".to_owned()
        };
        report.notes.push(format!(
            "a sample by seed {}: {} of {}, new call sites first, and at most {} of each; {more}",
            settings.seed,
            thousands(points.len() as u64),
            count(all, "fault"),
            count(limit, "schedule"),
        ));
    } else if stopped > 0 {
        let what = "other schedules of faults that showed something were not run, as was asked";
        report.notes.push(what.to_owned());
    } else if cut > ended {
        let faults = count(all, "fault");
        report.notes.push(format!(
            "the schedules of {} of {faults} were cut off at {}; a larger --schedules makes all",
            thousands(cut - ended),
            thousands(limit)
        ));
    }
    report.notes.extend(describe_levels(&levels));
    if ended > 0 {
        let faults = count(all, "fault");
        let ended = thousands(ended);
        report.notes.push(format!(
            "loom ends its search at a run that gets stuck or panics: this cut off {ended} of {faults}"
        ));
    }
    if dead > 0 {
        report.notes.push(format!(
            "{} of {} ended the process in some schedule, and their other schedules were not run",
            thousands(dead),
            count(points.len() as u64, "fault")
        ));
    }
    let found = shrink_findings(&run, &baseline, found, sampled || is_random)?;
    let complete = report.coverage.complete;
    finish_report(settings, &baseline, found, report, complete)
}

/// Checks that a subject without a point had at least schedules to run.
///
/// # Errors
/// It made no request, nothing in it could be run in another order, and the caller didn't say that this
/// is meant.
fn check_choices(
    settings: &Settings,
    baseline: &Baseline,
    census: &SearchResult,
) -> Result<(), Error> {
    if baseline.requests > 0 || settings.accepts_no_requests || !has_one_schedule(census) {
        return Ok(());
    }
    Err(Error::new("no request reached the heap, and no thread was started").help(
        "start threads by mallory::thread, and make collections on the heap that the closure is given; \
         .allow_no_requests() accepts this",
    ))
}

/// Runs the census for a replay, which is compared with the same results as the exploration was.
pub(crate) fn census_for_replay(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &Baseline,
) -> Result<Option<SearchResult>, Error> {
    let Some(threads) = settings.threads else { return Ok(None) };
    if !baseline.found.is_empty() {
        return Ok(None);
    }
    let run = RunContext::new(settings, subject, baseline);
    let context = SearchContext::for_census(&run, baseline, threads);
    let patience = patience(settings, baseline);
    Ok(run_items(&context, &[WorkItem::Census], patience, &mut |_| {})?.pop())
}

/// The observation that a fault was injected in no schedule. The census reached its request, and a
/// fault can't change what happens before it, so the runs are not deterministic.
fn never_reached(point: Point, result: &SearchResult, baseline: &Baseline) -> Option<Observation> {
    let outcomes = &result.outcomes;
    let unreached = outcomes.get(Outcome::Unreached as usize).copied().unwrap_or(0);
    (unreached > 0 && unreached == outcomes.iter().sum::<u64>()).then(|| {
        let note = "no schedule reached the request that was to fail: runs are not alike";
        observation_at(point, Evidence::new(Kind::Nondeterminism).note(note), baseline)
    })
}
