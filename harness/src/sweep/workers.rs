//! The points of a sweep, run in worker children (or in process), and what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::plan::Plan;
use crate::process::backtrace::Stack;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::SharedMemory;
use crate::report::call_site::Site;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::sweep::exit_outcome::{bare, kind_of, notes, os_error, outcome_of, patience};
use crate::sweep::isolated_run::run_isolated;
use crate::sweep::journal::{Journal, Key};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::point_status::{FOUND, decode, encode};
use crate::sweep::settings::Progress;
use crate::sweep::strategy::{PointBatch, PointResults};

/// What came of the points of a sweep, in their order.
pub(crate) struct SweepResults {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) found: Vec<Observation>,
    /// Whether they were forked off a pass.
    pub(crate) forked: bool,
    /// Requests that were made for all of them.
    pub(crate) effort: u64,
}

/// Runs all points, in children or in process.
pub(crate) fn run_points(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    points: &[Point],
) -> Result<SweepResults, Error> {
    let settings = norm.settings;
    let mut found = Vec::new();
    if settings.in_process {
        let scratch = ScratchDir::new(std::process::id());
        let mut outcomes = Vec::with_capacity(points.len());
        let mut effort = 0;
        for point in points {
            let (run, its_found) = norm.try_point(*point, &scratch);
            outcomes.push(run.outcome);
            effort += run.requests.iter().sum::<u64>();
            found.extend(its_found);
        }
        ScratchDir::remove(std::process::id(), std::process::id());
        return Ok(SweepResults { outcomes, found, forked: false, effort });
    }
    let board = SharedMemory::new(1, points.len()).map_err(|e| os_error("share memory", &e))?;
    let mut journal = open_journal(norm, scouted, points, &board)?;
    let mut trouble = None;
    let mut glance = || {
        let byte = |point: usize| board.outcome(point).load(Ordering::Relaxed);
        if let Some(journal) = &mut journal {
            let clean = |point| Some(byte(point)).filter(|b| b & FOUND == 0).and_then(decode);
            trouble = trouble.take().or(journal.add(clean).err());
        }
        if let Some(progress) = &settings.progress {
            let done = (0..points.len()).filter(|point| byte(*point) != 0).count() as u64;
            progress(Progress { done, total: points.len() as u64 });
        }
    };
    let patience = patience(settings, scouted);
    let mut batch =
        PointBatch { norm, scouted, points, board: &board, patience, glance: &mut glance };
    let mut seen = PointResults::default();
    let forked = batch.run_all(&mut seen)?;
    if let Some(error) = trouble {
        return Err(error);
    }
    let PointResults { mut found, mut deaths, doubtful } = seen;
    for point in doubtful {
        let at = points[point];
        let again = run_isolated(norm, &Plan::at(at.at, at.persistent), Some(at), patience)?;
        let outcome = again.death.map(outcome_of).or(again.outcome);
        let byte = encode(outcome.unwrap_or(Outcome::Hung), again.found().is_some());
        board.outcome(point).store(byte, Ordering::Relaxed);
        match again.death {
            Some(death) => deaths.push((at, death)),
            None => found.extend(again.found()),
        }
    }
    let dead: BTreeSet<Point> = deaths.iter().map(|(point, _)| *point).collect();
    found.retain(|found: &Observation| found.point.is_none_or(|point| !dead.contains(&point)));
    found.extend(confirm_deaths(norm, scouted, &deaths, patience)?);
    let heard: BTreeSet<Point> = found.iter().filter_map(|found| found.point).collect();
    let is_unheard = |point: &usize| {
        let said = board.outcome(*point).load(Ordering::Relaxed) & FOUND != 0;
        said && !heard.contains(&points[*point])
    };
    for point in (0..points.len()).filter(is_unheard) {
        found.push(find_again(norm, scouted, points[point], patience)?);
    }
    let outcome = |point| decode(board.outcome(point).load(Ordering::Relaxed));
    let outcomes = (0..points.len()).map(|point| outcome(point).unwrap_or(Outcome::Unreached));
    let effort = board.requests().load(Ordering::Relaxed);
    Ok(SweepResults { outcomes: outcomes.collect(), found, forked, effort })
}

fn open_journal(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    points: &[Point],
    board: &SharedMemory,
) -> Result<Option<Journal>, Error> {
    let settings = norm.settings;
    let Some(place) = &settings.journal else {
        return Ok(None);
    };
    let key = Key {
        scenario: &settings.name,
        settings: format!(
            "seed={} strict={} faults={:?} options={:?}",
            settings.seed, settings.strict, settings.faults, settings.options
        ),
        input: &settings.input,
        fingerprint: scouted.fingerprint,
        points: points.len(),
    };
    let journal = Journal::open(place, &key, |point, outcome| {
        board.outcome(point).store(encode(outcome, false), Ordering::Relaxed);
    })?;
    Ok(Some(journal))
}

