//! One run in a child of its own, which tells what it sees while it goes, since it may die.

use crate::error::Error;
use crate::heap::state::EventSink;
use crate::plan::Plan;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::process::child::ChildAnswer;
use crate::process::codec::codec_struct;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::Evidence;
use crate::report::outcome::Outcome;
use crate::run::execute;
use crate::schedule::FoundSchedule;
use crate::schedule::Preemption;
use crate::sweep::exit_outcome::kind_of;
use crate::sweep::exit_outcome::notes;
use crate::sweep::exit_outcome::os_error;
use crate::sweep::observation::Observation;
use crate::sweep::observation::Point;
use crate::sweep::point::RunContext;
use crate::trace::Fingerprint;
use crate::trace::Injected;
use std::collections::BTreeMap;
use std::rc::Rc;
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

/// What a witness sends, piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    diverged: Option<Preemption>,
    evidence: Vec<Evidence>,
    fingerprint: Option<u64>,
    injected: Option<Injected>,
    /// The end of a run that lived: its outcome's place in the list, its failure, its findings.
    outcome: Option<u8>,
    failure: Option<String>,
    whole: Option<Observation>,
}

/// Sends on what a run says while it goes.
pub(crate) struct MessageSink(Rc<Pipe>);

impl EventSink for MessageSink {
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
    norm: &RunContext<'_>,
    plan: &Plan,
    point: Option<Point>,
    patience: Duration,
) -> Result<IsolatedRun, Error> {
    let owner = std::process::id();
    let answer = child::ask::<Told>(patience, |pipe| {
        let scratch = ScratchDir::new(owner);
        execute(norm.subject, norm.settings.job(&scratch));
        status::begun();
        let mut job = norm.job(plan.clone(), &scratch);
        job.sink = Some(Box::new(MessageSink(Rc::clone(pipe))));
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
    let ChildAnswer { messages, death, stack, .. } =
        answer.map_err(|error| os_error("start a child", &error))?;
    let conducted = norm.settings.host.is_some();
    let order =
        FoundSchedule { turns: norm.turns.to_vec(), seen: 1, of: 1, ..FoundSchedule::default() };
    let order = conducted.then_some(order);
    let mut witness = IsolatedRun { point, death, stack, order, ..IsolatedRun::default() };
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

codec_struct!(Told { diverged, evidence, fingerprint, injected, outcome, failure, whole });
