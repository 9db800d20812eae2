//! A unit of an exploration: one fault, or none, in every schedule of a search.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::explore::context::SearchContext;
use crate::explore::extra_requests::ExtraRequests;
use crate::explore::sampling::seed_of;
use crate::host::ScheduledRun;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::outcome::{ScheduledEnd, Stopped};
use crate::run::{Job, Run, RunInProgress, execute};
use crate::schedule::search::Search;
use crate::schedule::{FoundSchedule, Preemption};
use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::point::{RunContext, succeeds};
use crate::sweep::settings::ScheduleMode;

/// What is run in every schedule of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkItem {
    /// The subject, without any fault.
    Census,
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

/// What came of a unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchResult {
    /// How its runs ended, as reports count it.
    pub(crate) outcomes: Vec<u64>,
    pub(crate) schedules: u64,
    /// Whether every schedule of the bound was run.
    pub(crate) exhausted: bool,
    /// Whether the process ended in one of them.
    pub(crate) died: bool,
    /// More threads than can be told apart.
    pub(crate) crowd: bool,
    /// The most threads and points of a run.
    pub(crate) threads: u64,
    pub(crate) steps: u64,
    /// The results of a census, in the order in which they came, and what it saw beyond the first
    /// run.
    pub(crate) texts: Vec<String>,
    pub(crate) wider: Vec<ExtraRequests>,
    /// One for each root cause, at the first schedule that showed it.
    pub(crate) found: Vec<Observation>,
}

codec_struct!(SearchResult {
    outcomes,
    schedules,
    exhausted,
    died,
    crowd,
    threads,
    steps,
    texts,
    wider,
    found
});

/// Results of a census beyond these are not kept.
const TEXTS_MAX: usize = 1000;
/// To look at one of loom's runs again takes all its runs up to that one: so many of those that
/// show alike things are looked at, and the others only counted.
const LOOKS_MAX: u64 = 8;
/// What a run that never ends leaves: its stacks' contents, its heap.
const ABANDONED: usize = 64 << 10;

/// A unit as it is run.
pub(crate) struct WorkItemRun<'a> {
    norm: &'a RunContext<'a>,
    unit: WorkItem,
    plan: Plan,
    scratch: &'a ScratchDir,
    going: Option<RunInProgress<'a>>,
    did: SearchResult,
    /// The findings so far by what they have in common, and their places in the list.
    roots: BTreeMap<Root, usize>,
    /// For each thread the most requests, and by which schedule.
    most: Vec<(u64, Vec<Preemption>)>,
    /// Under loom, in a census: for each thread the most requests so far. To come back to one of its
    /// runs takes all runs up to it, so what is beyond is looked at when it comes.
    beyond: Option<Vec<u64>>,
    tell: &'a mut dyn FnMut(&Observation),
    leaked: usize,
    /// Under loom: how often runs showed what looks alike, and the place of the first finding.
    looks: BTreeMap<Shape, (u64, Option<usize>)>,
}

/// What a run shows, as far as that is known without call sites: kinds, sizes, steps.
type Shape = Vec<(Kind, usize, usize)>;

/// What findings of one cause have in common within a unit.
pub(crate) type Root = (Kind, Vec<Stack>);

pub(crate) fn root(evidence: &Evidence, stacks: &BTreeMap<Moment, Stack>) -> Root {
    let of = |step: &(Role, Moment)| stacks.get(&step.1).cloned().unwrap_or_default();
    let is_root = |step: &&(Role, Moment)| step.0 != Role::Joins;
    let mut steps: Vec<Stack> = evidence.steps.iter().filter(is_root).map(of).collect();
    if evidence.kind == Kind::Deadlock {
        steps.sort_unstable();
    }
    (evidence.kind, steps)
}

/// A run of a unit, but for its schedule.
pub(crate) fn job<'a>(
    norm: &'a RunContext<'a>,
    unit: WorkItem,
    plan: &Plan,
    scratch: &'a ScratchDir,
) -> Job<'a> {
    match unit {
        WorkItem::Census => norm.settings.job(scratch),
        WorkItem::Fault(_) => norm.job(plan.clone(), scratch),
    }
}

/// What a run shows that is nobody else's to judge.
pub(crate) fn judge(run: &mut Run, unit: WorkItem) {
    if unit == WorkItem::Census {
        succeeds(run);
    } else if run.injected.is_none() && run.outcome != Outcome::Hung {
        run.outcome = Outcome::Unreached;
    }
}

