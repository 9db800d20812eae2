//! One run in a child of its own, which tells what it sees while it goes, since it may die.

use crate::error::Error;
use crate::plan::Plan;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::process::child::ChildAnswer;
use crate::process::codec::codec_struct;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::Evidence;
use crate::report::outcome::Outcome;
use crate::run::execute;
use crate::run::message::{AfterFault, RunMessage, RunSender};
use crate::schedule::FoundSchedule;
use crate::schedule::Preemption;
use crate::sweep::exit_outcome::kind_of;
use crate::sweep::exit_outcome::notes;
use crate::sweep::exit_outcome::os_error;
use crate::sweep::observation::Observation;
use crate::sweep::observation::Point;
use crate::sweep::point::RunContext;
use crate::trace::Injected;
use std::collections::BTreeMap;
use std::time::Duration;

/// One run in a child that told what it saw while it went, since it might die.
#[derive(Debug, Default)]
pub(crate) struct IsolatedRun {
    point: Option<Point>,
    order: Option<FoundSchedule>,
    pub(crate) death: Option<Death>,
    /// Where it aborted, if it did.
    pub(crate) stack: Stack,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) fingerprint: u64,
    pub(crate) injected: Option<Injected>,
    /// Found before it died.
    early: Vec<Evidence>,
    /// All that was found, where it lived.
    whole: Option<Observation>,
    /// The `Err` or the panic of a run without a fault.
    pub(crate) failure: Option<String>,
    /// A change of threads that could not be made.
    pub(crate) diverged: Option<Preemption>,
}

impl IsolatedRun {
    /// What the run showed, its death apart.
    pub(crate) fn found(&self) -> Option<Observation> {
        if let Some(whole) = &self.whole {
            return Some(Observation { order: self.order.clone(), ..whole.clone() });
        }
        (!self.early.is_empty()).then(|| self.bare(self.early.clone()))
    }

    fn bare(&self, evidence: Vec<Evidence>) -> Observation {
        Observation {
            point: self.point,
            injected: self.injected,
            fingerprint: self.fingerprint,
            evidence,
            stacks: BTreeMap::new(),
            order: self.order.clone(),
        }
    }

    /// What the run showed, and its death.
    pub(crate) fn all(&self) -> Result<Vec<Observation>, Error> {
        let mut all: Vec<Observation> = self.found().into_iter().collect();
        if let Some(death) = self.death {
            let note = notes(&[(death, self.stack.clone())])?.concat();
            all.push(self.bare(vec![Evidence::new(kind_of(death)).note(note)]));
        }
        Ok(all)
    }
}

/// The end of a run that came to one.
#[derive(Clone, Debug)]
struct RunEnd {
    /// The outcome's place in [`Outcome::ALL`].
    outcome: u8,
    failure: Option<String>,
    diverged: Option<Preemption>,
    whole: Option<Observation>,
}

codec_struct!(RunEnd { outcome, failure, diverged, whole });

/// Runs a plan in a child of its own.
pub(crate) fn run_isolated(
    norm: &RunContext<'_>,
    plan: &Plan,
    point: Option<Point>,
    patience: Duration,
) -> Result<IsolatedRun, Error> {
    let owner = std::process::id();
    let answer = child::ask::<RunMessage<RunEnd>>(patience, |pipe| {
        let scratch = ScratchDir::new(owner);
        execute(norm.subject, norm.settings.job(&scratch));
        status::set_started();
        let mut job = norm.job(plan.clone(), &scratch);
        job.sink = Some(Box::new(RunSender::<RunEnd>::new(pipe, AfterFault::Fingerprints)));
        let run = execute(norm.subject, job);
        // It lives: once more at leisure, for the call sites.
        let (run, whole) = match run.evidence.is_empty() && run.injected.is_some() {
            true => (run, None),
            false => norm.try_plan(plan, point, &scratch),
        };
        let end = RunEnd {
            outcome: run.outcome as u8,
            failure: run.failure,
            diverged: run.conducted.diverged,
            whole,
        };
        pipe.send(&RunMessage {
            fingerprint: Some(run.fingerprint.0),
            injected: run.injected,
            end: Some(end),
            ..RunMessage::default()
        });
    });
    let ChildAnswer { messages, death, stack, .. } =
        answer.map_err(|error| os_error("start a child", &error))?;
    let conducted = norm.settings.host.is_some();
    let order =
        FoundSchedule { turns: norm.turns.to_vec(), seen: 1, of: 1, ..FoundSchedule::default() };
    let order = conducted.then_some(order);
    let mut run = IsolatedRun { point, death, stack, order, ..IsolatedRun::default() };
    for message in messages {
        run.early.extend(message.evidence);
        run.fingerprint = message.fingerprint.unwrap_or(run.fingerprint);
        run.injected = message.injected.or(run.injected);
        if let Some(RunEnd { outcome, failure, diverged, whole }) = message.end {
            run.outcome = Outcome::ALL.get(usize::from(outcome)).copied();
            (run.failure, run.diverged, run.whole) = (failure, diverged, whole);
        }
    }
    if run.death.is_none() && run.outcome.is_none() {
        // It never came to its end, and calls that a success: the subject ended the process.
        run.death = Some(Death::Exit(0));
    }
    Ok(run)
}
