//! One run in a child process of its own. The child sends what it observes as it runs, so that
//! nothing is lost if it dies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::Error;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child::{self, ChildAnswer};
use crate::process::codec::codec_struct;
use crate::process::exit::{Death, DeathRecord};
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::{Evidence, Moment};
use crate::report::outcome::Outcome;
use crate::run::message::{AfterFault, RunMessage, RunSender};
use crate::schedule::{FoundSchedule, Preemption};
use crate::sweep::exit_outcome::{DescribedDeath, describe, os_error};
use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::point::RunContext;
use crate::trace::Injected;

/// What a run in a child of its own showed.
#[derive(Debug, Default)]
pub(crate) struct IsolatedRun {
    point: Option<Point>,
    schedule: Option<FoundSchedule>,
    pub(crate) death: Option<DeathRecord>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) fingerprint: u64,
    pub(crate) injected: Option<Injected>,
    /// Bugs found while it ran, and their backtraces if it died.
    early: Vec<Evidence>,
    taken: BTreeMap<Moment, Stack>,
    /// All that was found, with call sites, if it lived.
    complete: Option<Observation>,
    /// The `Err` or the panic in which it ended.
    pub(crate) failure: Option<String>,
    /// The preemption that could not be made, if the run left its schedule.
    pub(crate) diverged: Option<Preemption>,
}

impl IsolatedRun {
    /// The bugs that the run showed, without its death.
    pub(crate) fn found(&self) -> Option<Observation> {
        if let Some(complete) = &self.complete {
            return Some(Observation { schedule: self.schedule.clone(), ..complete.clone() });
        }
        let early = || Observation {
            stacks: self.taken.clone(),
            ..self.without_stacks(self.early.clone())
        };
        (!self.early.is_empty()).then(early)
    }

    fn without_stacks(&self, evidence: Vec<Evidence>) -> Observation {
        Observation {
            point: self.point,
            injected: self.injected,
            fingerprint: self.fingerprint,
            evidence,
            stacks: BTreeMap::new(),
            schedule: self.schedule.clone(),
        }
    }

    /// The bugs that the run showed, and its death.
    ///
    /// # Errors
    /// If no child can be started to name the functions of an abort.
    pub(crate) fn all(&self) -> Result<Vec<Observation>, Error> {
        let mut all: Vec<Observation> = self.found().into_iter().collect();
        if let Some(death) = &self.death {
            for DescribedDeath { evidence, stacks } in describe(std::slice::from_ref(death))? {
                all.push(Observation { stacks, ..self.without_stacks(vec![evidence]) });
            }
        }
        Ok(all)
    }
}

/// What a child that lived sends last.
#[derive(Clone, Debug)]
struct RunEnd {
    /// The outcome's index in [`Outcome::ALL`].
    outcome: u8,
    failure: Option<String>,
    diverged: Option<Preemption>,
    complete: Option<Observation>,
}

codec_struct!(RunEnd { outcome, failure, diverged, complete });

/// Runs a plan in a child of its own, after one fault-free run to warm up. If it dies, and bugs were
/// found before, it is run again for their backtraces.
///
/// # Errors
/// If no child can be started.
pub(crate) fn run_isolated(
    context: &RunContext<'_>,
    plan: &Plan,
    point: Option<Point>,
    patience: Duration,
) -> Result<IsolatedRun, Error> {
    let none = BTreeSet::new();
    let run = isolate(context, plan, point, patience, WarmUp::Once, &none)?;
    if run.death.is_none() || run.early.is_empty() {
        return Ok(run);
    }
    let wanted = moments(&run.early);
    let again = isolate(context, plan, point, patience, WarmUp::Once, &wanted)?;
    let is_same = again.early == run.early;
    Ok(IsolatedRun { taken: if is_same { again.taken } else { BTreeMap::new() }, ..run })
}

/// Runs without a fault in a child of its own, and without a run to warm up, which might be the one
/// that dies.
///
/// # Errors
/// If no child can be started.
pub(crate) fn run_unprepared(
    context: &RunContext<'_>,
    patience: Duration,
) -> Result<IsolatedRun, Error> {
    isolate(context, &Plan::none(), None, patience, WarmUp::Never, &BTreeSet::new())
}

/// Whether a fault-free run comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WarmUp {
    Once,
    Never,
}

fn isolate(
    context: &RunContext<'_>,
    plan: &Plan,
    point: Option<Point>,
    patience: Duration,
    warm_up: WarmUp,
    wanted: &BTreeSet<Moment>,
) -> Result<IsolatedRun, Error> {
    let owner = std::process::id();
    let answer = child::ask::<RunMessage<RunEnd>>(patience, &|pipe| {
        let scratch = ScratchDir::new(owner);
        if warm_up == WarmUp::Once {
            context.settings.execute(context.subject, context.settings.job(&scratch));
        }
        status::set_started();
        let mut job = context.job(plan.clone(), &scratch);
        job.capture = (!wanted.is_empty()).then(|| Capture::of(wanted.clone()));
        job.sink = Some(Box::new(RunSender::<RunEnd>::new(pipe, AfterFault::Fingerprints)));
        let run = context.settings.execute(context.subject, job);
        // It survived: run it again for the call sites.
        let (run, complete) = match run.evidence.is_empty() && run.injected.is_some() {
            true => (run, None),
            false => context.try_plan(plan, point, &scratch),
        };
        let end = RunEnd {
            outcome: run.outcome as u8,
            failure: run.failure,
            diverged: run.conducted.diverged,
            complete,
        };
        pipe.send(&RunMessage {
            fingerprint: Some(run.fingerprint.0),
            injected: run.injected,
            end: Some(end),
            ..RunMessage::default()
        });
    });
    let ChildAnswer { messages, death, .. } =
        answer.map_err(|error| os_error("start a child", &error))?;
    let is_scheduled = context.settings.host.is_some();
    let schedule = FoundSchedule {
        preemptions: context.preemptions.to_vec(),
        seen: 1,
        of: 1,
        ..FoundSchedule::default()
    };
    let schedule = is_scheduled.then_some(schedule);
    let mut run = IsolatedRun { point, death, schedule, ..IsolatedRun::default() };
    for message in messages {
        run.early.extend(message.evidence);
        run.taken.extend(message.taken);
        run.fingerprint = message.fingerprint.unwrap_or(run.fingerprint);
        run.injected = message.injected.or(run.injected);
        if let Some(RunEnd { outcome, failure, diverged, complete }) = message.end {
            run.outcome = Outcome::ALL.get(usize::from(outcome)).copied();
            (run.failure, run.diverged, run.complete) = (failure, diverged, complete);
        }
    }
    if let Some(injected) = run.injected {
        run.early.retain(|evidence| !context.baseline.has_shown(evidence, &injected));
    }
    if run.death.is_none() && run.outcome.is_none() {
        // The child exited with 0 before the run's end: the subject ended the process.
        run.death = Some(Death::Exit(0).without_trace());
    }
    Ok(run)
}
