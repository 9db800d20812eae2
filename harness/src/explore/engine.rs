//! Faults × schedules: every failing request in every schedule of a bound.
//!
//! First the fault-free run of a sweep, by the schedule without deviations. Then the *census*: all
//! schedules without a fault, for what each thread asks for in any of them, for the results that
//! there are, and for what is wrong without any fault. Then each point of the sweep, once and for
//! good, in a search of its own. A point with its search is what workers take off the board.

use crate::error::Error;
use crate::explore::context::SearchContext;
use crate::explore::extra_requests::widen;
use crate::explore::sampling::{SampleShare, share};
use crate::explore::work_item::{SearchResult, WorkItem};
use crate::explore::workers::run_units;
use crate::host;
use crate::host::{Engine, Host};
use crate::process::child;
use crate::process::scratch_dir::tidy;
use crate::report::Report;
use crate::report::format::{count, thousands};
use crate::report::outcome::Outcome;
use crate::run::Subject;
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::schedule::FoundSchedule;
use crate::sweep::baseline::run_baseline;
use crate::sweep::exit_outcome::patience;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::points::{check_names, points};
use crate::sweep::settings::{ExploreSettings, ScheduleMode, Settings};
use crate::sweep::suppressions::finish_report;

/// A search runs so many schedules at the most, unless the caller says how many.
const SCHEDULES_MAX: u64 = 200_000;
/// All searches together make so many runs at the most, unless the caller says otherwise. What is
/// more is sampled.
const RUNS_MAX: u64 = 4_000_000;

/// The host that was asked for, or the only one that there is.
fn choose(threads: &ExploreSettings) -> Result<Engine, Error> {
    let there: Vec<Engine> =
        Engine::ALL.into_iter().filter(|engine| engine.is_available()).collect();
    match (threads.engine, there.as_slice()) {
        (Some(engine), _) if engine.is_available() => Ok(engine),
        (Some(engine), _) => Err(engine.missing()),
        (None, [engine]) => Ok(*engine),
        (None, []) => Err(Engine::Shuttle.missing()),
        (None, _) => Err(Error::new("this build has both shuttle and loom: which one explores?")
            .help("say Explore::shuttle() or Explore::loom()")),
    }
}

/// Readies the settings for runs under a host.
pub(crate) fn settle(settings: &mut Settings) -> Result<(), Error> {
    let Some(threads) = settings.threads else { return Ok(()) };
    match choose(&threads)? {
        Engine::Shuttle => settings.host = Some(host::shuttle()?),
        Engine::Loom if threads.way != ScheduleMode::Bounded => {
            return Err(Error::new("loom has one way: all orders up to a bound of preemptions")
                .help("explore at random, or by priorities, with shuttle"));
        }
        Engine::Loom => settings.host = Some(host::loom()?),
    }
    if settings.global.is_some() || settings.options.parallel {
        return Err(Error::new("exploring takes a heap of its own, for one thread at a time")
            .help("leave the global heap and Options::parallel to a sweep"));
    }
    // Requests are nothing that loom knows of.
    settings.options = settings.options.clone().driven(threads.points);
    hook_panics();
    // Its hook comes before ours: a stack of loom's ends by a panic, in each run.
    host::prepare_process();
    if settings.options.unwinding {
        learn_machinery();
    }
    tidy(child::is_alive);
    Ok(())
}

/// Explores a subject.
pub(crate) fn explore(settings: &mut Settings, subject: &dyn Subject) -> Report {
    let mut report = Report::empty(&settings.name, settings.seed);
    let result = settle(settings).and_then(|()| go(settings, subject, &mut report));
    match result {
        Ok(()) => report,
        Err(error) => Report::failed(&settings.name, settings.seed, error),
    }
}

impl ExploreSettings {
    /// Schedules of each search at the most.
    pub(crate) fn limit(&self) -> u64 {
        let usual = if self.way == ScheduleMode::Bounded { SCHEDULES_MAX } else { u64::MAX };
        self.schedules.unwrap_or(usual)
    }
}

impl ScheduleMode {
    /// Whether a search has made all that it was to make.
    fn is_done(self, did: &SearchResult) -> bool {
        match self {
            ScheduleMode::Bounded => did.exhausted,
            ScheduleMode::Random(schedules) | ScheduleMode::Pct(_, schedules) => {
                did.schedules >= schedules
            }
        }
    }
}

