//! All points of a sweep: runs them in child processes or in this one, keeps the journal, and
//! confirms what was seen once by running it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::plan::Plan;
use crate::process::exit::{Death, DeathRecord};
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::SharedMemory;
use crate::report::call_site::Site;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::sweep::exit_outcome::{
    DescribedDeath, describe, kind_of, observation_at, os_error, outcome_of, own_frames, patience,
};
use crate::sweep::grouping::DEATH_FRAMES;
use crate::sweep::isolated_run::{IsolatedRun, run_isolated};
use crate::sweep::journal::Journal;
use crate::sweep::journal_text::Key;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::point_status::{FOUND, decode, encode};
use crate::sweep::settings::Progress;
use crate::sweep::strategy::{PointResults, PointRunner};
use crate::sweep::suppressions::check_outcome;
use crate::trace::hash_bytes;

/// The results of all points of a sweep.
pub(crate) struct SweepResults {
    /// One for each point, in the order of the points.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) found: Vec<Observation>,
    /// Whether they were forked off a pass.
    pub(crate) forked: bool,
    /// Requests that all their runs made together.
    pub(crate) effort: u64,
}

/// Runs all points, and adds what the caller demands of their outcomes to what was found, each confirmed
/// by another run.
///
/// # Errors
/// As of [`run_points`].
pub(crate) fn judge_points(
    context: &RunContext<'_>,
    baseline: &Baseline,
    points: &[Point],
) -> Result<SweepResults, Error> {
    let mut results = run_points(context, baseline, points)?;
    let mut from_outcomes = Vec::new();
    for (point, outcome) in points.iter().zip(&results.outcomes) {
        let observation = check_outcome(context.settings, baseline, *point, *outcome);
        from_outcomes.extend(observation.map(|observation| (*outcome, observation)));
    }
    results.found.extend(confirm_outcomes(context, baseline, from_outcomes)?);
    Ok(results)
}

/// Runs all points, in child processes unless the settings say otherwise.
///
/// # Errors
/// The system refuses a child process or shared memory, the journal can't be used, or the strategy
/// that was asked for is impossible.
fn run_points(
    context: &RunContext<'_>,
    baseline: &Baseline,
    points: &[Point],
) -> Result<SweepResults, Error> {
    let settings = context.settings;
    let mut found = Vec::new();
    if settings.in_process {
        let scratch = ScratchDir::new(std::process::id());
        let mut outcomes = Vec::with_capacity(points.len());
        let mut effort = 0;
        for point in points {
            let (run, observation) = context.try_point(*point, &scratch);
            outcomes.push(run.outcome);
            effort += run.requests.iter().sum::<u64>();
            found.extend(observation);
        }
        ScratchDir::remove(std::process::id());
        return Ok(SweepResults { outcomes, found, forked: false, effort });
    }
    let memory = SharedMemory::new(1, points.len()).map_err(|e| os_error("share memory", &e))?;
    let mut journal = open_journal(context, baseline, points, &memory)?;
    let mut on_tick = || {
        let byte = |point: usize| memory.outcome(point).load(Ordering::Relaxed);
        if let Some(journal) = &mut journal {
            let clean = |point| Some(byte(point)).filter(|b| b & FOUND == 0).and_then(decode);
            journal.add(clean);
        }
        if let Some(progress) = &settings.progress {
            let done = (0..points.len()).filter(|point| byte(*point) != 0).count() as u64;
            progress(Progress { done, total: points.len() as u64 });
        }
    };
    let patience = patience(settings, baseline);
    let mut runner =
        PointRunner { context, baseline, points, memory: &memory, patience, on_tick: &mut on_tick };
    let mut results = PointResults::default();
    let forked = runner.run_all(&mut results)?;
    let PointResults { mut found, mut deaths, mut records, doubtful } = results;
    for point in doubtful {
        let at = points[point];
        let again = run_isolated(context, &Plan::at(at.at, at.persistent), Some(at), patience)?;
        let death = again.death.as_ref().map(|record| record.death);
        records.extend(again.death.clone().filter(|_| !context.in_order).map(|it| (at, it)));
        let outcome = death.map(outcome_of).or(again.outcome);
        let byte = encode(outcome.unwrap_or(Outcome::Hung), again.found().is_some());
        memory.outcome(point).store(byte, Ordering::Relaxed);
        match death {
            Some(death) => deaths.push((at, death)),
            None => found.extend(again.found()),
        }
    }
    let dead: BTreeSet<Point> = deaths.iter().map(|(point, _)| *point).collect();
    found.retain(|found: &Observation| found.point.is_none_or(|point| !dead.contains(&point)));
    found.extend(confirm_deaths(context, baseline, &deaths, &records, patience)?);
    let received: BTreeSet<Point> = found.iter().filter_map(|found| found.point).collect();
    let is_lost = |point: &usize| {
        let has_found = memory.outcome(*point).load(Ordering::Relaxed) & FOUND != 0;
        has_found && !received.contains(&points[*point])
    };
    for point in (0..points.len()).filter(is_lost) {
        found.push(find_again(context, baseline, points[point], patience)?);
    }
    let outcome = |point| decode(memory.outcome(point).load(Ordering::Relaxed));
    let outcomes = (0..points.len()).map(|point| outcome(point).unwrap_or(Outcome::Unreached));
    let effort = memory.requests().load(Ordering::Relaxed);
    Ok(SweepResults { outcomes: outcomes.collect(), found, forked, effort })
}

