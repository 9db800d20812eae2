//! Requests that only the first run of a process makes: those that fill statics, thread-locals and
//! caches of the program. Workers warm up with a run, so their points never fail such a request. Here
//! each is failed in a process that has not run the subject before.
//!
//! It comes before the baseline, since that may run the subject in the sweep's own process.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::{Evidence, Moment};
use crate::report::finding::Finding;
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::report::{Report, call_site::Site};
use crate::run::{Subject, execute};
use crate::sweep::baseline::{measure_apart, take_sites};
use crate::sweep::exit_outcome::{first_patience, os_error};
use crate::sweep::leak_trend;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::point::RunContext;
use crate::sweep::points::both_ways;
use crate::sweep::settings::Settings;
use crate::sweep::stray_accesses;
use crate::sweep::suppressions::named_findings;
use crate::sweep::workers::{SweepResults, judge_points};
use crate::trace::{Coordinate, Op};

/// What the sweep of first uses showed.
#[derive(Default)]
pub(crate) struct FirstUse {
    /// The requests that only the first run of a process makes.
    requests: u64,
    /// Their call sites, by key.
    pub(crate) sites: BTreeMap<u64, Site>,
    outcomes: Vec<Outcome>,
    /// Points that a limit left out, or all.
    left_out: u64,
    /// Whether none was run, since first runs differ from each other without any fault.
    differs: bool,
    pub(crate) findings: Vec<Finding>,
    effort: u64,
}

impl FirstUse {
    /// Adds the figures to those of the warm runs, whose call sites have these keys.
    pub(crate) fn add_to(&self, report: &mut Report, warm: &BTreeSet<u64>) {
        if self.requests == 0 {
            return;
        }
        let all = count(report.coverage.requests + self.requests, "request");
        let verb = if self.requests == 1 { "is" } else { "are" };
        let how = match self.differs {
            true => "not failed: first runs differ without any fault",
            false => "failed in processes that had not warmed up",
        };
        report.notes.push(format!(
            "{} of {all} {verb} made only by the first run of a process, and {how}",
            self.requests
        ));
        report.coverage.requests += self.requests;
        report.coverage.first_use = self.requests;
        report.coverage.sites += self.sites.keys().filter(|key| !warm.contains(key)).count() as u64;
        report.coverage.runs += self.outcomes.len() as u64;
        report.coverage.runs_total += self.outcomes.len() as u64 + self.left_out;
        report.coverage.complete &= self.left_out == 0;
        report.effort += self.effort;
        for outcome in &self.outcomes {
            report.outcomes[*outcome as usize] += 1;
        }
    }

    /// Whether there are such requests.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// The number of runs that were made.
    pub(crate) fn runs(&self) -> u64 {
        self.outcomes.len() as u64
    }
}

/// Fails every request that only the first run of a process makes. Nothing under the caller's own
/// heap, whose blocks end with their run; nor in process, where there is one first run; nor under a
/// model checker, which makes the statics of its facade anew.
///
/// # Errors
/// The system refuses a child process or shared memory.
pub(crate) fn sweep_first_uses(
    settings: &Settings,
    subject: &dyn Subject,
) -> Result<FirstUse, Error> {
    let has_none = !settings.repeats_for_leaks()
        || settings.in_process
        || settings.host.is_some()
        || settings.only_check;
    if has_none {
        return Ok(FirstUse::default());
    }
    let made_first = made_first(settings, subject)?;
    if made_first.is_empty() {
        return Ok(FirstUse::default());
    }
    let warm = measure_warm(settings, subject)?;
    loop {
        let result =
            settings.in_first_runs(|| sweep_unwarmed(settings, subject, &warm, &made_first))?;
        match result {
            Some(first_use) => return Ok(first_use),
            // They write where they may not: once more, on guarded memory.
            None => settings.sheltered.set(true),
        }
    }
}

/// A request as it can be compared without call sites: its thread, operation and size.
type Asked = (u16, Op, u64);
/// How many such requests there are.
type Counts = BTreeMap<Asked, u64>;

/// How many processes are asked about real threads, whose order may also be the reason for a request.
const PROCESSES_OF_THREADS: usize = 3;