fn go(settings: &Settings, subject: &dyn Subject, report: &mut Report) -> Result<(), Error> {
    let Some(threads) = settings.threads else { return Ok(()) };
    let (mut scouted, early) = match run_baseline(settings, subject)? {
        Ok(scouted) => (scouted, Vec::new()),
        Err(found) => (Baseline::default(), vec![found]),
    };
    scouted.check()?;
    report.coverage.complete = true;
    let mut found: Vec<Observation> = early.into_iter().chain(scouted.found.clone()).collect();
    if !found.is_empty() {
        for found in &mut found {
            found.order.get_or_insert_with(FoundSchedule::default);
        }
        return finish_report(settings, &scouted, found, report, false);
    }
    let limit = threads.limit();
    let tell = |done, total| {
        if let Some(progress) = &settings.progress {
            progress(crate::sweep::settings::Progress { done, total });
        }
    };
    let census = {
        let norm = RunContext::new(settings, subject, &scouted);
        let plot = SearchContext::of_census(&norm, &scouted, threads);
        let mut glance = |schedules| tell(schedules, 0);
        one(run_units(&plot, &[WorkItem::Census], patience(settings, &scouted), &mut glance)?)
    };
    if census.threads <= 1 && census.found.is_empty() && !threads.alone {
        return Err(Error::new("the subject starts no thread that takes turns")
            .help("start threads by mallory::thread::spawn; sweep what has none"));
    }
    check_names(settings, &scouted)?;
    report.peak = scouted.peak as u64;
    report.fingerprint = scouted.fingerprint;
    report.coverage.schedules = census.schedules;
    let is_bounded = threads.way == ScheduleMode::Bounded;
    report.coverage.complete = census.exhausted || !is_bounded;
    report.limit_asked = threads.schedules.or(settings.limit).is_some();
    report.sampled = !is_bounded;
    let (steps, kinds) = (census.steps, census.texts.len());
    widen(&mut scouted, &census.wider, &census.texts);
    report.coverage.requests = scouted.requests;
    report.coverage.sites = if scouted.has_sites { scouted.site_count() } else { 0 };
    notes(settings, &scouted, threads, &census, kinds, report);
    if !census.found.is_empty() {
        // What shows without a fault is reported before any is made.
        let norm = RunContext::new(settings, subject, &scouted);
        let found = crate::explore::shrink::shorten(&norm, &scouted, census.found, !is_bounded)?;
        return finish_report(settings, &scouted, found, report, false);
    }
    let points = points(&scouted, settings.faults);
    if points.is_empty() {
        return Ok(());
    }
    let all = points.len() as u64;
    let product = all.saturating_mul(census.schedules);
    let runs = settings.limit.unwrap_or(RUNS_MAX);
    // Where the schedules without a fault were cut off, nobody knows how many there are.
    let is_asked = threads.schedules.is_some() || !is_bounded;
    let is_known = census.exhausted || is_asked;
    let is_sample = (product > runs || !is_known) && (settings.limit.is_some() || !is_asked);
    let (points, limit) = if is_sample {
        let of = (runs, census.schedules);
        let SampleShare { points, schedules } = share(&scouted, settings.faults, settings.seed, of);
        (points, schedules.min(threads.schedules.unwrap_or(u64::MAX)))
    } else {
        (points, limit)
    };
    let drawn = is_sample && is_bounded && !settings.host.is_some_and(Host::is_weak);
    let norm = RunContext::new(settings, subject, &scouted);
    let steps_max = steps.saturating_mul(10).saturating_add(1_000);
    let plot = SearchContext { norm: &norm, scouted: &scouted, threads, limit, drawn, steps_max };
    let units: Vec<WorkItem> = points.iter().copied().map(WorkItem::Fault).collect();
    let total = if is_sample { runs.min(product) } else { product };
    let mut glance = |runs: u64| tell(runs, total.max(runs));
    let patience = patience(settings, &scouted);
    let did = run_units(&plot, &units, patience, &mut glance)?;
    let left = all - points.len() as u64;
    report.coverage.runs_total = left.saturating_mul(census.schedules);
    let mut found = Vec::new();
    let (mut cut, mut dead, mut ended) = (0, 0, 0);
    for (point, did) in points.iter().zip(did) {
        for (outcome, count) in did.outcomes.iter().enumerate() {
            report.outcomes[outcome] += count;
        }
        let is_cut = !did.died && !threads.way.is_done(&did);
        let there = if is_cut || did.died { census.schedules } else { 0 };
        report.coverage.runs_total += there.max(did.schedules);
        // Loom ends its search at a deadlock, and at what it says by a panic.
        ended += u64::from(is_cut && did.schedules < limit);
        cut += u64::from(is_cut);
        dead += u64::from(did.died);
        // In schedules that were left out it may well come.
        found.extend((!is_cut).then(|| never(*point, &did.outcomes, &scouted)).flatten());
        found.extend(did.found);
    }
    report.coverage.runs = report.outcomes.iter().sum();
    report.coverage.runs_total = report.coverage.runs_total.max(report.coverage.runs);
    report.coverage.complete &= cut + dead + left == 0;
    if report.coverage.complete {
        report.coverage.runs_total = report.coverage.runs;
    }
    if is_sample && cut + left > 0 {
        report.sampled |= drawn;
        let more = if is_known {
            format!("--limit {} makes all", report.coverage.runs_total)
        } else {
            "there are more than anybody has counted".to_owned()
        };
        report.notes.push(format!(
            "a sample by seed {}: {} of {}, new call sites first, and at most {} of each; {more}",
            settings.seed,
            thousands(points.len() as u64),
            count(all, "fault"),
            count(limit, "schedule"),
        ));
    } else if cut > ended {
        let faults = count(all, "fault");
        report.notes.push(format!(
            "the schedules of {} of {faults} were cut off at {}; a larger --schedules makes all",
            thousands(cut - ended),
            thousands(limit)
        ));
    }
    if ended > 0 {
        let faults = count(all, "fault");
        let ended = thousands(ended);
        report.notes.push(format!(
            "loom goes no further once a run gets stuck or panics: so it ended {ended} of {faults}"
        ));
    }
    if dead > 0 {
        report.notes.push(format!(
            "{} of {} ended the process in some schedule, and no more were made of them",
            thousands(dead),
            count(points.len() as u64, "fault")
        ));
    }
    let by_chance = drawn || !is_bounded;
    let found = crate::explore::shrink::shorten(&norm, &scouted, found, by_chance)?;
    let all = report.coverage.complete;
    finish_report(settings, &scouted, found, report, all)
}

