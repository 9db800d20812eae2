//! The points of a sweep, run in worker children (or in process), and what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Progress;
use super::ends::{bare, kind_of, os_error, outcome_of, patience};
use super::journal::{Journal, Key};
use super::point::{Found, Norm, Point};
use super::replay::witness;
use super::scout::Scouted;
use crate::board::Board;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::kind::Kind;
use crate::plan::Plan;
use crate::run::{Outcome, execute};
use crate::scratch::Scratch;
use crate::site::Site;
use crate::worker::{self, Death, News, Pipe};

/// What a worker's outcome looks like on the board: 0 is none yet.
const FOUND: u8 = 0x80;

fn encode(outcome: Outcome, found: bool) -> u8 {
    (outcome as u8 + 1) | if found { FOUND } else { 0 }
}

fn decode(byte: u8) -> Option<Outcome> {
    Outcome::ALL.get(usize::from(byte & !FOUND).checked_sub(1)?).copied()
}

/// A worker that has lost so many bytes to its subject's leaks is followed by a fresh one.
const LEAKED_MAX: usize = 64 << 20;

/// Runs all points, in children or in process.
pub(crate) fn run_points(
    norm: &Norm<'_>,
    scouted: &Scouted,
    points: &[Point],
) -> Result<(Vec<Outcome>, Vec<Found>), Error> {
    let settings = norm.settings;
    let mut found = Vec::new();
    if settings.in_process {
        let scratch = Scratch::new(std::process::id());
        let mut outcomes = Vec::with_capacity(points.len());
        for point in points {
            let (run, its_found) = norm.try_point(*point, &scratch);
            outcomes.push(run.outcome);
            found.extend(its_found);
        }
        Scratch::remove(std::process::id(), std::process::id());
        return Ok((outcomes, found));
    }
    let jobs = settings.jobs.min(points.len()).max(1);
    let board = Board::new(jobs, points.len()).map_err(|e| os_error("share memory", &e))?;
    let mut journal = open_journal(norm, scouted, points, &board)?;
    let mut deaths: Vec<(Point, Death)> = Vec::new();
    let mut trouble = None;
    let patience = patience(scouted);
    let work = |job: usize, pipe: &Rc<Pipe>| work(norm, points, &board, job, pipe);
    let end = worker::crew(&board, patience, &work, |news| match news {
        News::Message(message) => found.push(message),
        News::Death(point, death) => {
            board.outcome(point).store(encode(outcome_of(death), true), Ordering::Relaxed);
            deaths.push((points[point], death));
        }
        News::Glance => {
            let byte = |point: usize| board.outcome(point).load(Ordering::Relaxed);
            if let Some(journal) = &mut journal {
                let clean = |point| Some(byte(point)).filter(|b| b & FOUND == 0).and_then(decode);
                trouble = trouble.take().or(journal.add(clean).err());
            }
            if let Some(progress) = &settings.progress {
                let done = (0..points.len()).filter(|point| byte(*point) != 0).count() as u64;
                progress(Progress { done, total: points.len() as u64 });
            }
        }
    });
    if let Some(error) = trouble {
        return Err(error);
    }
    if let Some(death) = end.map_err(|error| os_error("start a child", &error))? {
        return Err(Error::new(format!("a worker died before its first point: {death}"))
            .mend("the subject does not always do the same without a fault"));
    }
    let dead: BTreeSet<Point> = deaths.iter().map(|(point, _)| *point).collect();
    found.retain(|found: &Found| found.point.is_none_or(|point| !dead.contains(&point)));
    found.extend(confirm_deaths(norm, scouted, &deaths, patience)?);
    let outcome = |point| decode(board.outcome(point).load(Ordering::Relaxed));
    let outcomes = (0..points.len()).map(|point| outcome(point).unwrap_or(Outcome::Unreached));
    Ok((outcomes.collect(), found))
}

fn open_journal(
    norm: &Norm<'_>,
    scouted: &Scouted,
    points: &[Point],
    board: &Board,
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

/// A worker's life: warm up once, then take points until there are none.
fn work(norm: &Norm<'_>, points: &[Point], board: &Board, job: usize, pipe: &Pipe) {
    let scratch = Scratch::new(worker::parent());
    let mut leaked = 0;
    let mut runs = 0_u64;
    execute(norm.subject, norm.settings.job(&scratch));
    while let Some(point) = board.claim() {
        if board.outcome(point).load(Ordering::Relaxed) != 0 {
            continue;
        }
        board.stand(job, Some(point));
        let (run, found) = norm.try_point(points[point], &scratch);
        if let Some(found) = &found {
            pipe.send(found);
        }
        board.outcome(point).store(encode(run.outcome, found.is_some()), Ordering::Relaxed);
        runs += 1;
        board.beat(job).store(runs, Ordering::Relaxed);
        leaked += run.leaked;
        if leaked > LEAKED_MAX {
            break;
        }
    }
    board.stand(job, None);
}

/// Each place where the subject died is tried again in a child of its own, which tells what it
/// sees as it goes: one for each site and kind, at its smallest coordinate.
fn confirm_deaths(
    norm: &Norm<'_>,
    scouted: &Scouted,
    deaths: &[(Point, Death)],
    patience: Duration,
) -> Result<Vec<Found>, Error> {
    let mut deaths = deaths.to_vec();
    deaths.sort_unstable();
    let mut confirmed: BTreeMap<(Kind, u64), u64> = BTreeMap::new();
    let mut found = Vec::new();
    for (point, death) in deaths {
        let kind = kind_of(death);
        let site = scouted.site(point.at).filter(|_| scouted.has_sites);
        let root = (kind, site.map_or(point.at.ordinal, Site::key));
        let note = death.to_string();
        let fingerprint = match confirmed.get(&root) {
            Some(fingerprint) => *fingerprint,
            None => {
                let plan = Plan::at(point.at, point.persistent);
                let witness = witness(norm, &plan, Some(point), patience)?;
                if witness.death != Some(death) {
                    let evidence = Evidence::new(Kind::Nondeterminism)
                        .note(format!("{note} at first, and not when it was run again"));
                    found.push(bare(point, evidence, scouted));
                    continue;
                }
                let seen = witness.fingerprint;
                confirmed.insert(root, seen);
                // What the child found before it died stands beside the death.
                found.extend(witness.found());
                seen
            }
        };
        let mut dead = bare(point, Evidence::new(kind).note(note), scouted);
        dead.fingerprint = fingerprint;
        found.push(dead);
    }
    Ok(found)
}

/// What the parent judged by the outcome alone is run again as well, one for each site and kind,
/// at its smallest coordinate: for the fingerprint, and to be sure.
pub(crate) fn confirm_judged(
    norm: &Norm<'_>,
    scouted: &Scouted,
    mut judged: Vec<(Outcome, Found)>,
) -> Result<Vec<Found>, Error> {
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
                let (run, _) = norm.try_point(point, &Scratch::new(std::process::id()));
                (Some(run.outcome), run.fingerprint.0)
            } else {
                let plan = Plan::at(point.at, point.persistent);
                let seen = witness(norm, &plan, Some(point), patience(scouted))?;
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
