//! One point of a sweep: a run with one fault and, if it shows a bug, the same run again to confirm
//! the bug and to take the backtraces of its call sites.

use std::collections::BTreeSet;

use crate::host::Host;
use crate::plan::Plan;
use crate::process::backtrace::Capture;
use crate::process::scratch_dir::ScratchDir;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::{Job, Run, Subject};
use crate::schedule::Preemption;
use crate::sweep::measurements::Baseline;
pub(crate) use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::settings::{PROGRAM_REQUESTS_MAX, Settings};

/// The least number of requests that a subject with real threads is assumed to make.
const COUNTED_MIN: u64 = 10_000;

/// How a sweep's faulted runs are made, and what they are compared with.
pub(crate) struct RunContext<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) subject: &'a dyn Subject,
    /// The `Debug` texts of the fault-free results.
    pub(crate) texts: &'a [String],
    /// Requests of the fault-free run.
    pub(crate) requests: u64,
    /// Whether each run makes the same events in the same order; with real threads it doesn't.
    pub(crate) in_order: bool,
    /// The preemptions of the schedule, under a model checker.
    pub(crate) preemptions: &'a [Preemption],
    /// The fault-free runs: what they showed is not looked into again.
    pub(crate) baseline: &'a Baseline,
}

impl<'a> RunContext<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        subject: &'a dyn Subject,
        baseline: &'a Baseline,
    ) -> Self {
        let (texts, requests) = (&*baseline.texts, baseline.requests);
        let in_order = baseline.is_in_order(settings);
        RunContext { settings, subject, texts, requests, in_order, preemptions: &[], baseline }
    }
}

