//! Exploring as its callers write it: a name, how far to go, and a closure that starts threads.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::heap::Heap;
use crate::host::Engine;
use crate::options::Options;
use crate::plan::Faults;
use crate::report::Report;
use crate::report::kind::Kind;
use crate::report::token::Token;
use crate::run::subject::{By, Classify, Observe, Unclassified, Whole};
use crate::sweep::builder::Sweep;
use crate::sweep::settings::{Progress, Threads, Way};

/// Preemptions of a schedule at the most, unless more are asked for.
const PREEMPTIONS: u32 = 2;

/// Fails every request of a piece of code with several threads, in every order of these threads
/// that a bound permits, and reports what that shows.
///
/// The code takes its threads, locks and atomics from [`mallory::thread`](crate::thread) and
/// `mallory::sync`, which are std's unless a model checker runs them (features `shuttle` and
/// `loom`). A schedule is written as where it deviates from the one in which each thread runs until
/// it blocks: `T1@8>T2` where thread 1 comes to its 8th scheduling point and thread 2 goes on.
///
/// ```no_run
/// use mallory::{Explore, Heap, Refused};
///
/// fn both(heap: &Heap) -> Result<(), Refused> {
///     // … two threads on one structure that takes its memory from `heap` …
///     # let _ = heap;
///     Ok(())
/// }
///
/// Explore::new("both").shuttle().preemptions(2).run(both).assert_clean();
/// ```
#[must_use = "it does nothing until it is given something to run"]
pub struct Explore<C = Unclassified, V = Whole> {
    sweep: Sweep<C, V>,
    threads: Threads,
}

impl Explore {
    /// An exploration of this name (`[a-z0-9][a-z0-9/_-]{0,39}`), which stands in reports and
    /// tokens.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Explore {
        Explore::over(Sweep::new(name))
    }

    /// What a sweep of this kind sweeps, with its threads in every order.
    pub(crate) fn over(sweep: Sweep) -> Explore {
        let threads = Threads {
            engine: None,
            way: Way::Bounded,
            preemptions: PREEMPTIONS,
            schedules: None,
            points: true,
            alone: false,
        };
        Explore { sweep, threads }
    }
}

impl<C, V> Explore<C, V> {
    fn with<D, W>(self, change: impl FnOnce(Sweep<C, V>) -> Sweep<D, W>) -> Explore<D, W> {
        Explore { sweep: change(self.sweep), threads: self.threads }
    }

    fn set(mut self, change: impl FnOnce(&mut Threads)) -> Self {
        change(&mut self.threads);
        self
    }

    /// Explores by this one.
    #[cfg(feature = "cli")]
    pub(crate) fn engine(self, engine: Engine) -> Self {
        self.set(|threads| threads.engine = Some(engine))
    }

    #[cfg(feature = "cli")]
    pub(crate) fn jobs_unless_set(self, flag: Option<usize>, otherwise: usize) -> Self {
        self.with(|sweep| sweep.jobs_unless_set(flag, otherwise))
    }

    #[cfg(feature = "cli")]
    pub(crate) fn seed_value(&self) -> u64 {
        self.sweep.seed_value()
    }

    pub(crate) fn prepared(
        self,
        known_file: &'static str,
        program: impl FnOnce(Option<Engine>) -> String,
    ) -> Self {
        let program = program(self.threads.engine);
        self.with(|sweep| sweep.known_file(known_file).rerun_by(&program))
    }

    pub(crate) fn other_input(self, input: Arc<[u8]>) -> Self {
        self.with(|sweep| sweep.other_input(input))
    }

    /// Explores by shuttle's engine, under schedules that we choose; atomics are sequentially
    /// consistent. Needs the feature `shuttle`.
    pub fn shuttle(self) -> Self {
        self.set(|threads| threads.engine = Some(Engine::Shuttle))
    }

    /// Explores by loom, which knows weak memory. Needs the feature `loom`.
    pub fn loom(self) -> Self {
        self.set(|threads| threads.engine = Some(Engine::Loom))
    }

    /// At most so many preemptions in a schedule: changes of threads where the first could have
    /// gone on. 2 unless given. Changes where a thread blocks, yields or ends are not counted.
    pub fn preemptions(self, preemptions: u32) -> Self {
        self.set(|threads| threads.preemptions = preemptions)
    }

    /// At most so many schedules of each fault (and without one), those with the fewest preemptions
    /// first.
    pub fn schedules(self, schedules: u64) -> Self {
        self.set(|threads| threads.schedules = Some(schedules.max(1)))
    }

