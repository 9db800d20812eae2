//! Leaks under the global allocator, found by repetition. The first run that needs a static or a
//! thread-local allocates it and never frees it, so a single run proves no leak.
//!
//! A child process makes the same run again and again, and adds up the memory that is left over:
//! *settled* if only the first runs leave any, *every* if each run does, *growing* if there is more
//! after twice as many runs, and again after twice as many (a collection that doubles does so in
//! few runs only). What grows has to go on growing in a longer series: garbage that is freed later,
//! as that of epochs or of queues that are emptied when they are full, levels off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::Error;
use crate::heap::is_more;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment};
use crate::report::format::{count, thousands};
use crate::report::kind::Kind;
use crate::run::symbolizer::Symbolizer;
use crate::run::{Run, execute};
use crate::sweep::exit_outcome::{first_patience, os_error, patience};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::point::RunContext;

/// The number of runs: a power of two, so that growth by doubling shows.
const RUNS: usize = 16;

/// The number of runs of the longer series. What doubles does so between its first and its last
/// third, and what grows steadily has doubled then.
const RUNS_LONG: usize = 96;
/// A series that has left this many bytes need not go on.
const LEFT_MAX: i64 = 64 << 20;

/// What a series of equal runs left over.
#[derive(Clone, Debug, Default)]
struct RunSeries {
    /// By how many bytes each run changed the live memory (by how many blocks, if the bytes are the
    /// same).
    more: Vec<i64>,
    /// The blocks that the first run left, and those of the last run that left any.
    first: Vec<Evidence>,
    last: Vec<Evidence>,
    stacks: BTreeMap<Moment, Stack>,
    /// Call sites of the blocks that the first run left, if backtraces were taken.
    sites: Vec<Site>,
    fingerprint: u64,
    /// Whether a longer series left no more than this one may.
    levels_off: bool,
}

codec_struct!(RunSeries { more, first, last, stacks, sites, fingerprint, levels_off });

/// How left-over memory develops over a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeakTrend {
    Settled,
    Every,
    Growing,
}

impl RunSeries {
    fn trend(&self) -> LeakTrend {
        let later = self.more.get(1..).unwrap_or(&[]);
        if self.levels_off {
            return LeakTrend::Settled;
        }
        if !later.is_empty() && later.iter().all(|more| *more > 0) {
            return LeakTrend::Every;
        }
        let after = |runs: usize| later.iter().take(runs - 1).sum::<i64>();
        let (quarter, half) = (RUNS / 4, RUNS / 2);
        if after(RUNS) > after(half) && after(half) > after(quarter) {
            return LeakTrend::Growing;
        }
        LeakTrend::Settled
    }

    /// Whether there is always half as much again in the last third of the runs as ever in the
    /// first. The first run, which fills statics, doesn't count.
    fn keeps_growing(&self) -> bool {
        let mut total = 0;
        let later = self.more.iter().skip(1);
        let totals: Vec<i64> = later
            .map(|more| {
                total += more;
                total
            })
            .collect();
        let third = RUNS_LONG / 3;
        let most_at_first = totals.iter().take(third).max().copied().unwrap_or(0);
        let least_at_last = totals.iter().skip(2 * third).min().copied().unwrap_or(0);
        self.more.len() < RUNS_LONG || 2 * least_at_last > 3 * most_at_first.max(0)
    }

    /// The last run that left memory.
    fn last_run(&self) -> Option<usize> {
        self.more.iter().rposition(|more| *more > 0)
    }

    /// The note on a leak; `None` if the memory settled.
    fn note(&self) -> Option<String> {
        let total = |runs: usize| self.more.iter().take(runs).sum::<i64>().max(0) as u64;
        match self.trend() {
            LeakTrend::Settled => None,
            LeakTrend::Every => {
                Some(format!("every run leaves some memory: {RUNS} runs were made"))
            }
            LeakTrend::Growing => Some(format!(
                "the memory left behind grows: {} after {} runs, {} after {}, {} after {RUNS}",
                count(total(RUNS / 4), "byte"),
                RUNS / 4,
                thousands(total(RUNS / 2)),
                RUNS / 2,
                thousands(total(RUNS)),
            )),
        }
    }
}

fn leaks(run: &Run) -> Vec<Evidence> {
    run.evidence.iter().filter(|evidence| evidence.kind == Kind::Leak).cloned().collect()
}

/// Makes a series of this many runs, fewer if they leave too much. With an `earlier` series, takes
/// the backtraces of the blocks that its first run left, and its last run that left any.
fn series(
    context: &RunContext<'_>,
    plan: Option<&Plan>,
    earlier: Option<&RunSeries>,
    runs: usize,
) -> RunSeries {
    let scratch = ScratchDir::new(child::parent());
    let job = || match plan {
        Some(plan) => context.job(plan.clone(), &scratch),
        None => context.settings.job(&scratch),
    };
    let mut series = RunSeries::default();
    if plan.is_some() && !context.settings.first_runs.get() {
        execute(context.subject, context.settings.job(&scratch));
    }
    let capture = |nth: usize| {
        let earlier = earlier?;
        let evidence = match nth {
            _ if earlier.last_run() == Some(nth) => &earlier.last,
            0 => &earlier.first,
            _ => return None,
        };
        Some(Capture::of(moments(evidence)))
    };
    let mut left = 0;
    for nth in 0..runs {
        let mut job = job();
        job.capture = capture(nth);
        let mut run = execute(context.subject, job);
        let more = is_more(run.survived);
        series.more.push(more);
        left += more;
        if nth >= RUNS && left > LEFT_MAX {
            break;
        }
        let leaks = leaks(&run);
        if nth == 0 && plan.is_none() {
            series.first = leaks.clone();
            let stacks: Vec<Stack> = run.taken.values().cloned().collect();
            let sites = (!stacks.is_empty()).then(|| {
                status::busy(|| Symbolizer::new(context.settings.known_file).sites(&stacks))
            });
            series.sites = sites.flatten().unwrap_or_default();
        }
        if more > 0 {
            series.last = leaks;
            series.stacks = std::mem::take(&mut run.taken);
            series.fingerprint = run.fingerprint.0;
        }
    }
    series
}

