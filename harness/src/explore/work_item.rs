//! A work item of an exploration: one fault, or none, in every schedule of a search; its result; and
//! how a single run of it is set up, judged and confirmed.

use std::collections::BTreeMap;

use crate::explore::extra_requests::ExtraRequests;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::{Job, Run, execute};
use crate::schedule::fault_focus::ThreadSteps;
use crate::schedule::{FoundSchedule, Preemption};
use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::point::{RunContext, succeeds};
use crate::sweep::settings::ScheduleMode;

/// What is run in every schedule of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkItem {
    /// The subject without any fault.
    Census,
    /// The subject with this fault.
    Fault(Point),
}

impl WorkItem {
    pub(crate) fn point(self) -> Option<Point> {
        match self {
            WorkItem::Census => None,
            WorkItem::Fault(point) => Some(point),
        }
    }

    pub(crate) fn plan(self) -> Plan {
        match self {
            WorkItem::Census => Plan::none(),
            WorkItem::Fault(point) => Plan::at(point.at, point.persistent),
        }
    }
}

/// The result of a work item.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchResult {
    /// The number of runs by outcome, in the order of [`Outcome::ALL`].
    pub(crate) outcomes: Vec<u64>,
    /// Schedules that were begun.
    pub(crate) schedules: u64,
    /// Whether every schedule of the bound was run.
    pub(crate) exhausted: bool,
    /// Under loom, if not all are run: the most preemptions of which all schedules were run.
    pub(crate) complete_to: Option<u32>,
    /// Whether schedules exist that exceed the bound.
    pub(crate) exceeds: bool,
    /// For each part of a portfolio its name, and how many schedules it made.
    pub(crate) parts: Vec<(String, u64)>,
    /// Whether the search ended with its first finding.
    pub(crate) stopped: bool,
    /// Whether the process ended in one of the schedules.
    pub(crate) died: bool,
    /// Whether a run started more threads than can be explored.
    pub(crate) too_many_threads: bool,
    /// The most threads of a run.
    pub(crate) threads: u64,
    /// The most scheduling points of a run.
    pub(crate) steps: u64,
    /// In a census: the different results of the subject, in the order of their first occurrence.
    pub(crate) texts: Vec<String>,
    /// In a census: requests that the baseline run doesn't make.
    pub(crate) extra_requests: Vec<ExtraRequests>,
    /// In a census: the steps of each thread in the default schedule.
    pub(crate) default_run: Vec<ThreadSteps>,
    /// One observation for each root cause, from the first schedule that showed it.
    pub(crate) found: Vec<Observation>,
}

codec_struct!(SearchResult {
    outcomes,
    schedules,
    exhausted,
    complete_to,
    exceeds,
    parts,
    stopped,
    died,
    too_many_threads,
    threads,
    steps,
    texts,
    extra_requests,
    default_run,
    found
});

impl SearchResult {
    /// Whether a search ran all schedules that it was to run.
    pub(crate) fn is_complete(&self, mode: ScheduleMode) -> bool {
        match mode {
            ScheduleMode::Bounded | ScheduleMode::Portfolio => self.exhausted,
            ScheduleMode::Random(schedules) | ScheduleMode::Pct(_, schedules) => {
                self.schedules >= schedules
            }
        }
    }
}

/// The key that identifies a root cause within a work item: the kind, and the backtraces of the steps.
pub(crate) type RootCause = (Kind, Vec<Stack>);

pub(crate) fn root_cause(evidence: &Evidence, stacks: &BTreeMap<Moment, Stack>) -> RootCause {
    let stack = |step: &(Role, Moment)| stacks.get(&step.1).cloned().unwrap_or_default();
    let is_root = |step: &&(Role, Moment)| step.0 != Role::Joins;
    let mut steps: Vec<Stack> = evidence.steps.iter().filter(is_root).map(stack).collect();
    if evidence.kind == Kind::Deadlock {
        steps.sort_unstable();
    }
    (evidence.kind, steps)
}

/// The job of one run, without its schedule.
pub(crate) fn job<'a>(
    context: &'a RunContext<'a>,
    item: WorkItem,
    plan: &Plan,
    scratch: &'a ScratchDir,
) -> Job<'a> {
    match item {
        WorkItem::Census => context.settings.job(scratch),
        WorkItem::Fault(_) => context.job(plan.clone(), scratch),
    }
}

/// Adds what follows from the work item alone: a run without a fault has to succeed, and a run whose
/// fault was not injected is *unreached*.
pub(crate) fn check_outcome(run: &mut Run, item: WorkItem) {
    if item == WorkItem::Census {
        succeeds(run);
    } else if run.injected.is_none() && run.outcome != Outcome::Hung {
        run.outcome = Outcome::Unreached;
    }
}

/// Repeats a run, with backtraces, to confirm what it showed. Returns one observation for each root
/// cause.
pub(crate) fn confirm(
    context: &RunContext<'_>,
    item: WorkItem,
    plan: &Plan,
    scratch: &ScratchDir,
    run: &Run,
    schedule: &[Preemption],
) -> Vec<(RootCause, Observation)> {
    let context = RunContext { preemptions: schedule, ..*context };
    let mut job = job(&context, item, plan, scratch);
    job.preemptions = schedule;
    job.capture = Some(Capture::of(moments(&run.evidence)));
    let mut again = execute(context.subject, job);
    check_outcome(&mut again, item);
    let found = |evidence: Vec<Evidence>, stacks: BTreeMap<Moment, Stack>| Observation {
        point: item.point(),
        injected: run.injected,
        fingerprint: run.fingerprint.0,
        evidence,
        stacks,
        schedule: Some(FoundSchedule {
            preemptions: schedule.to_vec(),
            seen: 1,
            of: 1,
            ..FoundSchedule::default()
        }),
    };
    if again.evidence != run.evidence || again.fingerprint != run.fingerprint {
        let note = "the same schedule showed something else when it was run again";
        let evidence = Evidence::new(Kind::Nondeterminism).note(note);
        return vec![((Kind::Nondeterminism, Vec::new()), found(vec![evidence], BTreeMap::new()))];
    }
    let mut roots: BTreeMap<RootCause, Vec<Evidence>> = BTreeMap::new();
    for evidence in &run.evidence {
        roots.entry(root_cause(evidence, &again.taken)).or_default().push(evidence.clone());
    }
    let each = roots.into_iter().map(|(root, evidence)| {
        let wanted = moments(&evidence);
        let stacks = again.taken.iter().filter(|(moment, _)| wanted.contains(moment));
        let stacks = stacks.map(|(moment, stack)| (*moment, stack.clone())).collect();
        (root, found(evidence, stacks))
    });
    each.collect()
}
