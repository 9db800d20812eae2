//! Single runs instead of a sweep: the replay of a token, which says whether its finding shows
//! again, and a run under a plan of the caller's.

use crate::error::Error;
use crate::plan::Plan;
use crate::report::format::count;
use crate::report::token::{RunMode, Token};
use crate::report::{Replayed, Report};
use crate::run::Subject;
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::sweep::baseline::{measure_apart, run_baseline};
use crate::sweep::engine::no_faulted_run;
use crate::sweep::exit_outcome::{outcome_of, patience};
use crate::sweep::isolated_run::run_isolated;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::run_loop::RunLoop;
use crate::sweep::settings::Settings;
use crate::sweep::suppressions::{check_outcome, finish_report};
use crate::sweep::{first_use, guarded, leak_trend, stray_accesses};
use crate::trace::{Coordinate, Fingerprint};

/// Makes one run under a plan of the caller's, instead of a sweep. `point` is the request that the
/// plan fails, if it is just one.
///
/// # Errors
/// A subject that fails without any fault, a point beyond the last request, or no child processes.
pub(crate) fn single(
    settings: &Settings,
    subject: &dyn Subject,
    plan: &Plan,
    point: Option<Point>,
) -> Result<Report, Error> {
    hook_panics();
    if settings.options.unwinding {
        learn_machinery();
    }
    let mut report = Report::empty(&settings.name, settings.seed);
    report.coverage.complete = true;
    let mut baseline = run_baseline(settings, subject)?;
    baseline.check()?;
    if let Some(why) = &baseline.dead_end {
        report.notes.push(no_faulted_run(why));
        finish_report(settings, &baseline, baseline.found.clone(), &mut report, false)?;
        return Ok(report);
    }
    if let Some(point) = point
        && point.at.ordinal > baseline.count(point.at.thread)
    {
        let (all, wanted) = (baseline.count(point.at.thread), point.at.ordinal);
        let requests = count(all, "request");
        let what = format!("request {wanted} was to fail, but the run makes only {requests}");
        let help = format!("choose a number from 0 to {}", all.saturating_sub(1));
        return Err(Error::new(what).help(help));
    }
    describe(&baseline, &mut report);
    let context = RunContext::new(settings, subject, &baseline);
    let run = run_isolated(&context, plan, point, patience(settings, &baseline))?;
    let mut found = baseline.found.clone();
    found.extend(run.all()?);
    let outcome = run.death.as_ref().map(|record| outcome_of(record.death)).or(run.outcome);
    if let Some(outcome) = outcome.filter(|_| run.injected.is_some()) {
        report.coverage.runs = 1;
        report.coverage.runs_total = 1;
        report.outcomes[outcome as usize] += 1;
        found.extend(point.and_then(|point| check_outcome(settings, &baseline, point, outcome)));
    }
    let found = leak_trend::confirm(&context, &baseline, found, Some(plan))?;
    finish_report(settings, &baseline, found, &mut report, false)?;
    Ok(report)
}

/// Copies the baseline's figures to the report.
fn describe(baseline: &Baseline, report: &mut Report) {
    report.peak = baseline.peak as u64;
    report.fingerprint = baseline.fingerprint;
    report.coverage.requests = baseline.subject_requests();
    report.coverage.sites = baseline.site_count();
}

/// Replays a token: makes its run again, and says in the report whether the same finding shows. If
/// the fault's call site has moved, the run is also made with the fault where the site is now.
///
/// # Errors
/// A subject that fails without any fault, or no child processes.
pub(crate) fn replay(
    settings: &Settings,
    subject: &dyn Subject,
    token: &Token,
    run_loop: &dyn RunLoop,
) -> Result<Report, Error> {
    let is_it = |report: &Report| report.replayed == Some(Replayed::Reproduced);
    if token.modes.contains(&RunMode::Cold) {
        if settings.global.is_none() || settings.in_process || settings.host.is_some() {
            let what = "the token is of the first run of a process under the global allocator";
            return Err(Error::new(what).help("replay it with the sweep that printed it"));
        }
        let replay = || replay_once(settings, subject, token, run_loop);
        let mut first = settings.in_first_runs(replay)?;
        if !is_it(&first.report) && guarded::may_shelter(settings) {
            settings.sheltered.set(true);
            let sheltered = settings.in_first_runs(replay)?;
            if is_it(&sheltered.report) {
                first = sheltered;
            }
        }
        return Ok(first.report);
    }
    let mut first = replay_once(settings, subject, token, run_loop)?;
    if first.is_astray {
        settings.sheltered.set(true);
        first = replay_once(settings, subject, token, run_loop)?;
    }
    if is_it(&first.report) || token.fault.is_none() {
        return Ok(first.report);
    }
    // The sweep may have learned from all its runs that each needs a process of its own, or guarded
    // memory; here there is only one.
    if settings.may_run_apart() && first.is_harmless {
        settings.run_apart(subject);
        let apart = replay_once(settings, subject, token, run_loop)?;
        if is_it(&apart.report) {
            return Ok(apart.report);
        }
        settings.apart.set(false);
    }
    if guarded::may_shelter(settings) {
        settings.sheltered.set(true);
        let sheltered = replay_once(settings, subject, token, run_loop)?;
        if is_it(&sheltered.report) {
            return Ok(sheltered.report);
        }
    }
    Ok(first.report)
}

