//! The loop of a sweep: fault-free runs, then every request in turn, then the report. The requests
//! are counted first, so the end of the loop does not depend on what the subject returns.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::process::child;
use crate::process::scratch_dir::tidy;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::report::format::{count, thousands};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::Subject;
use crate::run::outcome::{ResultComparison, exit_status};
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::sweep::baseline::{compare_results, run_baseline};
use crate::sweep::chosen_sites::choose;
use crate::sweep::first_use::{self, FirstUse};
use crate::sweep::measurements::Baseline;
use crate::sweep::novel_points::novel_points;
use crate::sweep::observation::Observation;
use crate::sweep::point::RunContext;
use crate::sweep::points::{check_names, points, points_in_all};
use crate::sweep::settings::Settings;
use crate::sweep::suppressions::finish_report;
use crate::sweep::whole_program::{differs_later, forget_results, not_compared};
use crate::sweep::workers::{LOST, SweepResults, judge_points};
use crate::sweep::{leak_trend, stray_accesses, vacuity};

/// The most requests, over all runs of a sweep, up to which every run is made.
const REQUESTS_WHOLE: u64 = 400_000_000;
/// Beyond that, and if the caller sets no limit, runs are made up to this many requests in all, new
/// call sites first.
const REQUESTS_SAMPLE: u64 = 50_000_000;
/// A program with at most this many is swept whole, unless the user chooses otherwise.
const RUNS_FEW: u64 = 2_000;
/// A sweep that is cut short makes at least this many runs.
const RUNS_MIN: u64 = 100;