/// The requests that the first run of a process makes more often than two later ones.
///
/// # Errors
/// If no child can be started.
fn made_first(settings: &Settings, subject: &dyn Subject) -> Result<Counts, Error> {
    let mut extra: Option<Counts> = None;
    for _ in 0..PROCESSES_OF_THREADS {
        let answer = child::ask::<Vec<(u64, (Op, u64))>>(first_patience(settings), &|pipe| {
            let scratch = ScratchDir::new(child::parent());
            for _ in 0..3 {
                let mut job = settings.job(&scratch);
                job.record = true;
                let trace = execute(subject, job).trace;
                status::set_started();
                let requests = trace.iter().filter(|event| event.op != Op::Free);
                let asked = requests.map(|it| (u64::from(it.thread), (it.op, it.size as u64)));
                pipe.send(&asked.collect::<Vec<_>>());
            }
        });
        let answer = answer.map_err(|error| os_error("start a child", &error))?;
        // A child that died says nothing here: the baseline reports its death.
        let [first, second, third] = &answer.messages[..] else { return Ok(Counts::new()) };
        let [first, second, third] = [first, second, third].map(|run| counts(run));
        let more = |(asked, count): (&Asked, &u64)| {
            let later = [&second, &third].map(|run| run.get(asked).copied().unwrap_or(0));
            let more = count.saturating_sub(later[0].max(later[1]));
            (more > 0).then_some((*asked, more))
        };
        let new: Counts = first.iter().filter_map(more).collect();
        let agreed = match extra {
            None => new,
            Some(before) => {
                let both =
                    |(asked, n): (Asked, u64)| new.get(&asked).map(|count| (asked, n.min(*count)));
                before.into_iter().filter_map(both).collect()
            }
        };
        let has_threads = first.keys().any(|(thread, ..)| *thread > 0);
        if agreed.is_empty() || !has_threads {
            return Ok(agreed);
        }
        extra = Some(agreed);
    }
    Ok(extra.unwrap_or_default())
}

fn counts(run: &[(u64, (Op, u64))]) -> Counts {
    let mut counts = Counts::new();
    for (thread, (op, size)) in run {
        let thread = u16::try_from(*thread).unwrap_or(u16::MAX);
        *counts.entry((thread, *op, *size)).or_default() += 1;
    }
    counts
}

/// The requests of a second run and their call sites, measured in a child process.
///
/// # Errors
/// If no child can be started.
fn measure_warm(settings: &Settings, subject: &dyn Subject) -> Result<Baseline, Error> {
    let answer = child::ask::<Baseline>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(child::parent());
        execute(subject, settings.job(&scratch));
        status::set_started();
        let mut job = settings.job(&scratch);
        job.capture = Some(Capture::census());
        let census = execute(subject, job);
        let by_thread = census.requests.clone();
        let mut baseline = Baseline { by_thread, ..Baseline::default() };
        take_sites(&mut baseline, census.census.unwrap_or_default(), settings.known_file);
        pipe.send(&baseline);
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    Ok(answer.messages.pop().unwrap_or_default())
}

/// Sweeps the requests of a first run that later runs don't make. `None` if faulted runs write where
/// they may not.
fn sweep_unwarmed(
    settings: &Settings,
    subject: &dyn Subject,
    warm: &Baseline,
    made_first: &Counts,
) -> Result<Option<FirstUse>, Error> {
    let cold = measure_apart(settings, subject)?;
    if cold.error.is_some() || cold.dead_end.is_some() {
        // The baseline reports it, unless only first runs differ from each other.
        let requests = made_first.values().sum();
        return Ok(Some(FirstUse {
            requests,
            left_out: requests,
            differs: true,
            ..FirstUse::default()
        }));
    }
    let all = only_first(&cold, warm, made_first.clone());
    let requests = all.len() as u64;
    let sites = all.iter().filter_map(|at| cold.site(*at)).filter(|_| cold.has_sites);
    let sites: BTreeMap<u64, Site> = sites.map(|site| (site.key(), site.clone())).collect();
    let mut points: Vec<Point> = both_ways(all.into_iter(), settings.faults);
    let total = points.len();
    let limit = settings.limit.map_or(usize::MAX, |limit| (limit / 2) as usize);
    points.truncate(limit);
    let context = RunContext::new(settings, subject, &cold);
    let SweepResults { outcomes, mut found, effort, .. } = judge_points(&context, &cold, &points)?;
    if stray_accesses::is_astray(&context, &found)? {
        return Ok(None);
    }
    if settings.sheltered.get() {
        stray_accesses::guard_points(&context, &points, &mut found)?;
    }
    found = confirm_leaks(&context, &cold, found)?;
    let findings = named_findings(settings, &cold, &mut found)?;
    let left_out = (total - points.len()) as u64;
    Ok(Some(FirstUse { requests, sites, outcomes, left_out, differs: false, findings, effort }))
}

/// The requests that a first run makes more often than a later one, told by call site, operation and
/// size: at most those of `made_first`. Where both make some, the earliest are taken: what is filled
/// at its first use comes first.
fn only_first(cold: &Baseline, warm: &Baseline, mut made_first: Counts) -> Vec<Coordinate> {
    let has_sites = cold.has_sites && warm.has_sites;
    let key = |baseline: &Baseline, at: Coordinate| {
        let site = baseline.site(at).filter(|_| has_sites).map(Site::key);
        (at.thread, site, baseline.asked(at))
    };
    let mut in_warm: BTreeMap<_, u64> = BTreeMap::new();
    for at in warm.coordinates() {
        *in_warm.entry(key(warm, at)).or_default() += 1;
    }
    let mut more: BTreeMap<_, u64> = BTreeMap::new();
    for at in cold.coordinates() {
        *more.entry(key(cold, at)).or_default() += 1;
    }
    for (key, count) in &mut more {
        *count = count.saturating_sub(in_warm.get(key).copied().unwrap_or(0));
    }
    let is_extra = |at: &Coordinate| {
        let asked = cold.asked(*at).map(|(op, size)| (at.thread, op, size));
        let unsited = asked.and_then(|asked| made_first.get_mut(&asked));
        match (more.get_mut(&key(cold, *at)), unsited) {
            (Some(left), Some(of_all)) if *left > 0 && *of_all > 0 => {
                *left -= 1;
                *of_all -= 1;
                true
            }
            _ => false,
        }
    };
    cold.coordinates().filter(is_extra).collect()
}

