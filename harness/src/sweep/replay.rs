//! Replays: one run again, in a process of its own, and what became of what it showed before.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Error;
use crate::explore::engine;
use crate::heap::state::Sink;
use crate::plan::Plan;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::process::child::Answer;
use crate::process::codec::wire_struct;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::Scratch;
use crate::process::status;
use crate::report::evidence::Evidence;
use crate::report::format::count;
use crate::report::outcome::Outcome;
use crate::report::token::Token;
use crate::report::{Replayed, Report};
use crate::run::panic_capture::{hook_panics, learn_machinery};
use crate::run::{Subject, execute};
use crate::schedule::{Order, Turn};
use crate::sweep::baseline::{Scouted, scouted};
use crate::sweep::exit_outcome::{kind_of, notes, os_error, outcome_of, patience};
use crate::sweep::leak_trend;
use crate::sweep::point::{Found, Norm, Point};
use crate::sweep::settings::Settings;
use crate::sweep::suppressions::{conclude, judge};
use crate::trace::Injected;
use crate::trace::{Coordinate, Fingerprint};

/// One run in a child that told what it saw while it went, since it might die.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    point: Option<Point>,
    order: Option<Order>,
    pub(crate) death: Option<Death>,
    /// Where it aborted, if it did.
    pub(crate) stack: Stack,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) fingerprint: u64,
    pub(crate) injected: Option<Injected>,
    /// Found before it died.
    early: Vec<Evidence>,
    /// All that was found, where it lived.
    whole: Option<Found>,
    /// The `Err` or the panic of a run without a fault.
    pub(crate) failure: Option<String>,
    /// A change of threads that could not be made.
    pub(crate) diverged: Option<Turn>,
}

impl Witness {
    /// What the run showed, its death apart.
    pub(crate) fn found(&self) -> Option<Found> {
        if let Some(whole) = &self.whole {
            return Some(Found { order: self.order.clone(), ..whole.clone() });
        }
        (!self.early.is_empty()).then(|| self.bare(self.early.clone()))
    }

    fn bare(&self, evidence: Vec<Evidence>) -> Found {
        Found {
            point: self.point,
            injected: self.injected,
            fingerprint: self.fingerprint,
            evidence,
            stacks: BTreeMap::new(),
            order: self.order.clone(),
        }
    }

    /// What the run showed, and its death.
    pub(crate) fn all(&self) -> Result<Vec<Found>, Error> {
        let mut all: Vec<Found> = self.found().into_iter().collect();
        if let Some(death) = self.death {
            let note = notes(&[(death, self.stack.clone())])?.concat();
            all.push(self.bare(vec![Evidence::new(kind_of(death)).note(note)]));
        }
        Ok(all)
    }
}

/// What a witness sends, piece by piece.
#[derive(Clone, Debug, Default)]
struct Told {
    diverged: Option<Turn>,
    evidence: Vec<Evidence>,
    fingerprint: Option<u64>,
    injected: Option<Injected>,
    /// The end of a run that lived: its outcome's place in the list, its failure, its findings.
    outcome: Option<u8>,
    failure: Option<String>,
    whole: Option<Found>,
}

wire_struct!(Told { diverged, evidence, fingerprint, injected, outcome, failure, whole });

/// Sends on what a run says while it goes.
struct Teller(Rc<Pipe>);

impl Sink for Teller {
    fn evidence(&self, evidence: &Evidence) {
        self.0.send(&Told { evidence: vec![evidence.clone()], ..Told::default() });
    }

    fn fingerprint(&self, fingerprint: Fingerprint, injected: Option<&Injected>) {
        // Before the fault the run is the fault-free one, and nobody asks.
        if injected.is_some() {
            let fingerprint = Some(fingerprint.0);
            self.0.send(&Told { fingerprint, injected: injected.copied(), ..Told::default() });
        }
    }
}

