//! Makes what shows a finding small: first its fault, then its schedule; and finds the two operations
//! whose order matters. Each step is a run, and is kept where the run shows the same finding.

use crate::run::ddmin::ddmin;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Error;
use crate::explore::operation_log::OperationLog;
use crate::explore::work_item::{Root, WorkItem, job, judge, look};
use crate::host::{Host, ScheduledRun};
use crate::process::backtrace::Capture;
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
use crate::report::call_site::Site;
use crate::report::evidence::Moment;
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::run::outcome::ScheduledEnd;
use crate::run::{Run, RunInProgress, execute};
use crate::schedule::search::Search;
use crate::schedule::{Preemption, ScheduledOp};
use crate::sweep::exit_outcome::{os_error, patience};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;

/// Runs that are made for one finding at the most.
const RUNS_MAX: u64 = 10_000;
/// Runs that are made for the two operations at the most.
const PAIR_RUNS_MAX: u64 = 2_000;
/// A schedule with more preemptions than these is not looked for.
const FEWER_MAX: usize = 3;
/// A run that comes to so many points never ends.
const STEPS_MAX: u64 = 100_000;
/// So many findings are made small; more than these are the same few bugs.
const FINDINGS_MAX: usize = 40;

/// Makes the smallest of what shows each root cause smaller still, each in a child. `by_chance`: it
/// was not come to by the fewest preemptions first.
pub(crate) fn shorten(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    mut found: Vec<Observation>,
    by_chance: bool,
) -> Result<Vec<Observation>, Error> {
    let size = |found: &Observation| {
        let turns = found.order.as_ref().map_or(0, |order| order.preemptions.len());
        (found.point.is_some(), turns, found.point)
    };
    found.sort_by_key(size);
    let mut roots: BTreeMap<(Root, Option<u64>), usize> = BTreeMap::new();
    for (place, found) in found.iter().enumerate() {
        let Some(evidence) = found.evidence.first() else { continue };
        let site = found.injected.and_then(|injected| scouted.site(injected.at)).map(Site::key);
        let root = crate::explore::work_item::root(evidence, &found.stacks);
        let site = site.filter(|_| root.1.is_empty());
        roots.entry((root, site)).or_insert(place);
    }
    let mut places: Vec<usize> = roots.into_values().collect();
    places.sort_unstable();
    for place in places.into_iter().take(FINDINGS_MAX) {
        // Whoever ends the process can't be tried often; it was confirmed, and says where.
        let ends =
            |kind| matches!(kind, Kind::Abort | Kind::Crash | Kind::Exit | Kind::Nondeterminism);
        if found[place].evidence.iter().any(|evidence| ends(evidence.kind)) {
            continue;
        }
        let shorter = if norm.settings.in_process {
            let scratch = ScratchDir::new(std::process::id());
            Some(ScheduleShrinker::new(norm, &scratch, &found[place], by_chance).go())
        } else {
            let owner = std::process::id();
            let answer = child::ask::<Observation>(patience(norm.settings, scouted), |pipe| {
                let scratch = ScratchDir::new(owner);
                crate::process::status::set_started();
                pipe.send(&ScheduleShrinker::new(norm, &scratch, &found[place], by_chance).go());
            });
            answer.map_err(|error| os_error("start a child", &error))?.messages.pop()
        };
        if let Some(shorter) = shorter {
            found[place] = shorter;
        }
    }
    Ok(found)
}

/// One finding on its way to its smallest.
pub(crate) struct ScheduleShrinker<'a> {
    pub(crate) norm: &'a RunContext<'a>,
    scratch: &'a ScratchDir,
    root: Root,
    pub(crate) best: Observation,
    pub(crate) point: Option<Point>,
    pub(crate) turns: Vec<Preemption>,
    pub(crate) left: u64,
    by_chance: bool,
}

impl<'a> ScheduleShrinker<'a> {
    fn new(
        norm: &'a RunContext<'a>,
        scratch: &'a ScratchDir,
        found: &Observation,
        by_chance: bool,
    ) -> Self {
        let best = found.clone();
        let root = best
            .evidence
            .first()
            .map(|evidence| crate::explore::work_item::root(evidence, &best.stacks));
        let turns = best.order.as_ref().map(|order| order.preemptions.clone()).unwrap_or_default();
        ScheduleShrinker {
            norm,
            scratch,
            root: root.unwrap_or((Kind::Nondeterminism, Vec::new())),
            point: best.point,
            best,
            turns,
            left: RUNS_MAX,
            by_chance,
        }
    }

