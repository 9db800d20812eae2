//! Runs a work item: every schedule of its search, in this process. Confirms what a run shows, keeps one
//! observation for each root cause, and in a census collects requests and results.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::explore::context::{OTHERS_MAX, SearchContext};
use crate::explore::extra_requests::ExtraRequests;
use crate::explore::levels::{LevelLimits, search_levels};
use crate::explore::sampling::seed_of;
use crate::explore::work_item::{RootCause, SearchResult, WorkItem, check_outcome, confirm, job};
use crate::host::{Host, ScheduledRun};
use crate::plan::Plan;
use crate::process::backtrace::Capture;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::outcome::{ScheduledEnd, Stopped};
use crate::run::{Run, RunInProgress, execute};
use crate::schedule::Preemption;
use crate::schedule::fault_focus::Guide;
use crate::schedule::search::Search;
use crate::sweep::observation::Observation;
use crate::sweep::point::RunContext;
use crate::sweep::settings::{ExploreSettings, ScheduleMode};

/// The most different results that a census keeps.
const TEXTS_MAX: usize = 1000;
/// The most runs of one shape that are confirmed under loom; others are only counted. To repeat a run,
/// loom has to repeat all of its search up to that run.
const CONFIRMED_MAX: u64 = 8;
/// Bytes that a run leaks if it is abandoned as endless: the contents of its stacks, and its heap.
const ABANDONED: usize = 64 << 10;

/// The number of runs whose threads never ended after which a search is given up: each takes as long
/// as thousands of others.
const ENDLESS_MAX: u64 = 3;

/// A work item while it is run.
struct WorkItemRun<'a> {
    context: &'a RunContext<'a>,
    item: WorkItem,
    plan: Plan,
    scratch: &'a ScratchDir,
    current: Option<RunInProgress<'a>>,
    result: SearchResult,
    /// The index in `result.found` of each root cause.
    roots: BTreeMap<RootCause, usize>,
    /// For each thread the most requests of a run, and the schedule of that run.
    most_requests: Vec<(u64, Vec<Preemption>)>,
    /// In a census under loom: for each thread the most requests so far. Extra requests are captured
    /// as they occur, since loom has to repeat its search to repeat a run.
    known_requests: Option<Vec<u64>>,
    on_found: &'a mut dyn FnMut(&Observation),
    /// Bytes that runs have leaked in this process.
    leaked: usize,
    /// Under loom: for each shape how many runs had it, and the index of its first finding.
    shapes: BTreeMap<Shape, (u64, Option<usize>)>,
    stops_at_first: bool,
    /// Runs whose threads never ended.
    endless: u64,
    /// Whether no further run is wanted.
    is_over: bool,
}

/// What a run shows as far as it is known without call sites: for each piece of evidence its kind, the
/// size of its block, and its number of steps.
type Shape = Vec<(Kind, usize, usize)>;

impl<'a> WorkItemRun<'a> {
    fn new(
        context: &'a RunContext<'a>,
        item: WorkItem,
        scratch: &'a ScratchDir,
        on_found: &'a mut dyn FnMut(&Observation),
    ) -> Self {
        let result =
            SearchResult { outcomes: vec![0; Outcome::ALL.len()], ..SearchResult::default() };

        WorkItemRun {
            context,
            item,
            plan: item.plan(),
            scratch,
            current: None,
            result,
            roots: BTreeMap::new(),
            most_requests: Vec::new(),
            known_requests: None,
            on_found,
            leaked: 0,
            shapes: BTreeMap::new(),
            endless: 0,
            is_over: false,
            stops_at_first: context.settings.threads.is_some_and(|threads| threads.stops_at_first),
        }
    }

    /// Whether enough runs of loom's had the same shape, so that this one is only counted.
    fn is_only_counted(&mut self, run: &Run, search: &Search) -> bool {
        if Preemption::loom_iteration(search.preemptions()).is_none() {
            return false;
        }
        let shape = |evidence: &Evidence| {
            let size = evidence.block.as_ref().map_or(0, |block| block.size);
            (evidence.kind, size, evidence.steps.len())
        };
        let shape = run.evidence.iter().map(shape).collect();
        let (runs, first) = self.shapes.entry(shape).or_insert((0, None));
        *runs += 1;
        if *runs <= CONFIRMED_MAX {
            first.get_or_insert(self.result.found.len());
            return false;
        }
        let schedule = first.and_then(|index| self.result.found.get_mut(index)?.schedule.as_mut());
        schedule.into_iter().for_each(|schedule| schedule.seen += 1);
        true
    }