/// Makes a series in a child process, and, if it left memory, a second one with backtraces, and a
/// longer one to see whether it goes on. `None` if the child died.
fn run_series(
    context: &RunContext<'_>,
    plan: Option<&Plan>,
    time: Duration,
) -> Result<Option<RunSeries>, Error> {
    if context.settings.in_process {
        let first = series(context, plan, None, RUNS);
        return Ok(Some(RunSeries { stacks: BTreeMap::new(), ..first }));
    }
    let ask = |earlier: Option<&RunSeries>, runs: usize| {
        let answer = child::ask::<RunSeries>(time, &|pipe| {
            pipe.send(&series(context, plan, earlier, runs));
        });
        answer
            .map(|mut answer| answer.messages.pop())
            .map_err(|error| os_error("start a child", &error))
    };
    let Some(first) = ask(None, RUNS)? else { return Ok(None) };
    if first.more.iter().all(|more| *more <= 0) {
        return Ok(Some(first));
    }
    let mut seen = ask(Some(&first), RUNS)?.unwrap_or(first);
    if seen.trend() != LeakTrend::Settled {
        let long = ask(None, RUNS_LONG)?;
        seen.levels_off = long.is_some_and(|long| !long.keeps_growing());
    }
    Ok(Some(seen))
}

/// The memory that fault-free runs leave: a finding if there is more and more of it, else notes on
/// what the first run left.
///
/// # Errors
/// If no child can be started.
pub(crate) fn without_fault(
    context: &RunContext<'_>,
) -> Result<(Option<Observation>, Vec<String>), Error> {
    let Some(series) = run_series(context, None, first_patience(context.settings))? else {
        // The child died. The fault-free runs that follow report how.
        return Ok((None, Vec::new()));
    };
    if let Some(note) = series.note() {
        let note = |evidence: &Evidence| evidence.clone().note(note.clone());
        let found = Observation {
            point: None,
            injected: None,
            fingerprint: series.fingerprint,
            evidence: series.last.iter().map(note).collect(),
            stacks: series.stacks,
            schedule: None,
        };
        return Ok((Some(found), Vec::new()));
    }
    Ok((None, kept_once(&series)))
}

/// Notes on the memory that the first run left.
fn kept_once(series: &RunSeries) -> Vec<String> {
    const SHOWN: usize = 8;
    let bytes = series.first.iter().filter_map(|e| e.block.as_ref()).map(|block| block.size as u64);
    let (blocks, bytes) = (series.first.len() as u64, bytes.sum::<u64>());
    if blocks == 0 {
        return Vec::new();
    }
    let names = series.sites.iter().map(|site| match site.frames.first() {
        Some(frame) => frame.short_name(),
        None => "std".to_owned(),
    });
    let names: BTreeSet<String> = names.collect();
    let mut shown: Vec<String> = names.iter().take(SHOWN).cloned().collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    let from = if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) };
    vec![format!(
        "kept once, by statics and thread-locals: {} in {}{from}",
        count(bytes, "byte"),
        count(blocks, "block")
    )]
}

/// Confirms the leaks among these observations by repetition, each root cause once, at its smallest
/// point or under the caller's own plan. Memory that settles is no leak.
///
/// # Errors
/// If no child can be started.
pub(crate) fn confirm(
    context: &RunContext<'_>,
    baseline: &Baseline,
    mut found: Vec<Observation>,
    own_plan: Option<&Plan>,
) -> Result<Vec<Observation>, Error> {
    if !context.settings.repeats_for_leaks() {
        return Ok(found);
    }
    found.sort_by_key(|found| found.point);
    // Memory that settles at one point may be a leak at another; after this many points that is
    // unlikely enough.
    const SETTLED: usize = 3;
    let mut leaking: BTreeMap<Vec<Stack>, String> = BTreeMap::new();
    let mut settled: BTreeMap<Vec<Stack>, BTreeSet<Option<Point>>> = BTreeMap::new();
    for found in &mut found {
        let point = found.point;
        let plan = point.map(|point| Plan::at(point.at, point.persistent));
        let Some(plan) = plan.as_ref().or(own_plan) else { continue };
        let mut kept = Vec::with_capacity(found.evidence.len());
        for evidence in std::mem::take(&mut found.evidence) {
            if evidence.kind != Kind::Leak {
                kept.push(evidence);
                continue;
            }
            let stacks = evidence.steps.iter().filter_map(|step| found.stacks.get(&step.1));
            let root: Vec<Stack> = stacks.cloned().collect();
            let points = settled.get(&root);
            let is_settled = points.is_some_and(|p| p.len() >= SETTLED || p.contains(&point));
            let verdict = match leaking.get(&root) {
                Some(verdict) => Some(verdict.clone()),
                None if is_settled => None,
                None => {
                    let series =
                        run_series(context, Some(plan), patience(context.settings, baseline))?;
                    let verdict = series.and_then(|series| series.note());
                    match &verdict {
                        Some(note) => drop(leaking.insert(root, note.clone())),
                        None => drop(settled.entry(root).or_default().insert(point)),
                    }
                    verdict
                }
            };
            kept.extend(verdict.map(|note| evidence.note(note)));
        }
        found.evidence = kept;
    }
    found.retain(|found| !found.evidence.is_empty());
    Ok(found)
}
