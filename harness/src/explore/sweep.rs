//! The sweep: every request in turn, once and for good. Count, then repeat; the loop's end does
//! not depend on what the subject answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::gather;
use super::journal::{Journal, Key};
use super::point::{Found, Norm, Point};
use super::scout::{Scouted, scout};
use super::{Faults, Progress, Settings};
use crate::error::Error;
use crate::finding::{Evidence, Kind};
use crate::plan::Plan;
use crate::report::{Finding, Report};
use crate::run::{Outcome, Scratch, Subject, hook_panics};
use crate::site::Site;
use crate::state::Injected;
use crate::trace::{Coordinate, Op};
use crate::worker::{self, Board, Death, News};

/// Requests that a sweep makes at most, in all its runs together, unless a limit is given.
const REQUESTS_MAX: u64 = 1_000_000_000;
/// Runs that it makes in any case.
const RUNS_MIN: u64 = 1000;
/// A worker that has lost so many bytes to its subject's leaks is followed by a fresh one.
const LEAKED_MAX: usize = 64 << 20;
/// How long a child may stand still: the clock decides nothing else, and is never printed.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PATIENCE: Duration = Duration::from_secs(120);

/// What a worker's outcome looks like on the board: 0 is none yet.
const FOUND: u8 = 0x80;

fn encode(outcome: Outcome, found: bool) -> u8 {
    (outcome as u8 + 1) | if found { FOUND } else { 0 }
}

fn decode(byte: u8) -> Option<Outcome> {
    Outcome::ALL.get(usize::from(byte & !FOUND).checked_sub(1)?).copied()
}

/// Sweeps a subject.
pub(crate) fn sweep(settings: &Settings, subject: &dyn Subject) -> Report {
    hook_panics();
    let mut report = Report::empty(&settings.name, settings.seed);
    report.sampled = settings.options.parallel;
    let result = scouted(settings, subject).and_then(|scouted| match scouted {
        Ok(scouted) => sweep_scouted(settings, subject, &scouted, &mut report),
        Err(found) => {
            let scouted = Scouted::default();
            report.coverage.complete = true;
            conclude(settings, &scouted, vec![found], &mut report)
        }
    });
    match result {
        Ok(()) => report,
        Err(error) => Report::failed(&settings.name, settings.seed, error),
    }
}

pub(crate) fn os_error(what: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot {what}: {error}"))
        .mend("look after the limits of processes and memory (ulimit -a)")
}

/// The fault-free runs, in a child; or what killed it.
pub(crate) fn scouted(
    settings: &Settings,
    subject: &dyn Subject,
) -> Result<Result<Scouted, Found>, Error> {
    if settings.in_process {
        return Ok(Ok(scout(settings, subject, &Scratch::new(std::process::id()))));
    }
    let owner = std::process::id();
    let beat = AtomicU64::new(0);
    let answer = worker::ask::<Scouted>(FIRST_PATIENCE, &beat, |pipe| {
        pipe.send(&scout(settings, subject, &Scratch::new(owner)));
    });
    let (mut messages, death) = answer.map_err(|error| os_error("start a child", &error))?;
    match (messages.pop(), death) {
        (Some(scouted), _) => Ok(Ok(scouted)),
        (None, Some(Death::Stall)) => {
            Err(Error::new("the subject makes no progress without any fault")
                .mend("let it end, or give it less to do"))
        }
        (None, death) => {
            let death = death.unwrap_or(Death::Exit(0));
            let evidence = Evidence::new(kind_of(death)).note(format!("without any fault {death}"));
            Ok(Err(Found {
                point: None,
                injected: None,
                fingerprint: 0,
                evidence: vec![evidence],
                stacks: BTreeMap::new(),
            }))
        }
    }
}

pub(crate) fn kind_of(death: Death) -> Kind {
    match death {
        Death::Exit(_) => Kind::Exit,
        Death::Stall => Kind::NoProgress,
        death if death.is_abort() => Kind::Abort,
        Death::Signal(_) => Kind::Crash,
    }
}

pub(crate) fn outcome_of(death: Death) -> Outcome {
    match death {
        Death::Exit(_) => Outcome::Exited,
        Death::Stall => Outcome::Hung,
        death if death.is_abort() => Outcome::Aborted,
        Death::Signal(_) => Outcome::Crashed,
    }
}

