//! The sweep: every request in turn, once and for good. Count, then repeat; the loop's end does
//! not depend on what the subject answers.

use crate::sweep::points::{check_names, points};
use std::collections::BTreeSet;

use crate::error::Error;
use crate::process::child;
use crate::process::scratch_dir::tidy;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::run::Subject;
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::sweep::baseline::scouted;
use crate::sweep::leak_trend;
use crate::sweep::measurements::Baseline;
use crate::sweep::point::RunContext;
use crate::sweep::settings::Settings;
use crate::sweep::suppressions::{conclude, judge};
use crate::sweep::workers::{SweepResults, confirm_judged, run_points};

/// A sweep that needs no more requests than this, in all its runs together, is made whole.
const REQUESTS_WHOLE: u64 = 400_000_000;
/// One that needs more is a sample, new sites first, of so many requests; unless a limit is given.
const REQUESTS_SAMPLE: u64 = 50_000_000;
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
    let result = scouted(settings, subject).and_then(|scouted| match scouted {
        Ok(scouted) => sweep_scouted(settings, subject, &scouted, &mut report),
        Err(found) => {
            let scouted = Baseline::default();
            report.coverage.complete = true;
            conclude(settings, &scouted, vec![found], &mut report, false)
        }
    });
    match result {
        Ok(()) => report,
        Err(error) => Report::failed(&settings.name, settings.seed, error),
    }
}

fn sweep_scouted(
    settings: &Settings,
    subject: &dyn Subject,
    scouted: &Baseline,
    report: &mut Report,
) -> Result<(), Error> {
    scouted.check()?;
    check_names(settings, scouted)?;
    report.sampled |= scouted.threads > 1;
    report.peak = scouted.peak as u64;
    report.fingerprint = scouted.fingerprint;
    report.coverage.requests = scouted.requests;
    report.coverage.sites = if scouted.has_sites { scouted.site_count() } else { 0 };
    notes(settings, scouted, report);
    if !scouted.found.is_empty() {
        // What shows without a fault is reported before any sweep.
        report.coverage.complete = true;
        return conclude(settings, scouted, scouted.found.clone(), report, false);
    }
    let mut points = points(scouted, settings.faults);
    let requests = scouted.requests.max(1);
    let is_whole = (points.len() as u64).saturating_mul(requests) <= REQUESTS_WHOLE;
    let default_limit =
        if is_whole { u64::MAX } else { (REQUESTS_SAMPLE / requests).max(RUNS_MIN) };
    let limit = settings.limit.unwrap_or(default_limit);
    report.coverage.runs_total = points.len() as u64;
    report.coverage.complete = points.len() as u64 <= limit;
    report.limit_asked = settings.limit.is_some();
    points.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    report.coverage.runs = points.len() as u64;
    report.coverage.complete &= scouted.unattributed == 0;
    if report.coverage.runs < report.coverage.runs_total {
        let left = report.coverage.runs_total - report.coverage.runs;
        let sites = points.iter().filter_map(|point| scouted.site(point.at)).map(Site::key);
        let sites: BTreeSet<u64> = sites.collect();
        report.notes.push(format!(
            "{} of {} were not made ({} of {} were reached); --limit {} makes all",
            crate::report::format::thousands(left),
            crate::report::format::count(report.coverage.runs_total, "run"),
            sites.len(),
            crate::report::format::count(report.coverage.sites, "site"),
            report.coverage.runs_total,
        ));
    }
    let norm = RunContext::new(settings, subject, scouted);
    let SweepResults { outcomes, mut found, forked, effort } = run_points(&norm, scouted, &points)?;
    (report.forked, report.effort) = (forked, effort);
    let mut judged = Vec::new();
    for (point, outcome) in points.iter().zip(&outcomes) {
        report.outcomes[*outcome as usize] += 1;
        judged.extend(judge(settings, scouted, *point, *outcome).map(|found| (*outcome, found)));
    }
    found.extend(confirm_judged(&norm, scouted, judged)?);
    let found = leak_trend::confirm(&norm, scouted, found, None)?;
    let all = report.coverage.complete;
    conclude(settings, scouted, found, report, all)
}

fn notes(settings: &Settings, scouted: &Baseline, report: &mut Report) {
    let mut note = |text: String| report.notes.push(text);
    if scouted.lacks_sites() {
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
    if let (Some(used), Some(budget)) = (scouted.budget_used, settings.options.budget)
        && (80..=100).contains(&used)
    {
        let peak = scouted.peak;
        note(format!("warning: the peak of {peak} bytes is {used} % of the budget of {budget}"));
    }
    if scouted.unattributed > 0 {
        note("unattributed: threads that belong to no run asked for memory, and got it".to_owned());
    }
    scouted.once.iter().for_each(|kept| note(kept.clone()));
    if let Some(sizes) = &scouted.sizes {
        note(histogram(sizes));
    }
}

/// Sizes by powers of two: below which size half, nine tenths and nearly all requests lie.
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
        crate::report::format::count(total, "request")
    )
}