    /// At most so many faulted runs in all. Where requests × schedules are more, a sample of them is
    /// made by the seed: of the faults, new call sites first, and of each one's schedules. The
    /// verdict is [`Sampled`](crate::Verdict::Sampled) then. Without a limit four millions are made,
    /// and a sample is nothing to rely on: [`Report::assert_clean`] panics. Loom can't be told which
    /// of its schedules to run: the first ones of each fault are.
    pub fn limit(self, runs: u64) -> Self {
        self.with(|sweep| sweep.limit(runs.max(1)))
    }

    /// So many schedules by chance instead: at each point any thread may go on.
    pub fn random(self, schedules: u64) -> Self {
        self.set(|threads| threads.way = Way::Random(schedules.max(1)))
    }

    /// So many schedules by random priorities that change `depth - 1` times: finds a bug that needs
    /// `depth` things in order with a known probability.
    pub fn pct(self, depth: u32, schedules: u64) -> Self {
        self.set(|threads| threads.way = Way::Pct(depth.max(1), schedules.max(1)))
    }

    /// Whether requests and frees are scheduling points, beside what the threads do to locks and
    /// atomics. They are unless this says no.
    pub fn points(self, points: bool) -> Self {
        self.set(|threads| threads.points = points)
    }

    /// The one number that all chance comes from. 0 unless given; `MALLORY_SEED` as well.
    pub fn seed(self, seed: u64) -> Self {
        self.with(|sweep| sweep.seed(seed))
    }

    /// How many children share the work; the report is the same for any number.
    pub fn jobs(self, jobs: usize) -> Self {
        self.with(|sweep| sweep.jobs(jobs))
    }

    /// See [`Sweep::strict`].
    pub fn strict(self) -> Self {
        self.with(Sweep::strict)
    }

    /// See [`Sweep::benign`].
    pub fn benign(self, function: &str) -> Self {
        self.with(|sweep| sweep.benign(function))
    }

    /// See [`Sweep::allow`].
    pub fn allow(self, kind: Kind, function: &str, max: u64, reason: &str) -> Self {
        self.with(|sweep| sweep.allow(kind, function, max, reason))
    }

    /// What the heap watches. Everything unless given.
    pub fn options(self, options: Options) -> Self {
        self.with(|sweep| sweep.options(options))
    }

    /// Which faults are made of each request.
    pub fn faults(self, faults: Faults) -> Self {
        self.with(|sweep| sweep.faults(faults))
    }

    /// See [`Sweep::patience`].
    pub fn patience(self, time: Duration) -> Self {
        self.with(|sweep| sweep.patience(time))
    }

    /// See [`Sweep::in_process`].
    #[doc(hidden)]
    pub fn in_process(self) -> Self {
        self.with(Sweep::in_process)
    }

    /// What the subject reads.
    pub fn input(self, input: impl Into<Arc<[u8]>>) -> Self {
        self.with(|sweep| sweep.input(input))
    }

    /// The input: the scenario's own, or the one given in its place.
    #[must_use]
    pub fn input_bytes(&self) -> Arc<[u8]> {
        self.sweep.input_bytes()
    }

    /// Is told how far it is, several times a second.
    pub fn on_progress(self, hear: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.with(|sweep| sweep.on_progress(hear))
    }

    /// Replays this token instead of exploring.
    pub fn replay(self, token: Token) -> Self {
        self.with(|sweep| sweep.replay(token))
    }

    /// The report of an exploration that its caller could not even begin.
    #[must_use]
    pub fn failed(self, error: Error) -> Report {
        self.sweep.failed(error)
    }

    /// Says which errors mean out of memory; others are findings. See [`Sweep::oom`].
    pub fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> Explore<By<F>, V> {
        self.with(|sweep| sweep.oom(is_oom))
    }

    /// Chooses what of the result is compared with the fault-free ones. See [`Sweep::observe`].
    pub fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> Explore<C, By<F>> {
        self.with(|sweep| sweep.observe(observe))
    }

    /// Explores what a script says, held against the system's plain model: the replies and the end
    /// state have to be the model's in some order of the operations. By shuttle, whose feature it
    /// needs.
    #[cfg(feature = "ron")]
    pub fn scripted<S: crate::system::System>(
        self,
        script: &crate::system::script::Script<S::Op>,
    ) -> Report {
        let mut threads = self.threads;
        threads.alone = true;
        self.sweep.scripted_threads::<S>(threads, script)
    }

    /// Explores a closure. It is run many times, each time on a heap of its own, and must do the
    /// same each time that its threads take the same turns.
    pub fn run<T, E: Debug>(self, run: impl Fn(&Heap) -> Result<T, E> + Sync) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        self.sweep.run_threads(self.threads, run)
    }
}
