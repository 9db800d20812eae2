//! The end of a sweep or an exploration: observations get their call sites and become findings, and
//! findings that the caller allows are taken out.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::report::evidence::Evidence;
use crate::report::finding::Finding;
use crate::report::format::count;
use crate::report::inventory::{Miscount, counted};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::sweep::allowed_file;
use crate::sweep::exit_outcome::{FIRST_PATIENCE, observation_at, os_error};
use crate::sweep::grouping;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::settings::Settings;

/// The bug in an outcome itself, where the caller demands more than usual: `strict` forbids
/// absorbing a failure, and at a benign call site absorbing it is the only outcome allowed.
pub(crate) fn check_outcome(
    settings: &Settings,
    baseline: &Baseline,
    point: Point,
    outcome: Outcome,
) -> Option<Observation> {
    let site = baseline.site(point.at);
    let is_benign =
        || site.is_some_and(|site| settings.benign.iter().any(|name| site.mentions(name)));
    let evidence = match outcome {
        Outcome::Absorbed if settings.strict && !is_benign() => {
            Evidence::new(Kind::Absorbed).note("it went on as if nothing had happened")
        }
        Outcome::Degraded if settings.strict && !is_benign() => Evidence::new(Kind::Degraded)
            .note("it said that something was wrong, but ended as usual with another output"),
        Outcome::Propagated if !settings.benign.is_empty() && is_benign() => {
            Evidence::new(Kind::WrongError)
                .note("the call site is declared benign, but its failure returned an Err")
        }
        _ => return None,
    };
    Some(observation_at(point, evidence, baseline))
}

/// Completes a report: names the call sites, groups observations to findings, and takes out what is
/// allowed (except from a replay, which shows what it replays). `is_complete` says that every point
/// was run: only then is an allowance without a finding an error.
///
/// # Errors
/// An allowance that matches nothing, or no child process to name the call sites.
pub(crate) fn finish_report(
    settings: &Settings,
    baseline: &Baseline,
    mut found: Vec<Observation>,
    report: &mut Report,
    is_complete: bool,
) -> Result<(), Error> {
    let mut findings = named_findings(settings, baseline, &mut found)?;
    // What shows in warm runs too is the same bug.
    let is_new = |more: &Finding| findings.iter().all(|known| known.id() != more.id());
    let more: Vec<Finding> = report.first_use.drain(..).filter(is_new).collect();
    findings.extend(more);
    grouping::sort(&mut findings);
    if report.replayed.is_some() {
        report.findings = findings;
        return Ok(());
    }
    for allowance in &settings.allowances {
        let is_allowed = |finding: &Finding| {
            finding.kind() == allowance.kind && finding.mentions(&allowance.site)
        };
        let (allowed, rest): (Vec<Finding>, Vec<Finding>) =
            findings.into_iter().partition(is_allowed);
        findings = rest;
        let what = format!("allow({}, {:?})", allowance.kind, allowance.site);
        if allowed.is_empty() && !is_complete {
            continue;
        }
        if allowed.is_empty() {
            let error = Error::new(format!("{what}: nothing of the kind was found"));
            let error = allowance.place.iter().fold(error, |error, place| error.at(place));
            let same_kind = findings.iter().filter(|finding| finding.kind() == allowance.kind);
            let same_kind: Vec<&Finding> = same_kind.collect();
            return Err(match same_kind[..] {
                [] => error.help("remove it; the allowed finding no longer occurs"),
                _ => error.listing(&counted(&same_kind)).help(
                    "name a function of one of these call sites, or remove it: the allowed finding \
                     no longer occurs",
                ),
            });
        }
        let total: u64 = allowed.iter().map(Finding::count).sum();
        if total > allowance.max {
            report.miscounts.push(Miscount {
                title: format!("{what}: {total} seen, at most {} allowed", allowance.max),
                rows: counted(&allowed.iter().collect::<Vec<_>>()),
                help: format!("repair what is new, or allow {total} of them"),
                has_all_aborts: false,
            });
            findings.extend(allowed);
        } else {
            report.notes.push(format!("{what}: {total} seen: {}", allowance.reason));
        }
    }
    if let Some(max) = settings.allow_aborts {
        ratchet(max, &mut findings, report, is_complete)?;
    }
    if let Some(file) = &settings.allowed_file {
        allowed_file::apply(file, settings.update, &mut findings, report, is_complete)?;
    }
    let is_own = |finding: &Finding| finding.c_call.is_empty() || settings.chosen.c_library;
    let (findings, of_c_library) = findings.into_iter().partition(is_own);
    report.findings = findings;
    report.c_library = of_c_library;
    Ok(())
}