/// Opens the journal, if one is wanted, and marks the points that an earlier sweep finished as
/// done.
fn open_journal(
    context: &RunContext<'_>,
    baseline: &Baseline,
    points: &[Point],
    memory: &SharedMemory,
) -> Result<Option<Journal>, Error> {
    let settings = context.settings;
    // First runs are few, and are made anew.
    let Some(place) = settings.journal.as_ref().filter(|_| !settings.first_runs.get()) else {
        return Ok(None);
    };
    let key = Key {
        scenario: &settings.name,
        settings: format!(
            "seed={} strict={} faults={:?} options={:?}",
            settings.seed, settings.strict, settings.faults, settings.options
        ),
        input: &settings.input,
        fingerprint: baseline.fingerprint,
        points: points.len(),
    };
    Journal::open(place, &key, |point, outcome| {
        memory.outcome(point).store(encode(outcome, false), Ordering::Relaxed);
    })
}

/// The note of a finding that was lost on its way from a worker: the subject writes to descriptors
/// that are not its own, so that nothing can be said of its runs.
pub(crate) const LOST: &str =
    "something was found here, but the worker's result never reached the parent";

/// Runs a point again that is marked as having a bug, but whose observation never arrived.
fn find_again(
    context: &RunContext<'_>,
    baseline: &Baseline,
    point: Point,
    patience: Duration,
) -> Result<Observation, Error> {
    let plan = Plan::at(point.at, point.persistent);
    let again = run_isolated(context, &plan, Some(point), patience)?;
    Ok(again.found().unwrap_or_else(|| {
        let cause = "does the subject close or write to descriptors that are not its own?";
        observation_at(point, Evidence::new(Kind::Nondeterminism).note(LOST).note(cause), baseline)
    }))
}

/// Runs deaths again, each in a child of its own that sends its observations as they come: one
/// death for each call site and kind, at its smallest coordinate. Where real threads run in another
/// order and live, the record of the first death stands. Returns observations of all deaths.
fn confirm_deaths(
    context: &RunContext<'_>,
    baseline: &Baseline,
    deaths: &[(Point, Death)],
    records: &BTreeMap<Point, DeathRecord>,
    patience: Duration,
) -> Result<Vec<Observation>, Error> {
    let mut deaths = deaths.to_vec();
    deaths.sort_unstable();
    let mut found = Vec::new();
    // By kind and call site, the index of the death in `seen` and in `confirmations`.
    let mut confirmed: BTreeMap<(Kind, u64), usize> = BTreeMap::new();
    let mut seen: Vec<DeathRecord> = Vec::new();
    // The fingerprint of the run that was to confirm it, and whether it died in the same way.
    let mut confirmations: Vec<(u64, bool)> = Vec::new();
    let mut grouped = Vec::with_capacity(deaths.len());
    for (point, death) in deaths {
        let site = baseline.site(point.at).filter(|_| baseline.has_sites);
        let place = records.get(&point).filter(|_| context.settings.is_program).and_then(place_of);
        let cause = place.unwrap_or_else(|| site.map_or(point.at.ordinal, Site::key));
        let root = (kind_of(death), cause);
        let group = match confirmed.get(&root) {
            Some(group) => *group,
            None => {
                let is_same = |record: &DeathRecord| record.death == death;
                let again = run_again(context, point, patience, &|again: &IsolatedRun| {
                    again.death.as_ref().is_some_and(is_same)
                })?;
                let same = again.death.clone().filter(is_same);
                let recurs = same.is_some();
                let Some(record) = same.or_else(|| records.get(&point).cloned()) else {
                    found.push(observation_at(point, differs(&death.to_string()), baseline));
                    continue;
                };
                // Bugs found before the death are findings of their own.
                found.extend(again.found());
                confirmations.push((again.fingerprint, recurs));
                seen.push(record);
                confirmed.insert(root, seen.len() - 1);
                seen.len() - 1
            }
        };
        grouped.push((point, death, group));
    }
    let described = describe(&seen)?;
    for (point, death, group) in grouped {
        let DescribedDeath { evidence, stacks } = &described[group];
        let mut evidence = evidence.clone();
        if death != seen[group].death {
            evidence.notes = vec![death.to_string()];
        }
        let (fingerprint, recurs) = confirmations[group];
        if !recurs {
            evidence = evidence.note(SEEN_ONCE);
        }
        let mut dead = observation_at(point, evidence, baseline);
        (dead.fingerprint, dead.stacks) = (fingerprint, stacks.clone());
        found.push(dead);
    }
    Ok(found)
}