/// All points, new sites first, so that a limit loses least.
fn points(scouted: &Scouted, faults: Faults) -> Vec<Point> {
    let mut seen = BTreeSet::new();
    let keys: Vec<u64> = scouted.sites.iter().map(Site::key).collect();
    let is_new = |ordinal: u64| match scouted.by_request.get(ordinal as usize - 1) {
        Some(site) if scouted.has_sites => seen.insert(keys[*site as usize]),
        _ => false,
    };
    let (first, rest): (Vec<u64>, Vec<u64>) = (1..=scouted.requests).partition({
        let mut is_new = is_new;
        move |ordinal| is_new(*ordinal)
    });
    let both = |ordinal| {
        let point = |persistent| Point { at: Coordinate { thread: 0, ordinal }, persistent };
        let transient = (faults != Faults::Persistent).then(|| point(false));
        let persistent = (faults != Faults::Transient).then(|| point(true));
        transient.into_iter().chain(persistent)
    };
    first.into_iter().chain(rest).flat_map(both).collect()
}

fn sweep_scouted(
    settings: &Settings,
    subject: &dyn Subject,
    scouted: &Scouted,
    report: &mut Report,
) -> Result<(), Error> {
    scouted.check()?;
    check_names(settings, scouted)?;
    report.peak = scouted.peak as u64;
    report.fingerprint = scouted.fingerprint;
    report.coverage.requests = scouted.requests;
    report.coverage.sites = if scouted.has_sites { scouted.site_count() } else { 0 };
    notes(settings, scouted, report);
    if !scouted.found.is_empty() {
        // What shows without a fault is reported before any sweep.
        report.coverage.complete = true;
        return conclude(settings, scouted, scouted.found.clone(), report);
    }
    let mut points = points(scouted, settings.faults);
    let default_limit = (REQUESTS_MAX / scouted.requests.max(1)).max(RUNS_MIN);
    let limit = settings.limit.unwrap_or(default_limit);
    report.coverage.runs_total = points.len() as u64;
    report.coverage.complete = points.len() as u64 <= limit;
    report.limit_asked = settings.limit.is_some();
    points.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    report.coverage.runs = points.len() as u64;
    if !report.coverage.complete {
        let left = report.coverage.runs_total - report.coverage.runs;
        let sites = points.iter().filter_map(|point| scouted.site(point.at)).map(Site::key);
        let sites: BTreeSet<u64> = sites.collect();
        report.notes.push(format!(
            "{} of {} were not made ({} of {} were reached); --limit {} makes all",
            crate::finding::thousands(left),
            crate::finding::count(report.coverage.runs_total, "run"),
            sites.len(),
            crate::finding::count(report.coverage.sites, "site"),
            report.coverage.runs_total,
        ));
    }
    let norm = Norm {
        settings,
        subject,
        text: &scouted.text,
        requests: scouted.requests,
        stuck: (!settings.in_process).then_some(worker::stuck as fn()),
    };
    let (outcomes, mut found) = run_points(&norm, scouted, &points)?;
    for (point, outcome) in points.iter().zip(&outcomes) {
        report.outcomes[*outcome as usize] += 1;
        found.extend(judge(settings, scouted, *point, *outcome));
    }
    conclude(settings, scouted, found, report)
}

/// Sites that the caller named must be there: a name that fits nothing protects nothing.
fn check_names(settings: &Settings, scouted: &Scouted) -> Result<(), Error> {
    for name in &settings.benign {
        if !scouted.sites.iter().any(|site| site.mentions(name)) {
            let what = format!("benign({name:?}): no request comes from a function of this name");
            return Err(Error::new(what).mend("take it out, or name a function on the way to one"));
        }
    }
    Ok(())
}

fn notes(settings: &Settings, scouted: &Scouted, report: &mut Report) {
    let mut note = |text: String| report.notes.push(text);
    if !scouted.has_sites && scouted.requests > 0 {
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
        && used >= 80
    {
        let peak = scouted.peak;
        note(format!("warning: the peak of {peak} bytes is {used} % of the budget of {budget}"));
    }
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
        crate::finding::count(total, "request")
    )
}