/// What was observed as findings, with call sites.
///
/// # Errors
/// If no child can be started.
pub(crate) fn named_findings(
    settings: &Settings,
    baseline: &Baseline,
    found: &mut [Observation],
) -> Result<Vec<Finding>, Error> {
    complete_requests(baseline, found);
    found.iter_mut().for_each(Observation::leave_out_libtests);
    let sites = name_sites(settings, found)?;
    Ok(grouping::findings(settings, baseline, found, &sites))
}

/// The call sites of all backtraces of these observations. A child process looks them up.
///
/// # Errors
/// If no child can be started.
pub(crate) fn name_sites(
    settings: &Settings,
    found: &[Observation],
) -> Result<BTreeMap<Stack, Site>, Error> {
    let stacks = grouping::stacks(found);
    let sites = if stacks.is_empty() {
        Vec::new()
    } else if settings.in_process {
        grouping::symbolise(settings, &stacks)
    } else {
        let answer = child::ask::<Vec<Site>>(FIRST_PATIENCE, &|pipe| {
            pipe.send(&grouping::symbolise(settings, &stacks));
        });
        let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
        answer.messages.pop().unwrap_or_default()
    };
    Ok(stacks.into_iter().zip(sites).collect())
}

/// Compares the number of call sites whose failure aborts with the allowed one (`allow_aborts`).
/// Equal: they are listed. More: they stay findings. Fewer: an error asks for the number to be
/// lowered. What was counted is listed either way.
fn ratchet(
    max: u64,
    findings: &mut Vec<Finding>,
    report: &mut Report,
    is_complete: bool,
) -> Result<(), Error> {
    let is_abort = |finding: &Finding| finding.kind() == Kind::Abort && finding.fault().is_some();
    let aborts: Vec<&Finding> = findings.iter().filter(|finding| is_abort(finding)).collect();
    let sites = aborts.len() as u64;
    if sites > max {
        let title = format!("allow_aborts({max}): failures abort at {}", count(sites, "call site"));
        report.miscounts.push(Miscount {
            title,
            rows: counted(&aborts),
            help: format!("return an error at what is new, or raise it to allow_aborts({sites})"),
            has_all_aborts: true,
        });
        return Ok(());
    }
    if sites < max && is_complete {
        let only = count(sites, "call site");
        return Err(Error::new(format!("allow_aborts({max}): failures abort at only {only}"))
            .listing(&counted(&aborts))
            .help(format!("lower it to allow_aborts({sites}), so that none returns unnoticed")));
    }
    let (aborts, rest) = findings.drain(..).partition(is_abort);
    *findings = rest;
    report.inventory = aborts;
    Ok(())
}

/// Fills in the operation and the size of requests that failed in observations made without a run.
/// They are those of the baseline, since all runs are equal up to the fault.
fn complete_requests(baseline: &Baseline, found: &mut [Observation]) {
    for found in found {
        if let Some(injected) = &mut found.injected
            && injected.size == 0
            && let Some((op, size)) = baseline.asked(injected.at)
        {
            injected.op = op;
            injected.size = size as usize;
        }
    }
}
