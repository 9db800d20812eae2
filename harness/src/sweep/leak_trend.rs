//! Leaks under the global allocator, told by repetition: statics and thread-locals are made by the
//! first run that needs them and never given back, so one run alone says nothing.
//!
//! In a process of its own the run is made again and again, and what is left over is added up.
//! *Once*: the first run leaves something, and the others no more. *Every*: each one does.
//! *Growing*: more after twice as many runs, and again after twice as many: a collection that
//! keeps its doubling for the runs that need it.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use crate::error::Error;
use crate::heap::is_more;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment};
use crate::report::format::{count, thousands};
use crate::report::kind::Kind;
use crate::run::symbolizer::Symbolizer;
use crate::run::{Run, execute};
use crate::sweep::exit_outcome::{FIRST_PATIENCE, os_error, patience};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point, moments};
use crate::sweep::point::RunContext;

/// Runs that are made: a power of two, so that growth shows at its doublings.
const RUNS: usize = 16;

/// What a series of equal runs left over.
#[derive(Clone, Debug, Default)]
struct RunSeries {
    /// By how many bytes there was more after each run than before it (or blocks, where the bytes
    /// are the same); or less.
    more: Vec<i64>,
    /// What the first run left, and the last one that left anything.
    first: Vec<Evidence>,
    last: Vec<Evidence>,
    stacks: BTreeMap<Moment, Stack>,
    /// Where the first run asked for what it left, if that was wanted.
    sites: Vec<Site>,
    fingerprint: u64,
}

codec_struct!(RunSeries { more, first, last, stacks, sites, fingerprint });

/// How memory is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeakTrend {
    Settled,
    Every,
    Growing,
}

impl RunSeries {
    fn left(&self) -> LeakTrend {
        let later = self.more.get(1..).unwrap_or(&[]);
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

    fn last_run(&self) -> Option<usize> {
        self.more.iter().rposition(|more| *more > 0)
    }

    /// What is said about a leak of this kind.
    fn note(&self) -> Option<String> {
        let total = |runs: usize| self.more.iter().take(runs).sum::<i64>().max(0) as u64;
        match self.left() {
            LeakTrend::Settled => None,
            LeakTrend::Every => Some(format!("every run leaves some: {RUNS} runs were made")),
            LeakTrend::Growing => Some(format!(
                "what is left grows: {} after {} runs, {} after {}, {} after {RUNS}",
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

/// Makes the runs; with `open_eyes`, the last run that left something (as an earlier series
/// showed) is made with its stacks taken, and the sites of what the first run left are looked up.
fn series(norm: &RunContext<'_>, plan: Option<&Plan>, open_eyes: Option<&RunSeries>) -> RunSeries {
    let scratch = ScratchDir::new(child::parent());
    let job = || match plan {
        Some(plan) => norm.job(plan.clone(), &scratch),
        None => norm.settings.job(&scratch),
    };
    let mut series = RunSeries::default();
    if plan.is_some() {
        execute(norm.subject, norm.settings.job(&scratch));
    }
    let eyes = |nth: usize| {
        let seen = open_eyes?;
        let evidence = match nth {
            _ if seen.last_run() == Some(nth) => &seen.last,
            0 => &seen.first,
            _ => return None,
        };
        Some(Capture::of(moments(evidence)))
    };
    for nth in 0..RUNS {
        let mut job = job();
        job.capture = eyes(nth);
        let mut run = execute(norm.subject, job);
        let more = is_more(run.survived);
        series.more.push(more);
        let leaks = leaks(&run);
        if nth == 0 && plan.is_none() {
            series.first = leaks.clone();
            let stacks: Vec<Stack> = run.taken.values().cloned().collect();
            let sites = (!stacks.is_empty())
                .then(|| Symbolizer::new(norm.settings.known_file).sites(&stacks));
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

/// The series in a child of its own, first blindly and then with open eyes.
fn seen(
    norm: &RunContext<'_>,
    plan: Option<&Plan>,
    time: Duration,
) -> Result<Option<RunSeries>, Error> {
    if norm.settings.in_process {
        let blind = series(norm, plan, None);
        return Ok(Some(RunSeries { stacks: BTreeMap::new(), ..blind }));
    }
    let ask = |eyes: Option<&RunSeries>| {
        let answer = child::ask::<RunSeries>(time, |pipe| {
            pipe.send(&series(norm, plan, eyes));
        });
        answer
            .map(|mut answer| answer.messages.pop())
            .map_err(|error| os_error("start a child", &error))
    };
    let Some(blind) = ask(None)? else { return Ok(None) };
    if blind.more.iter().all(|more| *more <= 0) {
        return Ok(Some(blind));
    }
    let eyes = ask(Some(&blind))?;
    Ok(Some(eyes.unwrap_or(blind)))
}

/// What is left without any fault: a finding if there is more and more of it, and a list of what
/// there is once.
pub(crate) fn without_fault(
    norm: &RunContext<'_>,
) -> Result<(Option<Observation>, Vec<String>), Error> {
    let Some(series) = seen(norm, None, FIRST_PATIENCE)? else {
        // It died: the runs that come next say of what.
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
            order: None,
        };
        return Ok((Some(found), Vec::new()));
    }
    Ok((None, once(&series)))
}

/// What the first run left, as notes of a report.
fn once(series: &RunSeries) -> Vec<String> {
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

/// Confirms the leaks among what was found, each root once, at its smallest point, or under the
/// caller's own plan. What settles is no leak.
pub(crate) fn confirm(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    mut found: Vec<Observation>,
    own: Option<&Plan>,
) -> Result<Vec<Observation>, Error> {
    if norm.settings.global.is_none() {
        return Ok(found);
    }
    found.sort_by_key(|found| found.point);
    // What settles at one point may be a leak at another, but is hardly one once it has settled at
    // some.
    const SETTLED: usize = 3;
    let mut leaking: BTreeMap<Vec<Stack>, String> = BTreeMap::new();
    let mut settled: BTreeMap<Vec<Stack>, BTreeSet<Option<Point>>> = BTreeMap::new();
    for found in &mut found {
        let point = found.point;
        let plan = point.map(|point| Plan::at(point.at, point.persistent));
        let Some(plan) = plan.as_ref().or(own) else { continue };
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
                    let series = seen(norm, Some(plan), patience(norm.settings, scouted))?;
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