    /// Runs a fault in a schedule. Answers what it showed, if that is the finding, and the
    /// deviations that were made.
    fn probe(
        &mut self,
        point: Option<Point>,
        turns: &[Preemption],
    ) -> Option<(Observation, Vec<Preemption>)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let unit = point.map_or(WorkItem::Census, WorkItem::Fault);
        let norm = RunContext { turns, ..*self.norm };
        let mut job = job(&norm, unit, &unit.plan(), self.scratch);
        job.turns = turns;
        let mut run = execute(norm.subject, job);
        judge(&mut run, unit);
        if !run.evidence.iter().any(|evidence| evidence.kind == self.root.0) {
            return None;
        }
        let made = made(&run, turns);
        let found = look(&norm, unit, &unit.plan(), self.scratch, &run, &made);
        let (_, found) = found.into_iter().find(|(root, _)| *root == self.root)?;
        Some((found, made))
    }

    /// Takes this over, if it shows the finding.
    pub(crate) fn accept(&mut self, point: Option<Point>, turns: &[Preemption]) -> bool {
        let Some((found, made)) = self.probe(point, turns) else { return false };
        let before = self.best.order.take();
        self.best = found;
        self.best.order = before;
        (self.point, self.turns) = (point, made);
        true
    }

    fn go(mut self) -> Observation {
        if Preemption::loom_iteration(&self.turns).is_some() {
            return self.go_by_loom();
        }
        let before = (self.point, self.turns.len());
        self.faults();
        self.schedule();
        self.search();
        let needed = self.needed();
        let pair = self.pair();
        let mut notes = Vec::new();
        let gone = before.1.saturating_sub(self.turns.len());
        if gone > 0 {
            let all = count(before.1 as u64, "change");
            notes.push(format!("{gone} of {all} of threads were not needed"));
        }
        match (before.0, self.point) {
            (Some(_), None) => notes.push("the fault was not needed".to_owned()),
            (Some(old), Some(new)) if old != new => {
                notes.push("once is enough, it need not fail for good".to_owned());
            }
            _ => {}
        }
        notes.extend(needed);
        if let Some(order) = &mut self.best.order {
            order.preemptions = self.turns;
            order.notes = notes;
            order.pair = Vec::new();
        }
        if let (Some(order), Some((pair, stacks))) = (&mut self.best.order, pair) {
            order.pair = pair;
            self.best.stacks.extend(stacks);
        }
        self.best
    }

    fn faults(&mut self) {
        let turns = self.turns.clone();
        if self.point.is_some() && self.accept(None, &turns) {
            return;
        }
        if let Some(point) = self.point.filter(|point| point.persistent) {
            self.accept(Some(Point { persistent: false, ..point }), &turns);
        }
    }

    /// Leaves out changes of threads: halves, quarters, and so on to single ones.
    fn schedule(&mut self) {
        if self.turns.is_empty() || self.accept(self.point, &[]) {
            return;
        }
        ddmin(
            self,
            |shrinker| shrinker.turns.len(),
            |shrinker, range| {
                let mut fewer = shrinker.turns.clone();
                fewer.drain(range);
                shrinker.accept(shrinker.point, &fewer)
            },
        );
    }

    /// Looks for a schedule with fewer changes of threads, where this one was come to by chance.
    fn search(&mut self) {
        let Some(host) = self.norm.settings.host.filter(|_| self.by_chance) else { return };
        let fewer = self.turns.len().saturating_sub(1).min(FEWER_MAX);
        if self.turns.is_empty() {
            return;
        }
        let search = Search::bounded(fewer as u32, self.left).steps_max(STEPS_MAX);
        let (found, _) = self.seek(host, self.point, search);
        if let Some(turns) = found.filter(|turns| turns.len() < self.turns.len()) {
            self.left = self.left.max(2);
            self.accept(self.point, &turns);
        }
    }

    /// Searches until the finding is seen. Answers by which schedule, and whether it was searched to
    /// the end.
    pub(crate) fn seek(
        &mut self,
        host: &dyn Host,
        point: Option<Point>,
        search: Search,
    ) -> (Option<Vec<Preemption>>, bool) {
        let unit = point.map_or(WorkItem::Census, WorkItem::Fault);
        let search = Rc::new(RefCell::new(search));
        let mut seek = ScheduleSeek { trial: self, unit, going: None, found: None };
        host.search(Rc::clone(&search), &mut seek);
        let found = seek.found;
        let search = search.borrow();
        self.left -= search.begun().min(self.left);
        (found, search.is_exhausted())
    }

    /// Leaves each part that is left out once more, to say that it is needed.
    fn needed(&mut self) -> Option<String> {
        let mut parts = Vec::new();
        let turns = self.turns.clone();
        if let Some(point) = self.point {
            if self.left == 0 || self.probe(None, &turns).is_some() {
                return None;
            }
            parts.push(format!("the failure of {}", point.at));
        }
        for (nth, turn) in turns.iter().enumerate() {
            let rest: Vec<Preemption> = [&turns[..nth], &turns[nth + 1..]].concat();
            if self.left == 0 || self.probe(self.point, &rest).is_some() {
                return None;
            }
            parts.push(turn.to_string());
        }
        match parts.as_slice() {
            [] => None,
            [one] => Some(format!("needs {one}: without it, it is not seen")),
            [rest @ .., last] => Some(format!(
                "needs {} and {last}: without any of them, it is not seen",
                rest.join(", ")
            )),
        }
    }

    /// The two operations whose order matters, by the last change of threads: what the thread that
    /// went on has to have done, and what the other one must not have done before.
    fn pair(
        &mut self,
    ) -> Option<(Vec<ScheduledOp>, BTreeMap<Moment, crate::process::backtrace::Stack>)> {
        let acts = self.acts(&self.turns.clone())?;
        let last = (0..self.turns.len()).rev().find(|nth| acts.preempts(self.turns[*nth]))?;
        let turn = self.turns[last];
        self.left = PAIR_RUNS_MAX;
        let (before, after) = (self.turns[..last].to_vec(), self.turns[last + 1..].to_vec());
        let with = |turns: &[Preemption]| [&before, turns, &after].concat();
        // How late may the first thread still be left?
        let mut late = turn;
        loop {
            let later = Preemption { point: late.point + 1, ..late };
            let candidate = with(&[later]);
            match self.probe(self.point, &candidate) {
                Some((_, made)) if made == candidate => late = later,
                _ => break,
            }
        }
        // And how early may it go on again?
        let acts = self.acts(&with(&[late]))?;
        let first = acts.next_point(late)?;
        let mut done = None;
        for point in first + 1.. {
            let back = Preemption { thread: late.to, point, to: late.thread };
            let candidate: Vec<Preemption> = before.iter().copied().chain([late, back]).collect();
            match self.probe(self.point, &candidate) {
                Some(_) => {
                    done = Some(point - 1);
                    break;
                }
                None if self.left == 0 || !acts.has(late.to, point) => break,
                None => {}
            }
        }
        // Where it never may, all that the other one does until it waits or ends has to be done.
        let done = done.or_else(|| acts.last_point(late))?;
        let first = acts.act(late.to, done)?;
        let then = acts.act(late.thread, late.point)?;
        let steps = [first.step, then.step].map(Moment::Step);
        let stacks = self.stacks(&with(&[late]), &steps);
        Some((vec![first, then], stacks))
    }

    fn run(&self, turns: &[Preemption], change: impl FnOnce(&mut crate::run::Job<'_>)) -> Run {
        let unit = self.point.map_or(WorkItem::Census, WorkItem::Fault);
        let norm = RunContext { turns, ..*self.norm };
        let mut job = job(&norm, unit, &unit.plan(), self.scratch);
        job.turns = turns;
        change(&mut job);
        execute(norm.subject, job)
    }

    /// All that the threads do in a schedule.
    fn acts(&self, turns: &[Preemption]) -> Option<OperationLog> {
        let run = self.run(turns, |job| job.record_operations = true);
        OperationLog::of(run.operations)
    }

    fn stacks(
        &self,
        turns: &[Preemption],
        steps: &[Moment],
    ) -> BTreeMap<Moment, crate::process::backtrace::Stack> {
        let moments = steps.iter().copied().collect();
        self.run(turns, |job| job.capture = Some(Capture::of(moments))).taken
    }
}

