//! The end of an exploration: what was found is judged, named, grouped, and held against what
//! the caller allows.

use std::collections::HashMap;

use crate::error::Error;
use crate::process::child;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::report::evidence::Evidence;
use crate::report::finding::Finding;
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::sweep::exit_outcome::{FIRST_PATIENCE, bare, os_error};
use crate::sweep::grouping;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::settings::Settings;

/// What the parent finds in an outcome: only it knows which sites are benign.
pub(crate) fn judge(
    settings: &Settings,
    scouted: &Baseline,
    point: Point,
    outcome: Outcome,
) -> Option<Observation> {
    let site = scouted.site(point.at);
    let benign = || site.is_some_and(|site| settings.benign.iter().any(|name| site.mentions(name)));
    let evidence = match outcome {
        Outcome::Absorbed if settings.strict && !benign() => {
            Evidence::new(Kind::Absorbed).note("it went on as if nothing had happened")
        }
        Outcome::Propagated if !settings.benign.is_empty() && benign() => {
            Evidence::new(Kind::WrongError)
                .note("the site is declared benign, and yet it was an Err")
        }
        _ => return None,
    };
    Some(bare(point, evidence, scouted))
}

/// Names the call sites, groups, and takes out what is allowed, but for a replay, which shows what it
/// is told to. `all`: whether every point was run, so that what was allowed and not found is gone.
pub(crate) fn conclude(
    settings: &Settings,
    scouted: &Baseline,
    mut found: Vec<Observation>,
    report: &mut Report,
    all: bool,
) -> Result<(), Error> {
    complete_requests(scouted, &mut found);
    let stacks = grouping::stacks(&found);
    let sites = if stacks.is_empty() {
        Vec::new()
    } else if settings.in_process {
        grouping::symbolise(settings, &stacks)
    } else {
        let answer = child::ask::<Vec<Site>>(FIRST_PATIENCE, |pipe| {
            pipe.send(&grouping::symbolise(settings, &stacks));
        });
        let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
        answer.messages.pop().unwrap_or_default()
    };
    let sites: HashMap<_, _> = stacks.into_iter().zip(sites).collect();
    let mut findings = grouping::findings(settings, scouted, &found, &sites);
    if report.replayed.is_some() {
        report.findings = findings;
        return Ok(());
    }
    for allowance in &settings.allowances {
        let fits = |finding: &Finding| {
            finding.kind() == allowance.kind && finding.mentions(&allowance.site)
        };
        let (fitting, rest): (Vec<Finding>, Vec<Finding>) = findings.into_iter().partition(fits);
        findings = rest;
        let what = format!("allow({}, {:?})", allowance.kind, allowance.site);
        if fitting.is_empty() && !all {
            continue;
        }
        if fitting.is_empty() {
            return Err(Error::new(format!("{what}: nothing of the kind was found"))
                .help("remove it; the allowed finding no longer occurs"));
        }
        let total: u64 = fitting.iter().map(Finding::count).sum();
        if total > allowance.max {
            report.notes.push(format!("{what}: {total} seen, at most {} allowed", allowance.max));
            findings.extend(fitting);
        } else {
            report.notes.push(format!("{what}: {total} seen: {}", allowance.reason));
        }
    }
    if let Some(max) = settings.allow_aborts {
        ratchet(max, &mut findings, report, all)?;
    }
    report.findings = findings;
    Ok(())
}

/// Holds the number of places that abort against the committed one.
fn ratchet(
    max: u64,
    findings: &mut Vec<Finding>,
    report: &mut Report,
    all: bool,
) -> Result<(), Error> {
    let is_abort = |finding: &Finding| finding.kind() == Kind::Abort && finding.fault().is_some();
    let sites = findings.iter().filter(|finding| is_abort(finding)).count() as u64;
    if sites > max {
        report
            .notes
            .push(format!("allow_aborts({max}): failures abort at {}", count(sites, "call site")));
        return Ok(());
    }
    if sites < max && all {
        let only = count(sites, "call site");
        return Err(Error::new(format!("allow_aborts({max}): failures abort at only {only}"))
            .help(format!("lower it to allow_aborts({sites}), so that none comes back unseen")));
    }
    let (aborts, rest) = findings.drain(..).partition(is_abort);
    *findings = rest;
    report.inventory = aborts;
    Ok(())
}

/// What was asked for at a point that the parent judged stands in the runs before the fault,
/// which are all alike: the census's run is one of them.
fn complete_requests(scouted: &Baseline, found: &mut [Observation]) {
    for found in found {
        if let Some(injected) = &mut found.injected
            && injected.size == 0
            && let Some((op, size)) = scouted.asked(injected.at)
        {
            injected.op = op;
            injected.size = size as usize;
        }
    }
}