/// What one replay shows.
struct ReplayAttempt {
    report: Report,
    /// Whether its run writes where it may not, so that it has to be made on guarded memory.
    is_astray: bool,
    /// Whether the subject can be run in this process.
    is_harmless: bool,
}

/// Makes a token's run in the way that the settings say.
fn replay_once(
    settings: &Settings,
    subject: &dyn Subject,
    token: &Token,
    run_loop: &dyn RunLoop,
) -> Result<ReplayAttempt, Error> {
    hook_panics();
    if settings.options.unwinding {
        learn_machinery();
    }
    let mut report = Report::empty(&settings.name, settings.seed);
    report.coverage.complete = true;
    let is_cold = settings.first_runs.get();
    let mut baseline = match is_cold {
        true => measure_apart(settings, subject)?,
        false => run_baseline(settings, subject)?,
    };
    let is_scheduled = settings.host.is_some() && token.fault.is_none();
    // The token may be of a schedule in which the subject fails, and that may be the default one.
    if !is_scheduled || baseline.fails_for_other_reasons() {
        baseline.check()?;
    }
    describe(&baseline, &mut report);
    let preemptions = token.preemptions.as_deref().unwrap_or_default();
    // What shows without a fault shows in every run of its schedule.
    let mut found = match token.fault {
        Some(_) if baseline.dead_end.is_none() => Vec::new(),
        None if is_scheduled && !preemptions.is_empty() => Vec::new(),
        _ => baseline.found.clone(),
    };
    if token.fault.is_some() {
        run_loop.widen(settings, subject, &mut baseline)?;
    }
    let baseline = &baseline;
    let mut diverged = None;
    let is_same = |found: &[Observation]| {
        found.iter().any(|found| Fingerprint(found.fingerprint).short() == token.fingerprint)
    };
    let verdict = match token.fault {
        _ if !found.is_empty() => {
            if is_same(&found) {
                Replayed::Reproduced
            } else {
                Replayed::Different
            }
        }
        None if settings.host.is_none() => Replayed::NoFailure,
        None => {
            let context = RunContext {
                preemptions,
                texts: &[],
                ..RunContext::new(settings, subject, baseline)
            };
            let run = run_isolated(&context, &Plan::none(), None, patience(settings, baseline))?;
            diverged = run.diverged;
            found = run.all()?;
            if is_same(&found) { Replayed::Reproduced } else { not_reproduced(&found) }
        }
        Some(fault) => {
            let context =
                RunContext { preemptions, ..RunContext::new(settings, subject, baseline) };
            let mut run_at = |at: Coordinate| -> Result<Vec<Observation>, Error> {
                if at.ordinal > baseline.count(at.thread) {
                    return Ok(Vec::new());
                }
                let point = Point { at, persistent: fault.persistent };
                let plan = Plan::at(at, fault.persistent);
                let run = run_isolated(&context, &plan, Some(point), patience(settings, baseline))?;
                diverged = run.diverged;
                let outcome =
                    run.death.as_ref().map(|record| outcome_of(record.death)).or(run.outcome);
                let from_outcome =
                    outcome.and_then(|outcome| check_outcome(settings, baseline, point, outcome));
                let all = run.all()?.into_iter().chain(from_outcome);
                let all = all.map(|found| Observation { fingerprint: run.fingerprint, ..found });
                let mut all = all.collect();
                if settings.sheltered.get() {
                    stray_accesses::guard_points(&context, &[point], &mut all)?;
                }
                match is_cold {
                    true => first_use::confirm_leaks(&context, baseline, all),
                    false => leak_trend::confirm(&context, baseline, all, None),
                }
            };
            found = run_at(fault.at)?;
            let moved =
                fault.site.and_then(|(site, nth)| baseline.find(fault.at.thread, site, nth));
            match moved.filter(|at| *at != fault.at) {
                _ if is_same(&found) => Replayed::Reproduced,
                // In another folder the paths that a program keeps have other sizes.
                None if settings.is_program && moved.is_some() && !found.is_empty() => {
                    Replayed::Reproduced
                }
                Some(at) => {
                    let found_there = run_at(at)?;
                    if found_there.is_empty() {
                        not_reproduced(&found)
                    } else {
                        found = found_there;
                        Replayed::Moved(at)
                    }
                }
                None => not_reproduced(&found),
            }
        }
    };
    report.coverage.runs = u64::from(token.fault.is_some());
    report.coverage.runs_total = report.coverage.runs;
    if let (Replayed::NoFailure, Some(fault)) = (verdict, token.fault)
        && fault.at.ordinal > baseline.count(fault.at.thread)
    {
        let all = count(baseline.count(fault.at.thread), "request");
        report.notes.push(format!("{} never came: T{} makes {all}", fault.at, fault.at.thread));
    }
    // What a run shows after it left its schedule has nothing to do with the token.
    report.replayed = Some(diverged.map_or(verdict, Replayed::Diverged));
    let context = RunContext { preemptions, ..RunContext::new(settings, subject, baseline) };
    let is_astray = stray_accesses::is_astray(&context, &found)?;
    finish_report(settings, baseline, found, &mut report, false)?;
    Ok(ReplayAttempt { report, is_astray, is_harmless: baseline.is_harmless() })
}

/// The verdict on a run that did not show the token's finding.
fn not_reproduced(found: &[Observation]) -> Replayed {
    if found.is_empty() { Replayed::NoFailure } else { Replayed::Different }
}