/// Confirms the leaks among what first runs showed. A block that such a run leaves may belong to a
/// static from then on. It is a leak if each run under the same fault leaves one, or if there is one
/// more of it in the end than without the fault: the static was filled again.
///
/// # Errors
/// If no child can be started.
pub(crate) fn confirm_leaks(
    context: &RunContext<'_>,
    cold: &Baseline,
    found: Vec<Observation>,
) -> Result<Vec<Observation>, Error> {
    let has_leak = |found: &Observation| found.evidence.iter().any(|e| e.kind == Kind::Leak);
    let usual = match found.iter().any(has_leak) {
        true => kept(context, None, &BTreeSet::new())?,
        false => None,
    };
    let usual = match usual {
        Some(usual) => kept(context, None, &moments(&usual.left))?,
        None => None,
    };
    let mut doubled: Vec<Observation> = Vec::new();
    if let Some(usual) = &usual {
        let kept_once: BTreeSet<Class> =
            usual.left.iter().filter_map(|block| class(block, &usual.stacks)).collect();
        for found in found.iter().filter(|found| has_leak(found)) {
            let is_doubled = |evidence: &&Evidence| {
                evidence.kind == Kind::Leak
                    && class(evidence, &found.stacks).is_some_and(|it| kept_once.contains(&it))
            };
            let suspects: Vec<Evidence> =
                found.evidence.iter().filter(is_doubled).cloned().collect();
            let Some(point) = found.point.filter(|_| !suspects.is_empty()) else { continue };
            let plan = Plan::at(point.at, point.persistent);
            let Some(after) = kept(context, Some(&plan), &BTreeSet::new())? else { continue };
            let more = (after.total.0 - usual.total.0, after.total.1 - usual.total.1);
            let note = "left behind, and allocated again by a later run, which keeps that one";
            let fits = |evidence: &Evidence| {
                let size = evidence.block.as_ref().map_or(0, |block| block.size as i64);
                more.0 > 0 && more.1 >= size
            };
            let evidence: Vec<Evidence> =
                suspects.into_iter().filter(fits).map(|evidence| evidence.note(note)).collect();
            if !evidence.is_empty() {
                doubled.push(Observation { evidence, ..found.clone() });
            }
        }
    }
    let mut found = leak_trend::confirm(context, cold, found, None)?;
    found.extend(doubled);
    Ok(found)
}

/// A kind of blocks: their size and alignment, and the backtraces of their history.
type Class = (usize, usize, Vec<Stack>);

fn class(evidence: &Evidence, stacks: &BTreeMap<Moment, Stack>) -> Option<Class> {
    let block = evidence.block.as_ref()?;
    let history = evidence.steps.iter().map(|step| stacks.get(&step.1).cloned());
    Some((block.size, block.align, history.collect::<Option<_>>()?))
}

/// What a process keeps after a first run and two more without a fault.
#[derive(Clone, Debug)]
struct Kept {
    /// Blocks and bytes.
    total: (i64, i64),
    /// The blocks that the first run left, and the backtraces that were asked for.
    left: Vec<Evidence>,
    stacks: BTreeMap<Moment, Stack>,
}

codec_struct!(Kept { total, left, stacks });

/// Makes a first run, under this plan if there is one, and two more without a fault, in a child
/// process. `None` if it died.
fn kept(
    context: &RunContext<'_>,
    plan: Option<&Plan>,
    wanted: &BTreeSet<Moment>,
) -> Result<Option<Kept>, Error> {
    let settings = context.settings;
    let answer = child::ask::<Kept>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(child::parent());
        let mut job = match plan {
            Some(plan) => context.job(plan.clone(), &scratch),
            None => settings.job(&scratch),
        };
        job.capture = (!wanted.is_empty()).then(|| Capture::of(wanted.clone()));
        let mut first = execute(context.subject, job);
        status::set_started();
        let leaks = first.evidence.iter().filter(|evidence| evidence.kind == Kind::Leak);
        let left = leaks.cloned().collect();
        let mut total = first.survived;
        for _ in 0..2 {
            let more = execute(context.subject, settings.job(&scratch)).survived;
            total = (total.0 + more.0, total.1 + more.1);
        }
        pipe.send(&Kept { total, left, stacks: std::mem::take(&mut first.taken) });
    });
    let answer = answer.map_err(|error| os_error("start a child", &error))?;
    Ok(answer.messages.into_iter().next_back())
}
