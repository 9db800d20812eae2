//! Replays: one run again, in a process of its own, and what became of what it showed before.

use crate::sweep::isolated_run::run_isolated;
use crate::sweep::run_loop::RunLoop;

use crate::error::Error;
use crate::plan::Plan;
use crate::report::format::count;
use crate::report::token::Token;
use crate::report::{Replayed, Report};
use crate::run::Subject;
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::sweep::baseline::scouted;
use crate::sweep::exit_outcome::{outcome_of, patience};
use crate::sweep::leak_trend;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::settings::Settings;
use crate::sweep::suppressions::{conclude, judge};
use crate::trace::{Coordinate, Fingerprint};

/// One run under a plan of the caller's, instead of a sweep.
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
    let scouted = match scouted(settings, subject)? {
        Ok(scouted) => scouted,
        Err(found) => {
            conclude(settings, &Baseline::default(), vec![found], &mut report, false)?;
            return Ok(report);
        }
    };
    scouted.check()?;
    if let Some(point) = point
        && point.at.ordinal > scouted.count(point.at.thread)
    {
        let (all, wanted) = (scouted.count(point.at.thread), point.at.ordinal);
        let what = format!("request {wanted} is to fail, and the run has only {all}");
        return Err(
            Error::new(what).help(format!("choose one from 0 to {}", all.saturating_sub(1)))
        );
    }
    describe(&scouted, &mut report);
    let norm = RunContext::new(settings, subject, &scouted);
    let seen = run_isolated(&norm, plan, point, patience(settings, &scouted))?;
    let mut found = scouted.found.clone();
    found.extend(seen.all()?);
    let outcome = seen.death.map(outcome_of).or(seen.outcome);
    if let Some(outcome) = outcome.filter(|_| seen.injected.is_some()) {
        report.coverage.runs = 1;
        report.coverage.runs_total = 1;
        report.outcomes[outcome as usize] += 1;
        found.extend(point.and_then(|point| judge(settings, &scouted, point, outcome)));
    }
    let found = leak_trend::confirm(&norm, &scouted, found, Some(plan))?;
    conclude(settings, &scouted, found, &mut report, false)?;
    Ok(report)
}

fn describe(scouted: &Baseline, report: &mut Report) {
    report.peak = scouted.peak as u64;
    report.fingerprint = scouted.fingerprint;
    report.coverage.requests = scouted.requests;
    report.coverage.sites = scouted.site_count();
}

/// Replays a token.
pub(crate) fn replay(
    settings: &Settings,
    subject: &dyn Subject,
    token: &Token,
    by: &dyn RunLoop,
) -> Result<Report, Error> {
    hook_panics();
    if settings.options.unwinding {
        learn_machinery();
    }
    let mut report = Report::empty(&settings.name, settings.seed);
    report.coverage.complete = true;
    let (scouted, mut found) = match scouted(settings, subject)? {
        Ok(scouted) => (scouted, Vec::new()),
        Err(found) => (Baseline::default(), vec![found]),
    };
    scouted.check()?;
    describe(&scouted, &mut report);
    found.extend(scouted.found.clone());
    let turns = token.turns.as_deref().unwrap_or_default();
    let mut scouted = scouted;
    by.widen(settings, subject, &mut scouted)?;
    let scouted = &scouted;
    let mut diverged = None;
    let same = |found: &[Observation]| {
        found.iter().any(|found| Fingerprint(found.fingerprint).short() == token.fingerprint)
    };
    let verdict = match token.fault {
        _ if !found.is_empty() => {
            if same(&found) {
                Replayed::Reproduced
            } else {
                Replayed::Different
            }
        }
        None if settings.host.is_none() => Replayed::NoFailure,
        None => {
            let norm =
                RunContext { turns, texts: &[], ..RunContext::new(settings, subject, scouted) };
            let seen = run_isolated(&norm, &Plan::none(), None, patience(settings, scouted))?;
            diverged = seen.diverged;
            found = seen.all()?;
            if same(&found) { Replayed::Reproduced } else { ended(&found) }
        }
        Some(fault) => {
            let norm = RunContext { turns, ..RunContext::new(settings, subject, scouted) };
            let mut here = |at: Coordinate| -> Result<Vec<Observation>, Error> {
                if at.ordinal > scouted.count(at.thread) {
                    return Ok(Vec::new());
                }
                let point = Point { at, persistent: fault.persistent };
                let plan = Plan::at(at, fault.persistent);
                let seen = run_isolated(&norm, &plan, Some(point), patience(settings, scouted))?;
                diverged = seen.diverged;
                let outcome = seen.death.map(outcome_of).or(seen.outcome);
                let judged = outcome.and_then(|outcome| judge(settings, scouted, point, outcome));
                let all = seen.all()?.into_iter().chain(judged);
                let all = all.map(|found| Observation { fingerprint: seen.fingerprint, ..found });
                leak_trend::confirm(&norm, scouted, all.collect(), None)
            };
            found = here(fault.at)?;
            let moved = fault.site.and_then(|(site, nth)| scouted.find(fault.at.thread, site, nth));
            match moved.filter(|at| *at != fault.at) {
                _ if same(&found) => Replayed::Reproduced,
                Some(at) => {
                    let there = here(at)?;
                    if there.is_empty() {
                        ended(&found)
                    } else {
                        found = there;
                        Replayed::Moved(at)
                    }
                }
                None => ended(&found),
            }
        }
    };
    report.coverage.runs = u64::from(token.fault.is_some());
    report.coverage.runs_total = report.coverage.runs;
    if let (Replayed::NoFailure, Some(fault)) = (verdict, token.fault)
        && fault.at.ordinal > scouted.count(fault.at.thread)
    {
        let all = count(scouted.count(fault.at.thread), "request");
        report.notes.push(format!("{} never came: T{} makes {all}", fault.at, fault.at.thread));
    }
    // A run that left its schedule shows whatever it shows by chance.
    report.replayed = Some(diverged.map_or(verdict, Replayed::Diverged));
    conclude(settings, scouted, found, &mut report, false)?;
    Ok(report)
}

fn ended(found: &[Observation]) -> Replayed {
    if found.is_empty() { Replayed::NoFailure } else { Replayed::Different }
}