/// Runs until the finding is seen.
struct ScheduleSeek<'s, 'a> {
    trial: &'s ScheduleShrinker<'a>,
    unit: WorkItem,
    going: Option<RunInProgress<'s>>,
    found: Option<Vec<Preemption>>,
}

impl ScheduledRun for ScheduleSeek<'_, '_> {
    fn begin(&mut self) {
        let ScheduleShrinker { norm, scratch, .. } = self.trial;
        self.going = Some(RunInProgress::new(job(norm, self.unit, &self.unit.plan(), scratch)));
    }

    fn body(&mut self) {
        if let Some(going) = &mut self.going {
            going.body(self.trial.norm.subject);
        }
    }

    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool {
        let Some(going) = self.going.take() else { return false };
        let mut run = going.end(conducted);
        judge(&mut run, self.unit);
        let ScheduleShrinker { norm, scratch, root, .. } = self.trial;
        if !run.evidence.iter().any(|evidence| evidence.kind == root.0) {
            return true;
        }
        let found = look(norm, self.unit, &self.unit.plan(), scratch, &run, search.preemptions());
        let is_it = found.iter().any(|(seen, _)| seen == root);
        if is_it {
            self.found = Some(search.preemptions().to_vec());
        }
        !is_it
    }
}

/// The deviations of these that a run has made.
pub(crate) fn made(run: &Run, turns: &[Preemption]) -> Vec<Preemption> {
    let end = run.conducted.diverged.and_then(|left| turns.iter().position(|turn| *turn == left));
    turns[..end.unwrap_or(turns.len())].to_vec()
}
