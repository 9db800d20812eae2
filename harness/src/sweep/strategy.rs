//! How the points of a sweep are run in child processes: each run from the beginning in a worker
//! (*rerun*), or forked off one pass at its request (*fork*). Unless the caller chooses, a pilot of
//! some points is timed in each way, and the faster one runs the rest.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::child;
use crate::process::exit::{Death, DeathRecord};
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::worker_pool::{self, ItemEnd, WorkerEvent};
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Strategy;
use crate::sweep::exit_outcome::os_error;
use crate::sweep::fork;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::point_status::{dead, encode};

/// What the children of a sweep sent, and how they died. Outcomes are in shared memory.
#[derive(Default)]
pub(crate) struct PointResults {
    pub(crate) found: Vec<Observation>,
    pub(crate) deaths: Vec<(Point, Death)>,
    /// What is left of runs of real threads that died: they may not die again.
    pub(crate) records: BTreeMap<Point, DeathRecord>,
    /// Points at which a worker hung that may have waited for a lock that another thread held when
    /// it was forked.
    pub(crate) doubtful: Vec<usize>,
}

/// Runs points in children, and stores their outcomes in the sweep's shared memory.
pub(crate) struct PointRunner<'a> {
    pub(crate) context: &'a RunContext<'a>,
    pub(crate) baseline: &'a Baseline,
    pub(crate) points: &'a [Point],
    pub(crate) memory: &'a SharedMemory,
    pub(crate) patience: Duration,
    /// Called several times a second while children run.
    pub(crate) on_tick: &'a mut dyn FnMut(),
}

/// Points of the pilot, for each strategy and each job.
const PILOT_POINTS: usize = 8;
/// A sweep whose runs take less than this in all is not worth a pilot.
const PILOT_WORTH: Duration = Duration::from_millis(40);