/// Sweeps a subject.
pub(crate) fn sweep(settings: &Settings, subject: &dyn Subject) -> Report {
    hook_panics();
    if settings.options.unwinding {
        learn_machinery();
    }
    tidy(child::is_alive);
    let first_use = match first_use::sweep_first_uses(settings, subject) {
        Ok(first_use) => first_use,
        Err(error) => return Report::failed(&settings.name, settings.seed, error),
    };
    let mut report = Report::empty(&settings.name, settings.seed);
    let mut attempt = || {
        report = Report::empty(&settings.name, settings.seed);
        report.sampled = settings.options.parallel;
        let mut baseline = run_baseline(settings, subject)?;
        sweep_points(settings, subject, &mut baseline, &first_use, &mut report)
    };
    // On guarded memory nothing is astray, and runs go apart at most once more.
    let result = loop {
        match attempt() {
            Ok(SweepEnd::Doubtful) => settings.run_apart(subject),
            Ok(SweepEnd::Astray) => {
                // Damage may have been the reason why runs differ.
                settings.apart.set(false);
                settings.sheltered.set(true);
            }
            Ok(SweepEnd::Done) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    match result {
        Ok(()) => report,
        Err(error) => Report::failed(&settings.name, settings.seed, error),
    }
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SweepEnd {
    /// The report is complete.
    Done,
    /// Runs may have learned from each other, so they are made again, each in a process of its own.
    Doubtful,
    /// Runs write where they may not, so they are made again on guarded memory.
    Astray,
}

/// Whether what the faulted runs show may come from runs that differ without any fault.
///
/// # Errors
/// If no child can be started.
fn is_doubtful(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &Baseline,
    found: &[Observation],
) -> Result<bool, Error> {
    let is_possible = settings.may_run_apart() && baseline.is_harmless();
    if !is_possible || !baseline.is_in_order(settings) {
        return Ok(false);
    }
    let shows = |kind| {
        let mut all = found.iter().filter(|found| found.point.is_some());
        all.any(|found| found.evidence.iter().any(|evidence| evidence.kind == kind))
    };
    let is_lost = |found: &Observation| {
        found.evidence.iter().any(|evidence| evidence.notes.iter().any(|note| note == LOST))
    };
    if found.iter().any(is_lost) {
        return Ok(false);
    }
    if shows(Kind::Nondeterminism) {
        return Ok(true);
    }
    if !shows(Kind::SilentWrong) && !shows(Kind::NotRecovered) {
        return Ok(false);
    }
    let comparison = compare_results(settings, subject, baseline)?;
    settings.know_results(comparison);
    Ok(comparison > baseline.comparison)
}

fn sweep_points(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &mut Baseline,
    first_use: &FirstUse,
    report: &mut Report,
) -> Result<SweepEnd, Error> {
    baseline.check()?;
    vacuity::check(settings, baseline, !first_use.is_empty())?;
    if settings.is_program && baseline.dead_end.is_none() && !settings.only_check {
        report.notes.extend(choose(&settings.chosen, baseline)?);
    }
    let baseline = &*baseline;
    if baseline.dead_end.is_none() {
        check_names(settings, baseline, &first_use.sites)?;
    }
    report.partial = !settings.unwatched.is_empty();
    report.differs = settings.is_program && baseline.comparison == ResultComparison::Never;
    report.sampled |= baseline.subject_threads() > 1;
    report.peak = if baseline.is_in_order(settings) { baseline.peak as u64 } else { 0 };
    report.metrics.clone_from(&baseline.metrics);
    report.fingerprint = baseline.fingerprint;
    report.coverage.requests = baseline.subject_requests();
    report.coverage.sites = if baseline.has_sites { baseline.site_count() } else { 0 };
    notes(settings, baseline, report);
    if let Some(why) = &baseline.dead_end {
        report.notes.push(no_faulted_run(why));
        finish_report(settings, baseline, baseline.found.clone(), report, false)?;
        return Ok(SweepEnd::Done);
    }
    if settings.only_check {
        report.notes.push(nothing_failed(settings.is_program));
        report.coverage.complete = true;
        finish_report(settings, baseline, baseline.found.clone(), report, true)?;
        return Ok(SweepEnd::Done);
    }
    let all = points_in_all(baseline, settings.faults);
    let per_stack = settings.per_stack.filter(|_| settings.asks_per_stack || all > RUNS_FEW);
    let mut points = match settings.is_program {
        true => novel_points(baseline, settings.faults, per_stack.unwrap_or(u64::MAX)),
        false => points(baseline, settings.faults),
    };
    let requests = baseline.requests.max(1);
    let is_whole = (points.len() as u64).saturating_mul(requests) <= REQUESTS_WHOLE;
    let default_limit =
        if is_whole { u64::MAX } else { (REQUESTS_SAMPLE / requests).max(RUNS_MIN) };
    let limit = settings.limit.unwrap_or(default_limit).saturating_sub(first_use.runs());
    report.coverage.runs_total = all;
    let is_narrow = settings.chosen.is_narrow();
    report.coverage.complete = all <= limit && points.len() as u64 == all && !is_narrow;
    report.limit_asked = settings.limit.is_some() || settings.asks_per_stack || is_narrow;
    report.sampled |= (points.len() as u64) < all;
    points.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    report.coverage.runs = points.len() as u64;
    report.coverage.complete &= baseline.unattributed == 0;
    if report.coverage.runs < report.coverage.runs_total {
        let left = report.coverage.runs_total - report.coverage.runs;
        let sites = points.iter().filter_map(|point| baseline.site(point.at)).map(Site::key);
        let sites: BTreeSet<u64> = sites.collect();
        let makes_all = match settings.per_stack {
            Some(_) => "--all makes all".to_owned(),
            None => format!("--limit {} makes all", report.coverage.runs_total),
        };
        let verb = if report.coverage.sites == 1 { "was" } else { "were" };
        report.notes.push(format!(
            "{} of {} were not made ({} of {} {verb} reached); {makes_all}",
            thousands(left),
            count(report.coverage.runs_total, "run"),
            thousands(sites.len() as u64),
            count(report.coverage.sites, "site"),
        ));
    }
    let warm_sites = baseline.sites.iter().map(Site::key).collect();
    first_use.add_to(report, &warm_sites);
    report.first_use.clone_from(&first_use.findings);
    let context = RunContext::new(settings, subject, baseline);
    let SweepResults { outcomes, mut found, forked, effort } =
        judge_points(&context, baseline, &points)?;
    report.forked = forked;
    report.effort += effort;
    for outcome in &outcomes {
        report.outcomes[*outcome as usize] += 1;
    }
    if stray_accesses::is_astray(&context, &found)? {
        return Ok(SweepEnd::Astray);
    }
    if is_doubtful(settings, subject, baseline, &found)? {
        return Ok(SweepEnd::Doubtful);
    }
    if settings.sheltered.get() {
        stray_accesses::guard_points(&context, &points, &mut found)?;
    }
    if settings.is_program
        && let Some(difference) = differs_later(settings, subject, baseline, &found)?
    {
        forget_results(&mut found, &mut report.outcomes);
        report.notes.push(not_compared(&difference));
        report.differs = true;
    }
    if settings.is_program && !points.is_empty() && context.in_order {
        report.notes.push(outcome_counts(&report.outcomes));
    }
    found.extend(baseline.found.clone());
    let found = leak_trend::confirm(&context, baseline, found, None)?;
    let is_complete = report.coverage.complete;
    finish_report(settings, baseline, found, report, is_complete)?;
    Ok(SweepEnd::Done)
}

/// The note of a sweep whose faults are left out.
fn nothing_failed(is_program: bool) -> String {
    let how = if is_program { "without --no-faults it fails" } else { ".run(..) fails" };
    format!("nothing was made to fail: {how} every request in turn")
}

/// The note of how many runs of a program ended in which way.
fn outcome_counts(outcomes: &[u64]) -> String {
    let named = Outcome::ALL.into_iter().zip(outcomes).filter(|(_, runs)| **runs > 0);
    let named = named.map(|(outcome, runs)| {
        format!("{} {}", thousands(*runs), outcome.name().replace('_', "-"))
    });
    format!("runs by outcome: {}", named.collect::<Vec<_>>().join(", "))
}

/// The note of a subject whose fault-free runs end the sweep.
pub(crate) fn no_faulted_run(why: &str) -> String {
    format!("no faulted run was made: {why}")
}

/// Adds the notes of a sweep: what it could not see, and what it was not asked to check.
fn notes(settings: &Settings, baseline: &Baseline, report: &mut Report) {
    let mut note = |text: String| report.notes.push(text);
    if baseline.lacks_sites() {
        note(settings.lacks_sites());
    }
    if !settings.classified && !settings.only_check {
        note("errors unclassified: every Err counts as out of memory; see Sweep::oom".to_owned());
    }
    if !settings.recovers && !settings.only_check {
        note(
            "recovery unverified: nothing survives the error; .setup(..).operation(..) keeps an \
             object, and checks it"
                .to_owned(),
        );
    }
    if settings.in_process {
        note("runs were made in process: an abort would have ended it".to_owned());
    }
    if settings.apart.get() && !settings.is_program {
        note("each run was made in a process of its own: in one process they differ".to_owned());
    }
    let status = baseline.texts.first().and_then(|text| exit_status(text));
    if let Some(status) = status.filter(|status| settings.is_program && *status != 0) {
        note(format!(
            "the program exits with status {status} without any fault: what it does with one proves \
             little"
        ));
    }
    match baseline.comparison {
        ResultComparison::Exact => {}
        ResultComparison::Unordered if settings.is_program => note(
            "the lines of the program's result are compared in any order, which differs without any \
             fault"
                .to_owned(),
        ),
        ResultComparison::Never if settings.is_program => {
            note(not_compared(&baseline.difference));
        }
        ResultComparison::Unordered => note(
            "results are compared in any order, which differs without any fault; \
             .observe(|result| ..) can sort them"
                .to_owned(),
        ),
        ResultComparison::Never => note(
            "results are not compared, since they differ without any fault; \
             .observe(|result| ..) chooses a part that doesn't"
                .to_owned(),
        ),
    }
    for unwatched in &settings.unwatched {
        note(unwatched.clone());
    }
    if let (Some(used), Some(budget)) = (baseline.budget_used, settings.options.budget)
        && (80..=100).contains(&used)
    {
        let peak = baseline.peak;
        note(format!("warning: the peak of {peak} bytes is {used} % of the budget of {budget}"));
    }
    if baseline.unattributed > 0 {
        note("unattributed: threads that belong to no run asked for memory, and got it".to_owned());
    }
    if baseline.running > 0 {
        let threads = count(baseline.running, "thread");
        note(format!("leaks unknown: {threads} of a run had not ended half a second after it"));
    }
    baseline.once.iter().for_each(|kept| note(kept.clone()));
    if let Some(sizes) = &baseline.sizes {
        note(histogram(sizes));
    }
}

/// The note of `MALLORY_HISTOGRAM`: percentiles of the request sizes, to the next power of two.
/// `sizes[n]` counts the requests of fewer than 2^n bytes that are in no smaller class.
fn histogram(sizes: &[u64]) -> String {
    let total: u64 = sizes.iter().sum();
    let below = |percent: u64| {
        let wanted = (total * percent).div_ceil(100);
        let mut sum = 0;
        let class = sizes.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        (1_u128 << class.unwrap_or(0)) - 1
    };
    format!(
        "sizes: p50 ≤ {}, p90 ≤ {}, p99 ≤ {} bytes, of {}",
        below(50),
        below(90),
        below(99),
        count(total, "request")
    )
}
