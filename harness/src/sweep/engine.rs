//! The loop of a sweep: fault-free runs, then every request in turn, then the report. The requests
//! are counted first, so the end of the loop does not depend on what the subject returns.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::process::child;
use crate::process::scratch_dir::tidy;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::report::format::{count, thousands};
use crate::run::Subject;
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::sweep::baseline::run_baseline;
use crate::sweep::leak_trend;
use crate::sweep::measurements::Baseline;
use crate::sweep::point::RunContext;
use crate::sweep::points::{check_names, points};
use crate::sweep::settings::Settings;
use crate::sweep::suppressions::{check_outcome, finish_report};
use crate::sweep::workers::{SweepResults, confirm_outcomes, run_points};

/// The most requests, over all runs of a sweep, up to which every run is made.
const REQUESTS_WHOLE: u64 = 400_000_000;
/// Beyond that, and if the caller sets no limit, runs are made up to this many requests in all, new
/// call sites first.
const REQUESTS_SAMPLE: u64 = 50_000_000;
/// A sweep that is cut short makes at least this many runs.
const RUNS_MIN: u64 = 100;

/// Sweeps a subject.
pub(crate) fn sweep(settings: &Settings, subject: &dyn Subject) -> Report {
    hook_panics();
    if settings.options.unwinding {
        learn_machinery();
    }
    tidy(child::is_alive);
    let mut report = Report::empty(&settings.name, settings.seed);
    report.sampled = settings.options.parallel;
    let result = run_baseline(settings, subject)
        .and_then(|mut baseline| sweep_points(settings, subject, &mut baseline, &mut report));
    match result {
        Ok(()) => report,
        Err(error) => Report::failed(&settings.name, settings.seed, error),
    }
}

fn sweep_points(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &mut Baseline,
    report: &mut Report,
) -> Result<(), Error> {
    baseline.check()?;
    let baseline = &*baseline;
    if baseline.dead_end.is_none() {
        check_names(settings, baseline)?;
    }
    report.sampled |= baseline.threads > 1;
    report.peak = baseline.peak as u64;
    report.fingerprint = baseline.fingerprint;
    report.coverage.requests = baseline.requests;
    report.coverage.sites = if baseline.has_sites { baseline.site_count() } else { 0 };
    notes(settings, baseline, report);
    if let Some(why) = &baseline.dead_end {
        report.notes.push(no_faulted_run(why));
        return finish_report(settings, baseline, baseline.found.clone(), report, false);
    }
    let mut points = points(baseline, settings.faults);
    let requests = baseline.requests.max(1);
    let is_whole = (points.len() as u64).saturating_mul(requests) <= REQUESTS_WHOLE;
    let default_limit =
        if is_whole { u64::MAX } else { (REQUESTS_SAMPLE / requests).max(RUNS_MIN) };
    let limit = settings.limit.unwrap_or(default_limit);
    report.coverage.runs_total = points.len() as u64;
    report.coverage.complete = points.len() as u64 <= limit;
    report.limit_asked = settings.limit.is_some();
    points.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    report.coverage.runs = points.len() as u64;
    report.coverage.complete &= baseline.unattributed == 0;
    if report.coverage.runs < report.coverage.runs_total {
        let left = report.coverage.runs_total - report.coverage.runs;
        let sites = points.iter().filter_map(|point| baseline.site(point.at)).map(Site::key);
        let sites: BTreeSet<u64> = sites.collect();
        report.notes.push(format!(
            "{} of {} were not made ({} of {} were reached); --limit {} makes all",
            thousands(left),
            count(report.coverage.runs_total, "run"),
            sites.len(),
            count(report.coverage.sites, "site"),
            report.coverage.runs_total,
        ));
    }
    let context = RunContext::new(settings, subject, baseline);
    let SweepResults { outcomes, mut found, forked, effort } =
        run_points(&context, baseline, &points)?;
    (report.forked, report.effort) = (forked, effort);
    let mut from_outcomes = Vec::new();
    for (point, outcome) in points.iter().zip(&outcomes) {
        report.outcomes[*outcome as usize] += 1;
        let observation = check_outcome(settings, baseline, *point, *outcome);
        from_outcomes.extend(observation.map(|observation| (*outcome, observation)));
    }
    found.extend(confirm_outcomes(&context, baseline, from_outcomes)?);
    found.extend(baseline.found.clone());
    let found = leak_trend::confirm(&context, baseline, found, None)?;
    let is_complete = report.coverage.complete;
    finish_report(settings, baseline, found, report, is_complete)
}

/// The note of a subject whose fault-free runs end the sweep.
pub(crate) fn no_faulted_run(why: &str) -> String {
    format!("no faulted run was made: {why}")
}

/// Adds the notes of a sweep: what it could not see, and what it was not asked to check.
fn notes(settings: &Settings, baseline: &Baseline, report: &mut Report) {
    let mut note = |text: String| report.notes.push(text);
    if baseline.lacks_sites() {
        note("sites unavailable: build with debug = 1 to see them".to_owned());
    }
    if !settings.classified {
        note("errors unclassified: every Err counts as out of memory; see Sweep::oom".to_owned());
    }
    if !settings.recovers {
        note("recovery unverified: nothing survives the error; see Sweep::setup".to_owned());
    }
    if settings.in_process {
        note("runs were made in process: an abort would have ended it".to_owned());
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