impl PointRunner<'_> {
    /// Runs all points that have no outcome yet. Returns whether most of them were forked.
    ///
    /// # Errors
    /// The system refuses a child process or shared memory, workers die without any fault, or the
    /// caller chose to fork and the subject can't be forked.
    pub(crate) fn run_all(&mut self, results: &mut PointResults) -> Result<bool, Error> {
        let settings = self.context.settings;
        let left = self.left();
        let mut is_forked = false;
        match settings.strategy {
            // Each run is a fork already, of the process as it was before the first one.
            _ if settings.apart.get() => {}
            Strategy::Rerun => {}
            Strategy::Fork => {
                if let Some(reason) = self.fork(&left, results)? {
                    return Err(fork::refusal(&reason));
                }
                is_forked = true;
            }
            Strategy::Auto => {
                is_forked = self.is_forking_faster(&left, results)?;
                if is_forked {
                    // Points that the pass could not fork are run below.
                    let left = self.left();
                    self.fork(&left, results)?;
                }
            }
        }
        let left = self.left();
        self.rerun(&left, results)?;
        Ok(is_forked)
    }

    /// The points without an outcome.
    fn left(&self) -> Vec<usize> {
        let is_left = |point: &usize| self.memory.outcome(*point).load(Ordering::Relaxed) == 0;
        (0..self.points.len()).filter(is_left).collect()
    }

    /// The pilot: runs some points in each way, spread over the sweep, and compares the times.
    /// Points show the same in either way, so the clock decides nothing that is reported.
    ///
    /// No figure of the baseline would do: what decides is how long a run takes, what a fork of
    /// this process costs, and whether failures kill the worker, which must then be replaced.
    fn is_forking_faster(
        &mut self,
        left: &[usize],
        results: &mut PointResults,
    ) -> Result<bool, Error> {
        let pilot = PILOT_POINTS * self.context.settings.jobs;
        let run = Duration::from_micros(self.baseline.micros);
        let all = u32::try_from(left.len()).unwrap_or(u32::MAX);
        if !self.context.in_order || left.len() < 4 * pilot || run * all < PILOT_WORTH {
            return Ok(false);
        }
        let every = |nth: usize| left[nth * left.len() / (2 * pilot)];
        let (odd, even): (Vec<usize>, Vec<usize>) = (0..2 * pilot).partition(|nth| nth % 2 == 1);
        let started = Instant::now();
        self.rerun(&even.into_iter().map(every).collect::<Vec<usize>>(), results)?;
        let by_rerun = started.elapsed();
        let started = Instant::now();
        let refused = self.fork(&odd.into_iter().map(every).collect::<Vec<usize>>(), results)?;
        let by_fork = started.elapsed();
        if refused.is_some() {
            return Ok(false);
        }
        // A pass makes two whole runs, however many points are forked off it.
        let rest = (left.len() / pilot) as u32;
        let fork = by_fork.saturating_sub(2 * run) * rest + 2 * run;
        Ok(fork < by_rerun * rest)
    }

    /// Makes shared memory for some of the points, and copies their outcomes to the sweep's.
    fn with_shared_memory<R>(
        &mut self,
        some: &[usize],
        work: impl FnOnce(&SharedMemory, &[Point], &mut dyn FnMut()) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let jobs = self.context.settings.jobs.min(some.len()).max(1);
        let own = SharedMemory::new(jobs, some.len()).map_err(|e| os_error("share memory", &e))?;
        let points: Vec<Point> = some.iter().map(|point| self.points[*point]).collect();
        let (memory, on_tick) = (self.memory, &mut *self.on_tick);
        let mut copy = || {
            for (nth, point) in some.iter().enumerate() {
                let byte = own.outcome(nth).load(Ordering::Relaxed);
                memory.outcome(*point).store(byte, Ordering::Relaxed);
            }
            on_tick();
        };
        let result = work(&own, &points, &mut copy);
        copy();
        memory.count(own.requests().load(Ordering::Relaxed));
        result
    }

    /// Runs these points in workers, each run from the beginning.
    fn rerun(&mut self, some: &[usize], results: &mut PointResults) -> Result<(), Error> {
        if some.is_empty() {
            return Ok(());
        }
        let (context, baseline, patience) = (self.context, self.baseline, self.patience);
        self.with_shared_memory(some, |memory, points, on_tick| {
            let work = |status: &ChildStatus, pipe: &Rc<Pipe>| {
                run_worker(context, points, memory, status, pipe);
            };
            let end = worker_pool::run_workers(memory, patience, &work, |event| match event {
                WorkerEvent::Message(observation) => results.found.push(observation),
                WorkerEvent::Death(point, death, had_company) => {
                    memory.outcome(point).store(dead(death), Ordering::Relaxed);
                    memory.count(points[point].at.ordinal);
                    if had_company && death == Death::Stall {
                        results.doubtful.push(some[point]);
                    } else {
                        results.deaths.push((points[point], death));
                    }
                    let is_at_point = |child: &&ChildStatus| child.current_item() == Some(point);
                    let mut children = (0..memory.jobs).map(|job| memory.status(job));
                    if (!context.in_order || context.settings.is_program)
                        && let Some(child) = children.find(is_at_point)
                    {
                        results.records.insert(points[point], DeathRecord::read(death, child));
                    }
                }
                WorkerEvent::FalseStart(death) => {
                    let note =
                        format!("one of several runs without a fault ended differently: {death}");
                    let evidence = vec![Evidence::new(Kind::Nondeterminism).note(note)];
                    let (fingerprint, stacks) = (baseline.fingerprint, BTreeMap::new());
                    results.found.push(Observation {
                        point: None,
                        injected: None,
                        fingerprint,
                        evidence,
                        stacks,
                        schedule: None,
                    });
                }
                WorkerEvent::Tick => on_tick(),
            });
            if let Some(death) = end.map_err(|error| os_error("start a child", &error))? {
                return Err(Error::new(format!("a worker died before its first point: {death}"))
                    .help("make the subject do the same in every run without a fault"));
            }
            Ok(())
        })
    }

    /// Forks these points off one pass. Returns why the pass stopped forking, if it did.
    fn fork(
        &mut self,
        some: &[usize],
        results: &mut PointResults,
    ) -> Result<Option<String>, Error> {
        if !self.context.in_order {
            return Ok(Some("it has several threads".to_owned()));
        }
        let (context, patience) = (self.context, self.patience);
        self.with_shared_memory(some, |memory, points, on_tick| {
            let pass = fork::pass(context, points, memory, patience, on_tick);
            let pass = pass.map_err(|error| os_error("start a child", &error))?;
            results.found.extend(pass.found);
            let deaths = pass.deaths.into_iter();
            results.deaths.extend(deaths.map(|(point, death)| (points[point], death)));
            Ok(pass.refused)
        })
    }
}

/// The work of a worker process: a run to warm up, then one point after the other.
fn run_worker(
    context: &RunContext<'_>,
    points: &[Point],
    memory: &SharedMemory,
    status: &ChildStatus,
    pipe: &Pipe,
) {
    let scratch = ScratchDir::new(child::parent());
    let warm = context.settings.execute(context.subject, context.settings.job(&scratch));
    memory.count(warm.requests.iter().sum());
    worker_pool::take_items(memory, status, |point| {
        let (run, found) = context.try_point(points[point], &scratch);
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