/// Where a program died: its addresses are the same in all runs.
fn place_of(record: &DeathRecord) -> Option<u64> {
    let frames = own_frames(&record.stack);
    let innermost = frames.first_chunk::<DEATH_FRAMES>()?;
    Some(hash_bytes(&innermost.map(usize::to_le_bytes).concat()))
}

/// How often a run of real threads is repeated until it shows again what it showed once.
const REPEATS_OF_THREADS: u32 = 8;

/// Runs a point again in a child of its own: several times, if its threads may run in another order
/// each time, until `is_same` holds. Returns the last of these runs.
fn run_again(
    context: &RunContext<'_>,
    point: Point,
    patience: Duration,
    is_same: &dyn Fn(&IsolatedRun) -> bool,
) -> Result<IsolatedRun, Error> {
    let plan = Plan::at(point.at, point.persistent);
    let repeats = if context.in_order { 1 } else { REPEATS_OF_THREADS };
    let mut again = run_isolated(context, &plan, Some(point), patience)?;
    for _ in 1..repeats {
        if is_same(&again) {
            break;
        }
        again = run_isolated(context, &plan, Some(point), patience)?;
    }
    Ok(again)
}

/// The note of what real threads showed once, and not when they were run again.
const SEEN_ONCE: &str = "seen in one run: its threads run in another order each time";

/// What a serial subject shows that ended in `how`, and didn't when it was run again.
fn differs(how: &str) -> Evidence {
    let note = format!("{how} at first, but not when it was run again");
    Evidence::new(Kind::Nondeterminism).note(note)
}

/// Runs again what the parent concluded from outcomes alone, to confirm it and to learn its
/// fingerprint: one for each call site and kind, at its smallest coordinate.
fn confirm_outcomes(
    context: &RunContext<'_>,
    baseline: &Baseline,
    mut from_outcomes: Vec<(Outcome, Observation)>,
) -> Result<Vec<Observation>, Error> {
    from_outcomes.sort_by_key(|(_, found)| found.point);
    let mut confirmed: BTreeSet<(Kind, u64)> = BTreeSet::new();
    let mut all = Vec::with_capacity(from_outcomes.len());
    for (outcome, mut found) in from_outcomes {
        let (Some(point), Some(evidence)) = (found.point, found.evidence.first_mut()) else {
            continue;
        };
        let site = baseline.site(point.at).filter(|_| baseline.has_sites);
        if confirmed.insert((evidence.kind, site.map_or(point.at.ordinal, Site::key))) {
            let (again, fingerprint) = if context.settings.in_process {
                let (run, _) = context.try_point(point, &ScratchDir::new(std::process::id()));
                (Some(run.outcome), run.fingerprint.0)
            } else {
                let patience = patience(context.settings, baseline);
                let is_same = |again: &IsolatedRun| again.outcome == Some(outcome);
                let seen = run_again(context, point, patience, &is_same)?;
                (seen.outcome, seen.fingerprint)
            };
            if again != Some(outcome) {
                *evidence = match context.in_order {
                    true => differs(outcome.name()),
                    false => evidence.clone().note(SEEN_ONCE),
                };
            }
            found.fingerprint = fingerprint;
        }
        all.push(found);
    }
    Ok(all)
}
