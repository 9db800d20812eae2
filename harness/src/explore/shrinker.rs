//! One finding while it is shrunk: runs a candidate (another fault, another schedule) and keeps it if
//! it shows the same finding. Which candidates are tried is decided in `shrink` and `shrink_loom`.

use std::cell::RefCell;
use std::rc::Rc;

use crate::explore::work_item::{RootCause, WorkItem, check_outcome, confirm, job, root_cause};
use crate::host::{Host, ScheduledRun};
use crate::process::scratch_dir::ScratchDir;
use crate::report::kind::Kind;
use crate::run::outcome::ScheduledEnd;
use crate::run::{Job, Run, RunInProgress, execute};
use crate::schedule::Preemption;
use crate::schedule::search::Search;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;

/// The most runs for shrinking one finding.
const RUNS_MAX: u64 = 10_000;

/// One finding while it is shrunk.
pub(crate) struct ScheduleShrinker<'a> {
    pub(crate) context: &'a RunContext<'a>,
    pub(crate) scratch: &'a ScratchDir,
    root: RootCause,
    /// The smallest observation so far; `point` and `preemptions` are its fault and schedule.
    pub(crate) best: Observation,
    pub(crate) point: Option<Point>,
    pub(crate) preemptions: Vec<Preemption>,
    pub(crate) runs_left: u64,
}

impl<'a> ScheduleShrinker<'a> {
    pub(crate) fn new(
        context: &'a RunContext<'a>,
        scratch: &'a ScratchDir,
        found: &Observation,
    ) -> Self {
        let best = found.clone();
        let root = best.evidence.first().map(|evidence| root_cause(evidence, &best.stacks));
        let preemptions =
            best.schedule.as_ref().map(|schedule| schedule.preemptions.clone()).unwrap_or_default();
        ScheduleShrinker {
            context,
            scratch,
            root: root.unwrap_or((Kind::Nondeterminism, Vec::new())),
            point: best.point,
            best,
            preemptions,
            runs_left: RUNS_MAX,
        }
    }

    fn item(point: Option<Point>) -> WorkItem {
        point.map_or(WorkItem::Census, WorkItem::Fault)
    }

    /// Runs a fault in a schedule. Returns the observation and the deviations that the run made, if
    /// it shows the finding.
    pub(crate) fn probe(
        &mut self,
        point: Option<Point>,
        preemptions: &[Preemption],
    ) -> Option<(Observation, Vec<Preemption>)> {
        if self.runs_left == 0 {
            return None;
        }
        self.runs_left -= 1;
        let item = Self::item(point);
        let context = RunContext { preemptions, ..*self.context };
        let mut job = job(&context, item, &item.plan(), self.scratch);
        job.preemptions = preemptions;
        let mut run = execute(context.subject, job);
        check_outcome(&mut run, item);
        if !run.evidence.iter().any(|evidence| evidence.kind == self.root.0) {
            return None;
        }
        let made = made_preemptions(&run, preemptions);
        let found = confirm(&context, item, &item.plan(), self.scratch, &run, &made);
        let (_, found) = found.into_iter().find(|(root, _)| *root == self.root)?;
        Some((found, made))
    }

    /// Keeps this fault and schedule if they show the finding, and returns whether they do.
    pub(crate) fn accept(&mut self, point: Option<Point>, preemptions: &[Preemption]) -> bool {
        let Some((found, made)) = self.probe(point, preemptions) else { return false };
        let schedule = self.best.schedule.take();
        self.best = found;
        self.best.schedule = schedule;
        (self.point, self.preemptions) = (point, made);
        true
    }

    /// Searches for a schedule that shows the finding under a fault. Returns the first one, and
    /// whether every schedule of the search was run.
    pub(crate) fn find_schedule(
        &mut self,
        host: &dyn Host,
        point: Option<Point>,
        search: Search,
    ) -> (Option<Vec<Preemption>>, bool) {
        let search = Rc::new(RefCell::new(search));
        let mut finder =
            ScheduleFinder { shrinker: self, item: Self::item(point), run: None, found: None };
        host.search(Rc::clone(&search), &mut finder);
        let found = finder.found;
        let search = search.borrow();
        self.runs_left -= search.begun().min(self.runs_left);
        (found, search.is_exhausted())
    }

    /// Runs the present fault in a schedule, with a changed job.
    pub(crate) fn run(&self, preemptions: &[Preemption], change: impl FnOnce(&mut Job<'_>)) -> Run {
        let item = Self::item(self.point);
        let context = RunContext { preemptions, ..*self.context };
        let mut job = job(&context, item, &item.plan(), self.scratch);
        job.preemptions = preemptions;
        change(&mut job);
        execute(context.subject, job)
    }
}

/// Runs the schedules of a search until one shows the finding.
struct ScheduleFinder<'s, 'a> {
    shrinker: &'s ScheduleShrinker<'a>,
    item: WorkItem,
    run: Option<RunInProgress<'s>>,
    found: Option<Vec<Preemption>>,
}

impl ScheduledRun for ScheduleFinder<'_, '_> {
    fn begin(&mut self) {
        let ScheduleShrinker { context, scratch, .. } = self.shrinker;
        self.run = Some(RunInProgress::new(job(context, self.item, &self.item.plan(), scratch)));
    }

    fn body(&mut self) {
        if let Some(run) = &mut self.run {
            run.body(self.shrinker.context.subject);
        }
    }

    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool {
        let Some(run) = self.run.take() else { return false };
        let mut run = run.end(conducted);
        check_outcome(&mut run, self.item);
        let ScheduleShrinker { context, scratch, root, .. } = self.shrinker;
        if !run.evidence.iter().any(|evidence| evidence.kind == root.0) {
            return true;
        }
        let found =
            confirm(context, self.item, &self.item.plan(), scratch, &run, search.preemptions());
        let is_it = found.iter().any(|(seen, _)| seen == root);
        if is_it {
            self.found = Some(search.preemptions().to_vec());
        }
        !is_it
    }
}

/// The leading deviations of a schedule that the run made, up to the first it could not make.
fn made_preemptions(run: &Run, preemptions: &[Preemption]) -> Vec<Preemption> {
    let not_made = |left| preemptions.iter().position(|preemption| *preemption == left);
    let end = run.conducted.diverged.and_then(not_made);
    preemptions[..end.unwrap_or(preemptions.len())].to_vec()
}