    /// Confirms a run that showed something, and adds each new root cause to the result.
    fn add_findings(&mut self, run: &Run, search: &Search) {
        if self.is_only_counted(run, search) {
            return;
        }
        for (root, found) in
            confirm(self.context, self.item, &self.plan, self.scratch, run, search.preemptions())
        {
            if let Some(index) = self.roots.get(&root) {
                if let Some(schedule) = &mut self.result.found[*index].schedule {
                    schedule.seen += 1;
                }
                continue;
            }
            let mut found = found;
            if let (Some(part), Some(schedule)) = (search.part(), &mut found.schedule) {
                schedule.notes.push(format!("found by {part}"));
            }
            (self.on_found)(&found);
            self.roots.insert(root, self.result.found.len());
            self.result.found.push(found);
        }
    }

    /// Adds a run of the census to the result.
    fn add_census_run(&mut self, run: &Run, search: &Search) {
        if let (Some(known), Some(census)) = (&mut self.known_requests, &run.census) {
            known.resize(known.len().max(run.requests.len()), 0);
            for ((thread, known), requests) in (0..).zip(known).zip(&run.requests) {
                if requests > known {
                    let file = self.context.settings.known_file;
                    let extra = ExtraRequests::of(thread, *known, *requests, census, file);
                    self.result.extra_requests.push(extra);
                    *known = *requests;
                }
            }
        }
        for (thread, requests) in run.requests.iter().enumerate() {
            if self.most_requests.len() <= thread {
                self.most_requests.push((0, Vec::new()));
            }
            if *requests > self.most_requests[thread].0 {
                self.most_requests[thread] = (*requests, search.preemptions().to_vec());
            }
        }
        if let Some(text) = &run.text
            && self.result.texts.len() < TEXTS_MAX
            && !self.result.texts.contains(text)
        {
            self.result.texts.push(text.clone());
        }
    }

    /// Repeats, for each thread that made more requests than in the baseline run, the schedule in which
    /// it made the most, and adds these requests with their call sites.
    fn add_extra_requests(&mut self, known: &dyn Fn(u16) -> u64, known_file: &str) {
        for (thread, (requests, schedule)) in (0..).zip(std::mem::take(&mut self.most_requests)) {
            if requests <= known(thread) {
                continue;
            }
            let mut job = job(self.context, self.item, &self.plan, self.scratch);
            job.preemptions = &schedule;
            job.capture = Some(Capture::census());
            let run = execute(self.context.subject, job);
            let census = run.census.unwrap_or_default();
            let extra = ExtraRequests::of(thread, known(thread), requests, &census, known_file);
            self.result.extra_requests.push(extra);
        }
    }
}

impl ScheduledRun for WorkItemRun<'_> {
    fn begin(&mut self) {
        let (context, scratch) = (self.context, self.scratch);
        let mut job = job(context, self.item, &self.plan, scratch);
        job.capture = self.known_requests.clone().map(Capture::beyond);
        self.current = Some(RunInProgress::new(job));
    }

    fn body(&mut self) {
        if let Some(current) = &mut self.current {
            current.body(self.context.subject);
        }
    }

    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool {
        let Some(current) = self.current.take() else { return false };
        let (threads, diverged) = (conducted.threads as u64, conducted.diverged);
        let mut run = current.end(conducted);
        check_outcome(&mut run, self.item);
        status::run_ended(run.outcome as usize);
        self.result.outcomes[run.outcome as usize] += 1;
        self.result.threads = self.result.threads.max(threads);
        self.result.steps = self.result.steps.max(search.steps());
        self.leaked += run.leaked;
        if run.conducted.stopped.is_some() {
            self.leaked += ABANDONED;
        }
        self.endless += u64::from(run.conducted.stopped == Some(Stopped::Endless));
        if run.conducted.stopped == Some(Stopped::Crowd) {
            self.result.too_many_threads = true;
            self.is_over = true;
            return false;
        }
        if self.item == WorkItem::Census {
            self.add_census_run(&run, search);
        }
        if let Some(preemption) = diverged {
            let note =
                format!("in a second run the schedule could not be followed at {preemption}");
            run.evidence.push(Evidence::new(Kind::Nondeterminism).note(note));
        }
        if !run.evidence.is_empty() {
            self.add_findings(&run, search);
        }
        self.result.stopped = self.stops_at_first && !self.result.found.is_empty();
        // What reaches further than the bounded search is only run where that finds nothing.
        let is_enough =
            search.part().is_some() && search.is_exhausted() && !self.result.found.is_empty();
        self.is_over = self.result.stopped || is_enough || self.endless >= ENDLESS_MAX;
        !self.is_over
    }
}

