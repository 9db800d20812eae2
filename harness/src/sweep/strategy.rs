//! Points of a sweep in children: forked off one pass, or each from the beginning, whichever is
//! faster.

use crate::process::worker_pool;
use crate::process::worker_pool::ItemEnd;
use crate::sweep::point_status::{dead, encode};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::child;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::worker_pool::WorkerEvent;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Strategy;
use crate::run::execute;
use crate::sweep::exit_outcome::os_error;
use crate::sweep::fork;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;

/// What the children of a sweep told and died of.
#[derive(Default)]
pub(crate) struct PointResults {
    pub(crate) found: Vec<Observation>,
    pub(crate) deaths: Vec<(Point, Death)>,
    /// Where a worker stood still that may have waited for what another thread held at the fork.
    pub(crate) doubtful: Vec<usize>,
}

/// Points whose outcomes are wanted on the sweep's board.
pub(crate) struct PointBatch<'a> {
    pub(crate) norm: &'a RunContext<'a>,
    pub(crate) scouted: &'a Baseline,
    pub(crate) points: &'a [Point],
    pub(crate) board: &'a SharedMemory,
    pub(crate) patience: Duration,
    pub(crate) glance: &'a mut dyn FnMut(),
}

/// Points by which each strategy is tried, for each job.
const PILOT: usize = 8;
/// A sweep that takes less than this is not worth looking for a faster way.
const WORTH: Duration = Duration::from_millis(40);