/// What the parent finds in an outcome: only it knows which sites are benign.
pub(crate) fn judge(
    settings: &Settings,
    scouted: &Scouted,
    point: Point,
    outcome: Outcome,
) -> Option<Found> {
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

/// A finding about a point itself.
fn bare(point: Point, evidence: Evidence, scouted: &Scouted) -> Found {
    Found {
        point: Some(point),
        injected: Some(Injected { at: point.at, op: Op::Alloc, size: 0, heap: 0 }),
        fingerprint: scouted.fingerprint,
        evidence: vec![evidence],
        stacks: BTreeMap::new(),
    }
}

/// Runs all points, in children or in process.
fn run_points(
    norm: &Norm<'_>,
    scouted: &Scouted,
    points: &[Point],
) -> Result<(Vec<Outcome>, Vec<Found>), Error> {
    let settings = norm.settings;
    let mut found = Vec::new();
    if settings.in_process {
        let scratch = Scratch::new(std::process::id());
        let mut outcomes = Vec::with_capacity(points.len());
        for point in points {
            let (run, its_found) = norm.try_point(*point, &scratch);
            outcomes.push(run.outcome);
            found.extend(its_found);
        }
        Scratch::remove(std::process::id(), std::process::id());
        return Ok((outcomes, found));
    }
    let jobs = settings.jobs.min(points.len()).max(1);
    let board = Board::new(jobs, points.len()).map_err(|e| os_error("share memory", &e))?;
    let mut journal = open_journal(norm, scouted, points, &board)?;
    let mut deaths: Vec<(Point, Death)> = Vec::new();
    let mut trouble = None;
    let patience = patience(scouted);
    let work = |job: usize, pipe: &Rc<worker::Pipe>| work(norm, points, &board, job, pipe);
    let end = worker::crew(&board, patience, &work, |news| match news {
        News::Message(message) => found.push(message),
        News::Death(point, death) => {
            board.outcome(point).store(encode(outcome_of(death), true), Ordering::Relaxed);
            deaths.push((points[point], death));
        }
        News::Glance => {
            let byte = |point: usize| board.outcome(point).load(Ordering::Relaxed);
            if let Some(journal) = &mut journal {
                let clean = |point| Some(byte(point)).filter(|b| b & FOUND == 0).and_then(decode);
                trouble = trouble.take().or(journal.add(clean).err());
            }
            if let Some(progress) = &settings.progress {
                let done = (0..points.len()).filter(|point| byte(*point) != 0).count() as u64;
                progress(Progress { done, total: points.len() as u64 });
            }
        }
    });
    if let Some(error) = trouble {
        return Err(error);
    }
    if let Some(death) = end.map_err(|error| os_error("start a child", &error))? {
        return Err(Error::new(format!("a worker died before its first point: {death}"))
            .mend("the subject does not always do the same without a fault"));
    }
    let dead: BTreeSet<Point> = deaths.iter().map(|(point, _)| *point).collect();
    found.retain(|found: &Found| found.point.is_none_or(|point| !dead.contains(&point)));
    found.extend(confirm_deaths(norm, scouted, &deaths, patience)?);
    let outcome = |point| decode(board.outcome(point).load(Ordering::Relaxed));
    let outcomes = (0..points.len()).map(|point| outcome(point).unwrap_or(Outcome::Unreached));
    Ok((outcomes.collect(), found))
}

pub(crate) fn patience(scouted: &Scouted) -> Duration {
    PATIENCE.max(Duration::from_micros(scouted.micros.saturating_mul(50)))
}

fn open_journal(
    norm: &Norm<'_>,
    scouted: &Scouted,
    points: &[Point],
    board: &Board,
) -> Result<Option<Journal>, Error> {
    let settings = norm.settings;
    let Some(place) = &settings.journal else {
        return Ok(None);
    };
    let key = Key {
        scenario: &settings.name,
        settings: format!(
            "seed={} strict={} faults={:?} options={:?}",
            settings.seed, settings.strict, settings.faults, settings.options
        ),
        input: &settings.input,
        fingerprint: scouted.fingerprint,
        points: points.len(),
    };
    let journal = Journal::open(place, &key, |point, outcome| {
        board.outcome(point).store(encode(outcome, false), Ordering::Relaxed);
    })?;
    Ok(Some(journal))
}

/// A worker's life: warm up once, then take points until there are none.
fn work(norm: &Norm<'_>, points: &[Point], board: &Board, job: usize, pipe: &worker::Pipe) {
    let scratch = Scratch::new(worker::parent());
    let mut leaked = 0;
    let mut runs = 0_u64;
    crate::run::execute(norm.subject, norm.settings.job(&scratch));
    while let Some(point) = board.claim() {
        if board.outcome(point).load(Ordering::Relaxed) != 0 {
            continue;
        }
        board.stand(job, Some(point));
        let (run, found) = norm.try_point(points[point], &scratch);
        if let Some(found) = &found {
            pipe.send(found);
        }
        board.outcome(point).store(encode(run.outcome, found.is_some()), Ordering::Relaxed);
        runs += 1;
        board.beat(job).store(runs, Ordering::Relaxed);
        leaked += run.leaked;
        if leaked > LEAKED_MAX {
            break;
        }
    }
    board.stand(job, None);
}

/// Each place where the subject died is tried again in a child of its own, which tells what it
/// sees as it goes: one for each site and kind, at its smallest coordinate.
fn confirm_deaths(
    norm: &Norm<'_>,
    scouted: &Scouted,
    deaths: &[(Point, Death)],
    patience: Duration,
) -> Result<Vec<Found>, Error> {
    let mut deaths = deaths.to_vec();
    deaths.sort_unstable();
    let mut confirmed: BTreeMap<(Kind, u64), u64> = BTreeMap::new();
    let mut found = Vec::new();
    for (point, death) in deaths {
        let kind = kind_of(death);
        let site = scouted.site(point.at).filter(|_| scouted.has_sites);
        let root = (kind, site.map_or(point.at.ordinal, Site::key));
        let note = death.to_string();
        let fingerprint = match confirmed.get(&root) {
            Some(fingerprint) => *fingerprint,
            None => {
                let plan = Plan::at(point.at, point.persistent);
                let witness = super::replay::witness(norm, &plan, Some(point), patience)?;
                if witness.death != Some(death) {
                    let evidence = Evidence::new(Kind::Nondeterminism)
                        .note(format!("{note} at first, and not when it was run again"));
                    found.push(bare(point, evidence, scouted));
                    continue;
                }
                let seen = witness.fingerprint;
                confirmed.insert(root, seen);
                // What the child found before it died stands beside the death.
                found.extend(witness.found());
                seen
            }
        };
        let mut dead = bare(point, Evidence::new(kind).note(note), scouted);
        dead.fingerprint = fingerprint;
        found.push(dead);
    }
    Ok(found)
}

/// Names the call sites, groups, and takes out what is allowed.
pub(crate) fn conclude(
    settings: &Settings,
    scouted: &Scouted,
    mut found: Vec<Found>,
    report: &mut Report,
) -> Result<(), Error> {
    complete_requests(scouted, &mut found);
    let stacks = gather::stacks(&found);
    let sites = if stacks.is_empty() {
        Vec::new()
    } else if settings.in_process {
        gather::symbolise(settings, &stacks)
    } else {
        let beat = AtomicU64::new(0);
        let answer = worker::ask::<Vec<Site>>(FIRST_PATIENCE, &beat, |pipe| {
            pipe.send(&gather::symbolise(settings, &stacks));
        });
        let (mut messages, _) = answer.map_err(|error| os_error("start a child", &error))?;
        messages.pop().unwrap_or_default()
    };
    let sites: HashMap<_, _> = stacks.into_iter().zip(sites).collect();
    let mut findings = gather::findings(settings, scouted, &found, &sites);
    for allowance in &settings.allowances {
        let fits = |finding: &Finding| {
            finding.kind() == allowance.kind && finding.mentions(&allowance.site)
        };
        let (fitting, rest): (Vec<Finding>, Vec<Finding>) = findings.into_iter().partition(fits);
        findings = rest;
        let what = format!("allow({}, {:?})", allowance.kind, allowance.site);
        if fitting.is_empty() {
            return Err(Error::new(format!("{what}: nothing of the kind was found"))
                .mend("take it out: what it allowed is mended"));
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
        ratchet(max, &mut findings, report)?;
    }
    report.findings = findings;
    Ok(())
}

/// Holds the number of places that abort against the committed one.
fn ratchet(max: u64, findings: &mut Vec<Finding>, report: &mut Report) -> Result<(), Error> {
    let is_abort = |finding: &Finding| finding.kind() == Kind::Abort && finding.fault().is_some();
    let sites = findings.iter().filter(|finding| is_abort(finding)).count() as u64;
    if sites > max {
        report.notes.push(format!("allow_aborts({max}): {sites} sites abort"));
        return Ok(());
    }
    if sites < max {
        return Err(Error::new(format!("allow_aborts({max}): only {sites} sites abort"))
            .mend(format!("lower it to allow_aborts({sites}), so that none comes back unseen")));
    }
    let (aborts, rest) = findings.drain(..).partition(is_abort);
    *findings = rest;
    report.inventory = aborts;
    Ok(())
}

/// What was asked for at a point that the parent judged stands in the runs before the fault,
/// which are all alike: the census's run is one of them.
fn complete_requests(scouted: &Scouted, found: &mut [Found]) {
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