/// All schedules without a fault, for what a replayed run is held against.
pub(crate) fn census_for_replay(
    settings: &Settings,
    subject: &dyn Subject,
    scouted: &Baseline,
) -> Result<Option<SearchResult>, Error> {
    let Some(threads) = settings.threads else { return Ok(None) };
    if !scouted.found.is_empty() {
        return Ok(None);
    }
    let norm = RunContext::new(settings, subject, scouted);
    let plot = SearchContext::of_census(&norm, scouted, threads);
    Ok(run_units(&plot, &[WorkItem::Census], patience(settings, scouted), &mut |_| {})?.pop())
}

fn one(mut did: Vec<SearchResult>) -> SearchResult {
    did.pop().unwrap_or_default()
}

/// A request that was made in some schedule without a fault is made with the fault just beyond it.
fn never(point: Point, outcomes: &[u64], scouted: &Baseline) -> Option<Observation> {
    let unreached = outcomes.get(Outcome::Unreached as usize).copied().unwrap_or(0);
    (unreached > 0 && unreached == outcomes.iter().sum::<u64>()).then(|| {
        let note = "the request that was to fail never came in any schedule: runs are not alike";
        let kind = crate::report::kind::Kind::Nondeterminism;
        crate::sweep::exit_outcome::observation_at(
            point,
            crate::report::evidence::Evidence::new(kind).note(note),
            scouted,
        )
    })
}

fn notes(
    settings: &Settings,
    scouted: &Baseline,
    threads: ExploreSettings,
    census: &SearchResult,
    kinds: usize,
    report: &mut Report,
) {
    let mut note = |text: String| report.notes.push(text);
    let schedules = count(census.schedules, "schedule");
    match threads.way {
        ScheduleMode::Bounded if census.exhausted => note(format!(
            "{}, {schedules}: exhaustive to {}",
            count(census.threads, "thread"),
            count(u64::from(threads.preemptions), "preemption")
        )),
        ScheduleMode::Bounded => note(format!(
            "{}, the first {schedules} of those with at most {}",
            count(census.threads, "thread"),
            count(u64::from(threads.preemptions), "preemption")
        )),
        ScheduleMode::Random(_) | ScheduleMode::Pct(..) => {
            note(format!("{}, {schedules} by chance", count(census.threads, "thread")));
        }
    }
    if kinds > 1 {
        note(format!("{kinds} different results without a fault: schedules differ in it"));
    }
    if scouted.lacks_sites() {
        note("sites unavailable: build with debug = 1 to see them".to_owned());
    }
    if !settings.classified {
        note("errors unclassified: every Err counts as out of memory; see Explore::oom".to_owned());
    }
    if settings.in_process {
        note("runs were made in process: an abort would have ended it".to_owned());
    }
}