impl RunContext<'_> {
    /// Requests after which a run counts as hung.
    fn bound(&self) -> u64 {
        if self.settings.is_program && self.baseline.threads > 1 {
            // How many requests a thread makes that waits for another one depends on the time.
            return PROGRAM_REQUESTS_MAX;
        }
        // In the run that was counted, one of several real threads may have made hardly any
        // requests before the end.
        let least = if self.in_order { 0 } else { COUNTED_MIN };
        self.requests.max(least).saturating_mul(10).saturating_add(1000)
    }

    /// A run under this plan, compared with the fault-free results.
    pub(crate) fn job<'a>(&'a self, plan: Plan, scratch: &'a ScratchDir) -> Job<'a> {
        let mut job = self.settings.job(scratch);
        job.plan = plan;
        job.plan.set_seed(self.settings.seed);
        // Which requests of other threads come later depends on their order, which nobody controls
        // where threads are real.
        if self.settings.host.map_or(!self.in_order, Host::is_weak) {
            job.plan.keep_apart();
        }
        job.bound = self.bound();
        job.baseline = Some(self.texts);
        job.comparison = self.baseline.comparison;
        job.preemptions = self.preemptions;
        job
    }

    /// Runs a plan once, and a second time for backtraces if that showed a bug.
    pub(crate) fn try_plan(
        &self,
        plan: &Plan,
        point: Option<Point>,
        scratch: &ScratchDir,
    ) -> (Run, Option<Observation>) {
        let run = self.settings.execute(self.subject, self.job(plan.clone(), scratch));
        self.look_into(run, plan, point, scratch)
    }

    /// Completes a run's outcome and evidence: that the request that was to fail never came, and,
    /// in a schedule without a fault, that the subject failed.
    pub(crate) fn reached(&self, mut run: Run, point: Option<Point>) -> Run {
        if point.is_none() && self.settings.host.is_some() {
            succeeds(&mut run);
        }
        if let Some(injected) = run.injected {
            run.evidence.retain(|evidence| !self.baseline.has_shown(evidence, &injected));
        }
        if point.is_some() && run.injected.is_none() && run.outcome != Outcome::Hung {
            run.outcome = Outcome::Unreached;
            // In another schedule a subject may well make fewer requests.
            if self.in_order && self.settings.host.is_none() {
                let note = "the request that was to fail never came: \
                            this run differs from the fault-free one";
                run.evidence.push(Evidence::new(Kind::Nondeterminism).note(note));
            }
        }
        run
    }

    /// Repeats a run of this plan with backtraces, if it showed a bug. Two runs that differ are
    /// reported as nondeterminism instead.
    pub(crate) fn look_into(
        &self,
        run: Run,
        plan: &Plan,
        point: Option<Point>,
        scratch: &ScratchDir,
    ) -> (Run, Option<Observation>) {
        let mut run = self.reached(run, point);
        if run.evidence.is_empty() {
            return (run, None);
        }
        let again = |run: &Run| {
            let mut job = self.job(plan.clone(), scratch);
            job.capture = Some(Capture::of(moments(&run.evidence)));
            self.reached(self.settings.execute(self.subject, job), point)
        };
        let mut second = again(&run);
        if self.differ(&run, &second) && self.settings.global.is_some() {
            // The first run through this code initialises statics and thread-locals. What all
            // later runs show is what is reported.
            run = self.settings.execute(self.subject, self.job(plan.clone(), scratch));
            run = self.reached(run, point);
            if run.evidence.is_empty() {
                return (run, None);
            }
            second = again(&run);
        }
        let mut found = Observation {
            point,
            injected: run.injected,
            fingerprint: run.fingerprint.0,
            evidence: run.evidence.clone(),
            stacks: std::mem::take(&mut second.taken),
            schedule: None,
        };
        if self.differ(&run, &second) {
            let note = format!(
                "the same run showed {} at first, and {} when it was run again",
                kinds(&run.evidence),
                kinds(&second.evidence)
            );
            found.evidence = vec![Evidence::new(Kind::Nondeterminism).note(note)];
            found.stacks.clear();
        }
        (run, Some(found))
    }

    /// Whether two runs of the same plan differ that have to be equal.
    fn differ(&self, run: &Run, again: &Run) -> bool {
        self.in_order
            && run.outcome != Outcome::Unreached
            && (self.repeatable(&again.evidence) != self.repeatable(&run.evidence)
                || again.fingerprint != run.fingerprint)
    }

    /// The evidence that two equal runs must both show: all of it, but no leaks under the global
    /// allocator, where the first run may initialise what the second one finds.
    fn repeatable<'e>(&self, evidence: &'e [Evidence]) -> Vec<&'e Evidence> {
        let global = self.settings.global.is_some();
        evidence.iter().filter(|evidence| !global || evidence.kind != Kind::Leak).collect()
    }

    /// Runs one point.
    pub(crate) fn try_point(
        &self,
        point: Point,
        scratch: &ScratchDir,
    ) -> (Run, Option<Observation>) {
        self.try_plan(&Plan::at(point.at, point.persistent), Some(point), scratch)
    }
}

/// Adds evidence to a run without a fault that failed: a subject has to succeed in every schedule.
pub(crate) fn succeeds(run: &mut Run) {
    if run.injected.is_some() {
        return;
    }
    let failure = run.failure.clone().unwrap_or_default();
    if let Some(unlike) = run.mismatch.take() {
        run.evidence.push(unlike.evidence());
        return;
    }
    match run.outcome {
        Outcome::Panicked => {
            let evidence = Evidence::new(Kind::Panic).note(failure);
            run.evidence.push(evidence.step(Role::Panicked, Moment::Panic));
        }
        // What a task was to do is missing, and that may be an error.
        Outcome::WrongError | Outcome::Propagated if run.conducted.cancelled => {}
        Outcome::WrongError | Outcome::Propagated => {
            let note = format!("the subject fails in this schedule: {failure}");
            run.evidence.push(Evidence::new(Kind::WrongError).note(note));
        }
        _ => {}
    }
}

/// The names of the kinds, for a sentence.
fn kinds(evidence: &[Evidence]) -> String {
    if evidence.is_empty() {
        return "nothing".to_owned();
    }
    let kinds: BTreeSet<&str> = evidence.iter().map(|evidence| evidence.kind.name()).collect();
    kinds.into_iter().collect::<Vec<&str>>().join(", ")
}