/// Runs a work item in this process. Returns its result, and the bytes that its runs leaked.
pub(crate) fn run_item(
    context: &SearchContext<'_>,
    item: WorkItem,
    scratch: &ScratchDir,
    on_found: &mut dyn FnMut(&Observation),
) -> (SearchResult, usize) {
    let Some(host) = context.run.settings.host else { return (SearchResult::default(), 0) };
    let seed = context.run.settings.seed;
    let ExploreSettings { bound, search: options, .. } = context.threads;
    let limit = context.limit;
    if host.is_weak() {
        return run_item_by_levels(context, host, item, scratch, on_found);
    }
    let search = match context.threads.mode {
        ScheduleMode::Bounded | ScheduleMode::Portfolio if context.sampled => {
            Search::sampled(bound, options, seed_of(seed, item.point()), limit)
        }
        ScheduleMode::Portfolio => {
            let others = OTHERS_MAX[usize::from(item != WorkItem::Census)].min(limit);
            Search::portfolio(bound, seed_of(seed, item.point()), options, limit, others)
        }
        ScheduleMode::Bounded => host.bounded(bound, options, limit),
        ScheduleMode::Random(schedules) => Search::random(seed, options, schedules.min(limit)),
        ScheduleMode::Pct(depth, schedules) => {
            Search::pct(depth, seed, options, schedules.min(limit))
        }
    };
    let guide = match item {
        WorkItem::Census => Guide::Record(Vec::new()),
        WorkItem::Fault(_) => Guide::Compare(context.default_run.to_vec()),
    };
    let search = search.steps_max(context.steps_max).guide(guide);
    let search = Rc::new(RefCell::new(search));
    let mut item_run = WorkItemRun::new(context.run, item, scratch, on_found);
    host.search(Rc::clone(&search), &mut item_run);
    if item == WorkItem::Census {
        let known = |thread| context.baseline.count(thread);
        item_run.add_extra_requests(&known, context.run.settings.known_file);
    }
    let search = search.borrow();
    let WorkItemRun { mut result, leaked, .. } = item_run;
    result.schedules = search.begun();
    result.exhausted = search.is_exhausted();
    result.default_run = search.default_run().to_vec();
    result.exceeds = search.exceeds_bound();
    if search.part().is_some() {
        result.parts = search.results();
    }
    (finished(result), leaked)
}

/// Runs a work item under loom.
fn run_item_by_levels(
    context: &SearchContext<'_>,
    host: &dyn Host,
    item: WorkItem,
    scratch: &ScratchDir,
    on_found: &mut dyn FnMut(&Observation),
) -> (SearchResult, usize) {
    let mut item_run = WorkItemRun::new(context.run, item, scratch, on_found);
    let is_census = item == WorkItem::Census;
    item_run.known_requests = is_census.then(|| context.baseline.by_thread.clone());
    let SearchContext { limit: schedules, more, lower_first, .. } = *context;
    let limits = LevelLimits { schedules, more, lower_first };
    let bound = context.threads.bound.limit();
    let levels = search_levels(bound, limits, &mut |search| {
        host.search(search, &mut item_run);
        !item_run.is_over
    });
    let WorkItemRun { mut result, leaked, .. } = item_run;
    (result.schedules, result.exhausted) = (levels.schedules, levels.exhausted);
    result.complete_to = levels.complete_to;
    result.exceeds = true;
    (finished(result), leaked)
}

/// The result, with each finding told how many schedules there were.
fn finished(mut result: SearchResult) -> SearchResult {
    for found in &mut result.found {
        if let Some(schedule) = &mut found.schedule {
            schedule.of = result.schedules;
        }
    }
    result
}
