//! One point of a sweep: a run with one fault, and, if it shows anything, the same run again to
//! be sure and to look at the call sites.

pub(crate) use crate::sweep::observation::{Observation, Point, moments};
use std::collections::BTreeSet;

use crate::host::Host;
use crate::plan::Plan;
use crate::process::backtrace::Capture;
use crate::process::scratch_dir::ScratchDir;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::{Job, Run, Subject, execute};
use crate::schedule::Preemption;
use crate::sweep::measurements::Baseline;
use crate::sweep::settings::Settings;

/// Requests that a subject with real threads is taken to make, if it was seen to make fewer.
const COUNTED_MIN: u64 = 10_000;

/// What every run of a sweep is compared with.
pub(crate) struct RunContext<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) subject: &'a dyn Subject,
    /// The texts of the fault-free results.
    pub(crate) texts: &'a [String],
    /// Requests of the fault-free run.
    pub(crate) requests: u64,
    /// Whether runs come in the same order each time; real threads don't.
    pub(crate) in_order: bool,
    /// The schedule, where threads take turns.
    pub(crate) turns: &'a [Preemption],
}

impl<'a> RunContext<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        subject: &'a dyn Subject,
        scouted: &'a Baseline,
    ) -> Self {
        let (texts, requests) = (&*scouted.texts, scouted.requests);
        let in_order = scouted.is_in_order(settings);
        RunContext { settings, subject, texts, requests, in_order, turns: &[] }
    }
}

impl RunContext<'_> {
    /// Requests after which a run counts as hung.
    fn bound(&self) -> u64 {
        // Real threads come and go as they like: in the run that was counted, one of them may have
        // asked for next to nothing before the end.
        let least = if self.in_order { 0 } else { COUNTED_MIN };
        self.requests.max(least).saturating_mul(10).saturating_add(1000)
    }

    pub(crate) fn job<'a>(&'a self, plan: Plan, scratch: &'a ScratchDir) -> Job<'a> {
        let mut job = self.settings.job(scratch);
        job.plan = plan;
        job.plan.set_seed(self.settings.seed);
        if self.settings.host.is_some_and(Host::is_weak) {
            job.plan.keep_apart();
        }
        job.bound = self.bound();
        job.baseline = Some(self.texts);
        job.turns = self.turns;
        job
    }

    /// Runs a plan once, and once more with open eyes if that showed anything.
    pub(crate) fn try_plan(
        &self,
        plan: &Plan,
        point: Option<Point>,
        scratch: &ScratchDir,
    ) -> (Run, Option<Observation>) {
        let run = execute(self.subject, self.job(plan.clone(), scratch));
        self.look_into(run, plan, point, scratch)
    }

    /// A run of a point whose fault never came is told so.
    pub(crate) fn reached(&self, mut run: Run, point: Option<Point>) -> Run {
        if point.is_none() && self.settings.host.is_some() {
            succeeds(&mut run);
        }
        if point.is_some() && run.injected.is_none() && run.outcome != Outcome::Hung {
            run.outcome = Outcome::Unreached;
            // In another order of its threads a subject may well ask for less.
            if self.in_order && self.settings.host.is_none() {
                let note = "the request that was to fail never came: runs are not alike";
                run.evidence.push(Evidence::new(Kind::Nondeterminism).note(note));
            }
        }
        run
    }

    /// Makes a run of this plan again with open eyes, if it showed anything.
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
            self.reached(execute(self.subject, job), point)
        };
        let mut second = again(&run);
        if self.differ(&run, &second) && self.settings.global.is_some() {
            // The first run that comes this way makes what later ones find there: statics,
            // thread-locals. What is told is what every later run shows.
            run = execute(self.subject, self.job(plan.clone(), scratch));
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
            order: None,
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

    /// Whether two runs of the same plan that ought to be alike are not.
    fn differ(&self, run: &Run, again: &Run) -> bool {
        self.in_order
            && run.outcome != Outcome::Unreached
            && (self.firm(&again.evidence) != self.firm(&run.evidence)
                || again.fingerprint != run.fingerprint)
    }

    /// What two equal runs must both show: under the global allocator, where the first may leave
    /// what the second finds there, all but leaks.
    fn firm<'e>(&self, evidence: &'e [Evidence]) -> Vec<&'e Evidence> {
        let global = self.settings.global.is_some();
        evidence.iter().filter(|evidence| !global || evidence.kind != Kind::Leak).collect()
    }

    /// Tries one point.
    pub(crate) fn try_point(
        &self,
        point: Point,
        scratch: &ScratchDir,
    ) -> (Run, Option<Observation>) {
        self.try_plan(&Plan::at(point.at, point.persistent), Some(point), scratch)
    }
}

/// Without a fault, a subject has to succeed in every order of its threads.
pub(crate) fn succeeds(run: &mut Run) {
    if run.injected.is_some() {
        return;
    }
    let said = run.failure.clone().unwrap_or_default();
    if let Some(unlike) = run.mismatch.take() {
        run.evidence.push(unlike.evidence());
        return;
    }
    match run.outcome {
        Outcome::Panicked => {
            let evidence = Evidence::new(Kind::Panic).note(said);
            run.evidence.push(evidence.step(Role::Panicked, Moment::Panic));
        }
        Outcome::WrongError | Outcome::Propagated => {
            let note = format!("in this order of its threads it fails: {said}");
            run.evidence.push(Evidence::new(Kind::WrongError).note(note));
        }
        _ => {}
    }
}

fn kinds(evidence: &[Evidence]) -> String {
    if evidence.is_empty() {
        return "nothing".to_owned();
    }
    let kinds: BTreeSet<&str> = evidence.iter().map(|evidence| evidence.kind.name()).collect();
    kinds.into_iter().collect::<Vec<&str>>().join(", ")
}