/// Runs a point again of which the board says that something was found, where nobody heard what.
fn find_again(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    point: Point,
    patience: Duration,
) -> Result<Observation, Error> {
    let plan = Plan::at(point.at, point.persistent);
    let again = run_isolated(norm, &plan, Some(point), patience)?;
    Ok(again.found().unwrap_or_else(|| {
        let note = "something was found, and what it was got lost on its way";
        let cause = "does the subject close or write to descriptors that are not its own?";
        bare(point, Evidence::new(Kind::Nondeterminism).note(note).note(cause), scouted)
    }))
}

/// Each place where the subject died is tried again in a child of its own, which tells what it
/// sees as it goes: one for each site and kind, at its smallest coordinate.
fn confirm_deaths(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    deaths: &[(Point, Death)],
    patience: Duration,
) -> Result<Vec<Observation>, Error> {
    let mut deaths = deaths.to_vec();
    deaths.sort_unstable();
    let mut found = Vec::new();
    // The places, and what a witness saw at each: how it died and where, and its trace.
    let mut confirmed: BTreeMap<(Kind, u64), usize> = BTreeMap::new();
    let mut seen: Vec<(Death, Stack)> = Vec::new();
    let mut fingerprints = Vec::new();
    let mut at_place = Vec::with_capacity(deaths.len());
    for (point, death) in deaths {
        let site = scouted.site(point.at).filter(|_| scouted.has_sites);
        let root = (kind_of(death), site.map_or(point.at.ordinal, Site::key));
        let place = match confirmed.get(&root) {
            Some(place) => *place,
            None => {
                let plan = Plan::at(point.at, point.persistent);
                let witness = run_isolated(norm, &plan, Some(point), patience)?;
                if witness.death != Some(death) {
                    let evidence = Evidence::new(Kind::Nondeterminism)
                        .note(format!("{death} at first, and not when it was run again"));
                    found.push(bare(point, evidence, scouted));
                    continue;
                }
                // What the child found before it died stands beside the death.
                found.extend(witness.found());
                fingerprints.push(witness.fingerprint);
                seen.push((death, witness.stack));
                confirmed.insert(root, seen.len() - 1);
                seen.len() - 1
            }
        };
        at_place.push((point, death, place));
    }
    let notes = notes(&seen)?;
    for (point, death, place) in at_place {
        let same = death == seen[place].0;
        let note = if same { notes[place].clone() } else { death.to_string() };
        let mut dead = bare(point, Evidence::new(kind_of(death)).note(note), scouted);
        dead.fingerprint = fingerprints[place];
        found.push(dead);
    }
    Ok(found)
}

/// What the parent judged by the outcome alone is run again as well, one for each site and kind,
/// at its smallest coordinate: for the fingerprint, and to be sure.
pub(crate) fn confirm_judged(
    norm: &RunContext<'_>,
    scouted: &Baseline,
    mut judged: Vec<(Outcome, Observation)>,
) -> Result<Vec<Observation>, Error> {
    judged.sort_by_key(|(_, found)| found.point);
    let mut confirmed: BTreeSet<(Kind, u64)> = BTreeSet::new();
    let mut all = Vec::with_capacity(judged.len());
    for (outcome, mut found) in judged {
        let (Some(point), Some(evidence)) = (found.point, found.evidence.first_mut()) else {
            continue;
        };
        let site = scouted.site(point.at).filter(|_| scouted.has_sites);
        if confirmed.insert((evidence.kind, site.map_or(point.at.ordinal, Site::key))) {
            let (again, fingerprint) = if norm.settings.in_process {
                let (run, _) = norm.try_point(point, &ScratchDir::new(std::process::id()));
                (Some(run.outcome), run.fingerprint.0)
            } else {
                let plan = Plan::at(point.at, point.persistent);
                let seen =
                    run_isolated(norm, &plan, Some(point), patience(norm.settings, scouted))?;
                (seen.outcome, seen.fingerprint)
            };
            if again != Some(outcome) {
                let note = format!("{} at first, and not when it was run again", outcome.name());
                *evidence = Evidence::new(Kind::Nondeterminism).note(note);
            }
            found.fingerprint = fingerprint;
        }
        all.push(found);
    }
    Ok(all)
}