/// Makes a run of this schedule again with open eyes: one finding for each root cause.
pub(crate) fn look(
    norm: &RunContext<'_>,
    unit: WorkItem,
    plan: &Plan,
    scratch: &ScratchDir,
    run: &Run,
    turns: &[Preemption],
) -> Vec<(Root, Observation)> {
    let norm = RunContext { turns, ..*norm };
    let mut job = job(&norm, unit, plan, scratch);
    job.turns = turns;
    job.capture = Some(Capture::of(moments(&run.evidence)));
    let mut again = execute(norm.subject, job);
    judge(&mut again, unit);
    let found = |evidence: Vec<Evidence>, stacks: BTreeMap<Moment, Stack>| Observation {
        point: unit.point(),
        injected: run.injected,
        fingerprint: run.fingerprint.0,
        evidence,
        stacks,
        order: Some(FoundSchedule {
            preemptions: turns.to_vec(),
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
    let mut roots: BTreeMap<Root, Vec<Evidence>> = BTreeMap::new();
    for evidence in &run.evidence {
        roots.entry(root(evidence, &again.taken)).or_default().push(evidence.clone());
    }
    let each = roots.into_iter().map(|(root, evidence)| {
        let wanted = moments(&evidence);
        let stacks = again.taken.iter().filter(|(moment, _)| wanted.contains(moment));
        let stacks = stacks.map(|(moment, stack)| (*moment, stack.clone())).collect();
        (root, found(evidence, stacks))
    });
    each.collect()
}

impl<'a> WorkItemRun<'a> {
    pub(crate) fn new(
        norm: &'a RunContext<'a>,
        unit: WorkItem,
        scratch: &'a ScratchDir,
        tell: &'a mut dyn FnMut(&Observation),
    ) -> Self {
        let did = SearchResult { outcomes: vec![0; Outcome::ALL.len()], ..SearchResult::default() };
        let (plan, roots, most) = (unit.plan(), BTreeMap::new(), Vec::new());
        let (going, beyond, leaked, looks) = (None, None, 0, BTreeMap::new());
        WorkItemRun {
            norm,
            unit,
            plan,
            scratch,
            going,
            did,
            roots,
            most,
            beyond,
            tell,
            leaked,
            looks,
        }
    }

    /// Counts a run of loom's that shows what enough of those before it have shown. False: it is
    /// to be looked at.
    fn is_known(&mut self, run: &Run, search: &Search) -> bool {
        if Preemption::loom_iteration(search.preemptions()).is_none() {
            return false;
        }
        let shape = |evidence: &Evidence| {
            let size = evidence.block.as_ref().map_or(0, |block| block.size);
            (evidence.kind, size, evidence.steps.len())
        };
        let looks = self.looks.entry(run.evidence.iter().map(shape).collect()).or_insert((0, None));
        looks.0 += 1;
        if looks.0 <= LOOKS_MAX {
            looks.1.get_or_insert(self.did.found.len());
            return false;
        }
        let order = looks.1.and_then(|place| self.did.found.get_mut(place)?.order.as_mut());
        order.into_iter().for_each(|order| order.seen += 1);
        true
    }

    fn found(&mut self, run: &Run, search: &Search) {
        if self.is_known(run, search) {
            return;
        }
        for (root, found) in
            look(self.norm, self.unit, &self.plan, self.scratch, run, search.preemptions())
        {
            if let Some(place) = self.roots.get(&root) {
                if let Some(order) = &mut self.did.found[*place].order {
                    order.seen += 1;
                }
                continue;
            }
            (self.tell)(&found);
            self.roots.insert(root, self.did.found.len());
            self.did.found.push(found);
        }
    }

    /// What a census keeps of a run.
    fn count(&mut self, run: &Run, search: &Search) {
        if let (Some(beyond), Some(census)) = (&mut self.beyond, &run.census) {
            beyond.resize(beyond.len().max(run.requests.len()), 0);
            for ((thread, most), requests) in (0..).zip(beyond).zip(&run.requests) {
                if requests > most {
                    let file = self.norm.settings.known_file;
                    self.did.wider.push(ExtraRequests::of(thread, *most, *requests, census, file));
                    *most = *requests;
                }
            }
        }
        for (thread, requests) in run.requests.iter().enumerate() {
            if self.most.len() <= thread {
                self.most.push((0, Vec::new()));
            }
            if *requests > self.most[thread].0 {
                self.most[thread] = (*requests, search.preemptions().to_vec());
            }
        }
        if let Some(text) = &run.text
            && self.did.texts.len() < TEXTS_MAX
            && !self.did.texts.contains(text)
        {
            self.did.texts.push(text.clone());
        }
    }

    /// Looks again at the schedules in which threads asked for more than in the first run.
    fn widen(&mut self, known: &dyn Fn(u16) -> u64, known_file: &str) {
        for (thread, (requests, turns)) in (0..).zip(std::mem::take(&mut self.most)) {
            if requests <= known(thread) {
                continue;
            }
            let mut job = job(self.norm, self.unit, &self.plan, self.scratch);
            job.turns = &turns;
            job.capture = Some(Capture::census());
            let run = execute(self.norm.subject, job);
            let census = run.census.unwrap_or_default();
            let wider = ExtraRequests::of(thread, known(thread), requests, &census, known_file);
            self.did.wider.push(wider);
        }
    }
}

impl ScheduledRun for WorkItemRun<'_> {
    fn begin(&mut self) {
        let (norm, scratch) = (self.norm, self.scratch);
        let mut job = job(norm, self.unit, &self.plan, scratch);
        job.capture = self.beyond.clone().map(Capture::beyond);
        self.going = Some(RunInProgress::new(job));
    }

    fn body(&mut self) {
        if let Some(going) = &mut self.going {
            going.body(self.norm.subject);
        }
    }

    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool {
        let Some(going) = self.going.take() else { return false };
        let (threads, diverged) = (conducted.threads as u64, conducted.diverged);
        let mut run = going.end(conducted);
        judge(&mut run, self.unit);
        status::run_ended(run.outcome as usize);
        self.did.outcomes[run.outcome as usize] += 1;
        self.did.threads = self.did.threads.max(threads);
        self.did.steps = self.did.steps.max(search.steps());
        self.leaked += run.leaked;
        if run.conducted.stopped.is_some() {
            self.leaked += ABANDONED;
        }
        if run.conducted.stopped == Some(Stopped::Crowd) {
            self.did.crowd = true;
            return false;
        }
        if self.unit == WorkItem::Census {
            self.count(&run, search);
        }
        if let Some(turn) = diverged {
            let note = format!("the schedule could not be followed a second time: {turn}");
            run.evidence.push(Evidence::new(Kind::Nondeterminism).note(note));
        }
        if !run.evidence.is_empty() {
            self.found(&run, search);
        }
        true
    }
}

/// Runs a unit in this process. Answers what came of it, and what its subject leaked.
pub(crate) fn run_unit(
    plot: &SearchContext<'_>,
    unit: WorkItem,
    scratch: &ScratchDir,
    tell: &mut dyn FnMut(&Observation),
) -> (SearchResult, usize) {
    let Some(host) = plot.norm.settings.host else { return (SearchResult::default(), 0) };
    let seed = plot.norm.settings.seed;
    let search = match plot.threads.way {
        ScheduleMode::Bounded if plot.drawn => {
            Search::sampled(plot.threads.preemptions, seed_of(seed, unit.point()), plot.limit)
        }
        ScheduleMode::Bounded => host.bounded(plot.threads.preemptions, plot.limit),
        ScheduleMode::Random(schedules) => Search::random(seed, schedules.min(plot.limit)),
        ScheduleMode::Pct(depth, schedules) => Search::pct(depth, seed, schedules.min(plot.limit)),
    };
    let search = Rc::new(RefCell::new(search.steps_max(plot.steps_max)));
    let mut trial = WorkItemRun::new(plot.norm, unit, scratch, tell);
    let is_seen = unit == WorkItem::Census && host.is_weak();
    trial.beyond = is_seen.then(|| plot.scouted.by_thread.clone());
    host.search(Rc::clone(&search), &mut trial);
    if unit == WorkItem::Census && !is_seen {
        let known = |thread| plot.scouted.count(thread);
        trial.widen(&known, plot.norm.settings.known_file);
    }
    let search = search.borrow();
    let WorkItemRun { mut did, leaked, .. } = trial;
    did.schedules = search.begun();
    did.exhausted = search.is_exhausted();
    for found in &mut did.found {
        if let Some(order) = &mut found.order {
            order.of = did.schedules;
        }
    }
    (did, leaked)
}