/// Runs a plan in a child of its own.
pub(crate) fn witness(
    norm: &Norm<'_>,
    plan: &Plan,
    point: Option<Point>,
    patience: Duration,
) -> Result<Witness, Error> {
    let owner = std::process::id();
    let answer = child::ask::<Told>(patience, |pipe| {
        let scratch = Scratch::new(owner);
        execute(norm.subject, norm.settings.job(&scratch));
        status::begun();
        let mut job = norm.job(plan.clone(), &scratch);
        job.sink = Some(Box::new(Teller(Rc::clone(pipe))));
        let run = execute(norm.subject, job);
        // It lives: once more at leisure, for the call sites.
        let (run, whole) = match run.evidence.is_empty() && run.injected.is_some() {
            true => (run, None),
            false => norm.try_plan(plan, point, &scratch),
        };
        pipe.send(&Told {
            outcome: Some(run.outcome as u8),
            fingerprint: Some(run.fingerprint.0),
            injected: run.injected,
            failure: run.failure,
            diverged: run.conducted.diverged,
            whole,
            ..Told::default()
        });
    });
    let Answer { messages, death, stack, .. } =
        answer.map_err(|error| os_error("start a child", &error))?;
    let conducted = norm.settings.host.is_some();
    let order = Order { turns: norm.turns.to_vec(), seen: 1, of: 1, ..Order::default() };
    let order = conducted.then_some(order);
    let mut witness = Witness { point, death, stack, order, ..Witness::default() };
    for told in messages {
        witness.early.extend(told.evidence);
        witness.fingerprint = told.fingerprint.unwrap_or(witness.fingerprint);
        witness.injected = told.injected.or(witness.injected);
        witness.failure = told.failure.or(witness.failure);
        witness.whole = told.whole.or(witness.whole);
        witness.diverged = told.diverged.or(witness.diverged);
        if let Some(place) = told.outcome {
            witness.outcome = Outcome::ALL.get(usize::from(place)).copied();
        }
    }
    if witness.death.is_none() && witness.outcome.is_none() {
        // It never came to its end, and calls that a success: the subject ended the process.
        witness.death = Some(Death::Exit(0));
    }
    Ok(witness)
}

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
            conclude(settings, &Scouted::default(), vec![found], &mut report, false)?;
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
            Error::new(what).mend(format!("choose one from 0 to {}", all.saturating_sub(1)))
        );
    }
    describe(&scouted, &mut report);
    let norm = Norm::new(settings, subject, &scouted);
    let seen = witness(&norm, plan, point, patience(settings, &scouted))?;
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

fn describe(scouted: &Scouted, report: &mut Report) {
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
) -> Result<Report, Error> {
    hook_panics();
    if settings.options.unwinding {
        learn_machinery();
    }
    let mut report = Report::empty(&settings.name, settings.seed);
    report.coverage.complete = true;
    let (scouted, mut found) = match scouted(settings, subject)? {
        Ok(scouted) => (scouted, Vec::new()),
        Err(found) => (Scouted::default(), vec![found]),
    };
    scouted.check()?;
    describe(&scouted, &mut report);
    found.extend(scouted.found.clone());
    let turns = token.turns.as_deref().unwrap_or_default();
    let mut scouted = scouted;
    if settings.host.is_some() {
        // What is a result at all stands in the census.
        if let Some(census) = engine::census_for_replay(settings, subject, &scouted)? {
            scouted.widen(&census.wider, &census.texts);
        }
    }
    let scouted = &scouted;
    let mut diverged = None;
    let same = |found: &[Found]| {
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
            let norm = Norm { turns, texts: &[], ..Norm::new(settings, subject, scouted) };
            let seen = witness(&norm, &Plan::none(), None, patience(settings, scouted))?;
            diverged = seen.diverged;
            found = seen.all()?;
            if same(&found) { Replayed::Reproduced } else { ended(&found) }
        }
        Some(fault) => {
            let norm = Norm { turns, ..Norm::new(settings, subject, scouted) };
            let mut here = |at: Coordinate| -> Result<Vec<Found>, Error> {
                if at.ordinal > scouted.count(at.thread) {
                    return Ok(Vec::new());
                }
                let point = Point { at, persistent: fault.persistent };
                let plan = Plan::at(at, fault.persistent);
                let seen = witness(&norm, &plan, Some(point), patience(settings, scouted))?;
                diverged = seen.diverged;
                let outcome = seen.death.map(outcome_of).or(seen.outcome);
                let judged = outcome.and_then(|outcome| judge(settings, scouted, point, outcome));
                let all = seen.all()?.into_iter().chain(judged);
                let all = all.map(|found| Found { fingerprint: seen.fingerprint, ..found });
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

fn ended(found: &[Found]) -> Replayed {
    if found.is_empty() { Replayed::NoFailure } else { Replayed::Different }
}