impl PointBatch<'_> {
    /// Runs all points that have no outcome yet. Answers whether most were forked.
    pub(crate) fn run_all(&mut self, seen: &mut PointResults) -> Result<bool, Error> {
        let settings = self.norm.settings;
        let left = self.left();
        let mut forks = false;
        match settings.strategy {
            Strategy::Rerun => {}
            Strategy::Fork => {
                if let Some(reason) = self.fork(&left, seen)? {
                    return Err(fork::refusal(&reason));
                }
                forks = true;
            }
            Strategy::Auto => {
                forks = self.is_forking_faster(&left, seen)?;
                if forks {
                    // What it could not do is run again from the beginning.
                    let left = self.left();
                    self.fork(&left, seen)?;
                }
            }
        }
        let left = self.left();
        self.rerun(&left, seen)?;
        Ok(forks)
    }

    fn left(&self) -> Vec<usize> {
        let is_left = |point: &usize| self.board.outcome(*point).load(Ordering::Relaxed) == 0;
        (0..self.points.len()).filter(is_left).collect()
    }

    /// Makes some points in each way, spread over the sweep, and compares the time. The clock
    /// decides how points are come to and nothing of what they show.
    fn is_forking_faster(
        &mut self,
        left: &[usize],
        seen: &mut PointResults,
    ) -> Result<bool, Error> {
        let pilot = PILOT * self.norm.settings.jobs;
        let run = Duration::from_micros(self.scouted.micros);
        let all = u32::try_from(left.len()).unwrap_or(u32::MAX);
        if !self.norm.in_order || left.len() < 4 * pilot || run * all < WORTH {
            return Ok(false);
        }
        let every = |nth: usize| left[nth * left.len() / (2 * pilot)];
        let (odd, even): (Vec<usize>, Vec<usize>) = (0..2 * pilot).partition(|nth| nth % 2 == 1);
        let started = Instant::now();
        self.rerun(&even.into_iter().map(every).collect::<Vec<usize>>(), seen)?;
        let by_rerun = started.elapsed();
        let started = Instant::now();
        let refused = self.fork(&odd.into_iter().map(every).collect::<Vec<usize>>(), seen)?;
        let by_fork = started.elapsed();
        if refused.is_some() {
            return Ok(false);
        }
        // A pass has its two whole runs however many points it serves.
        let rest = (left.len() / pilot) as u32;
        let fork = by_fork.saturating_sub(2 * run) * rest + 2 * run;
        Ok(fork < by_rerun * rest)
    }

    /// A board for some of the points, whose outcomes are copied to the sweep's.
    fn with_board<R>(
        &mut self,
        some: &[usize],
        work: impl FnOnce(&SharedMemory, &[Point], &mut dyn FnMut()) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let jobs = self.norm.settings.jobs.min(some.len()).max(1);
        let own = SharedMemory::new(jobs, some.len()).map_err(|e| os_error("share memory", &e))?;
        let points: Vec<Point> = some.iter().map(|point| self.points[*point]).collect();
        let (board, glance) = (self.board, &mut *self.glance);
        let mut copy = || {
            for (nth, point) in some.iter().enumerate() {
                let byte = own.outcome(nth).load(Ordering::Relaxed);
                board.outcome(*point).store(byte, Ordering::Relaxed);
            }
            glance();
        };
        let answer = work(&own, &points, &mut copy);
        copy();
        board.count(own.requests().load(Ordering::Relaxed));
        answer
    }

    /// Runs these in workers, each from the beginning.
    fn rerun(&mut self, some: &[usize], seen: &mut PointResults) -> Result<(), Error> {
        if some.is_empty() {
            return Ok(());
        }
        let (norm, scouted, patience) = (self.norm, self.scouted, self.patience);
        self.with_board(some, |board, points, glance| {
            let work = |life: &ChildStatus, pipe: &Rc<Pipe>| work(norm, points, board, life, pipe);
            let end = worker_pool::run_workers(board, patience, &work, |news| match news {
                WorkerEvent::Message(message) => seen.found.push(message),
                WorkerEvent::Death(point, death, had_company) => {
                    board.outcome(point).store(dead(death), Ordering::Relaxed);
                    board.count(points[point].at.ordinal);
                    if had_company && death == Death::Stall {
                        seen.doubtful.push(some[point]);
                    } else {
                        seen.deaths.push((points[point], death));
                    }
                }
                WorkerEvent::FalseStart(death) => {
                    let note = format!("one of many runs without a fault ended otherwise: {death}");
                    let evidence = vec![Evidence::new(Kind::Nondeterminism).note(note)];
                    let (fingerprint, stacks) = (scouted.fingerprint, BTreeMap::new());
                    let found = Observation {
                        point: None,
                        injected: None,
                        fingerprint,
                        evidence,
                        stacks,
                        order: None,
                    };
                    seen.found.push(found);
                }
                WorkerEvent::Tick => glance(),
            });
            if let Some(death) = end.map_err(|error| os_error("start a child", &error))? {
                return Err(Error::new(format!("a worker died before its first point: {death}"))
                    .help("the subject does not always do the same without a fault"));
            }
            Ok(())
        })
    }

    /// Forks these off one pass. Answers why it was given up, if it was.
    fn fork(&mut self, some: &[usize], seen: &mut PointResults) -> Result<Option<String>, Error> {
        if !self.norm.in_order {
            return Ok(Some("it has several threads".to_owned()));
        }
        let (norm, patience) = (self.norm, self.patience);
        self.with_board(some, |board, points, glance| {
            let passed = fork::pass(norm, points, board, patience, glance);
            let passed = passed.map_err(|error| os_error("start a child", &error))?;
            seen.found.extend(passed.found);
            let deaths = passed.deaths.into_iter();
            seen.deaths.extend(deaths.map(|(point, death)| (points[point], death)));
            Ok(passed.refused)
        })
    }
}

/// What a worker does: a warm-up run, then one point after the other.
fn work(
    norm: &RunContext<'_>,
    points: &[Point],
    board: &SharedMemory,
    life: &ChildStatus,
    pipe: &Pipe,
) {
    let scratch = ScratchDir::new(child::parent());
    let warm = execute(norm.subject, norm.settings.job(&scratch));
    board.count(warm.requests.iter().sum());
    worker_pool::take_items(board, life, |point| {
        let (run, found) = norm.try_point(points[point], &scratch);
        if let Some(found) = &found {
            pipe.send(found);
        }
        ItemEnd {
            status: encode(run.outcome, found.is_some()),
            effort: run.requests.iter().sum(),
            leaked: run.leaked,
        }
    });
}
