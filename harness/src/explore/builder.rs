//! The builder of an exploration: a name, the bounds of its search, and a closure that starts threads,
//! or a script.

use std::fmt::Debug;

use crate::error::Error;
use crate::explore::engine;
use crate::explore::extra_requests::extend_baseline;
use crate::heap::Heap;
use crate::host::{Engine, Host};
use crate::report::Report;
use crate::report::rerun::Rerun;
use crate::report::token::Token;
use crate::run::Subject;
use crate::run::subject::{By, Classify, Observe, SharedSubject, Unclassified, Whole};
use crate::schedule::Preemption;
use crate::schedule::default_order::Bound;
use crate::schedule::search::SearchOptions;
use crate::sweep::builder::Sweep;
use crate::sweep::builder_core::{BuilderCore, shared_settings};
use crate::sweep::measurements::Baseline;
use crate::sweep::run_loop::RunLoop;
use crate::sweep::settings::{ExploreSettings, ScheduleMode, Settings};

/// The most preemptions of the schedules of which a portfolio runs all.
const PREEMPTIONS: u32 = 2;

/// Fails every request of code with several threads, in every schedule of these threads within a
/// bound, and reports what that shows.
///
/// The code takes its threads, locks and atomics from [`mallory::thread`](crate::thread) and
/// `mallory::sync`. These are the types of std, unless a model checker runs the code (features
/// `shuttle` and `loom`). A schedule is written as its deviations from the default one, in which each
/// thread runs until it blocks: `T1@8>T2` means that at the 8th scheduling point of thread 1, thread 2
/// runs instead.
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
    core: BuilderCore<C, V>,
    threads: ExploreSettings,
}

impl Explore {
    /// An exploration with this name (`[a-z0-9][a-z0-9/_-]{0,39}`), which is printed in reports and
    /// tokens.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Explore {
        Explore::over(Sweep::new(name))
    }

    /// An exploration with the settings of this sweep.
    pub(crate) fn over(sweep: Sweep) -> Explore {
        let threads = ExploreSettings {
            engine: None,
            mode: ScheduleMode::Portfolio,
            bound: Bound::Preemptions(PREEMPTIONS),
            search: SearchOptions::DEFAULT,
            asks_wakes: false,
            schedules: None,
            points: true,
            stops_at_first: false,
        };
        Explore { core: sweep.core, threads }
    }
}

shared_settings!(Explore);

/// The loop of an exploration: every request in every schedule.
struct ExploreLoop;

impl RunLoop for ExploreLoop {
    fn prepare_replay(&self, settings: &mut Settings, token: &Token) -> Result<(), Error> {
        let is_from_loom =
            Preemption::loom_iteration(token.preemptions.as_deref().unwrap_or_default()).is_some();
        if let Some(threads) = &mut settings.threads {
            // Unless the caller chose an engine, the form of the schedule says which one it is.
            threads.engine.get_or_insert(if is_from_loom { Engine::Loom } else { Engine::Shuttle });
        }
        if token.preemptions.is_none() {
            let what = "the token holds no schedule: a sweep printed it";
            return Err(Error::new(what).help("replay it with that sweep"));
        }
        engine::prepare(settings)?;
        match (is_from_loom, settings.host.is_some_and(Host::is_weak)) {
            (true, false) => {
                let what = "the token holds a schedule of loom's";
                Err(Error::new(what).help("replay it with loom: Explore::loom, or `loom`"))
            }
            (false, true) => {
                let what = "the token holds a schedule of shuttle's";
                let help = "replay it with shuttle: Explore::shuttle, or `explore`";
                Err(Error::new(what).help(help))
            }
            _ => Ok(()),
        }
    }

    fn widen(
        &self,
        settings: &Settings,
        subject: &dyn Subject,
        baseline: &mut Baseline,
    ) -> Result<(), Error> {
        if let Some(census) = engine::census_for_replay(settings, subject, baseline)? {
            extend_baseline(baseline, &census.extra_requests, &census.texts);
        }
        Ok(())
    }

    fn run(&self, settings: &mut Settings, subject: &dyn Subject) -> Report {
        engine::explore(settings, subject)
    }
}

impl<C, V> Explore<C, V> {
    fn set_threads(mut self, change: impl FnOnce(&mut ExploreSettings)) -> Self {
        change(&mut self.threads);
        self
    }

    /// Chooses the engine.
    #[cfg(feature = "cli")]
    pub(crate) fn engine(self, engine: Engine) -> Self {
        self.set_threads(|threads| threads.engine = Some(engine))
    }

    pub(crate) fn prepared(
        self,
        known_file: &'static str,
        program: impl FnOnce(Option<Engine>) -> String,
    ) -> Self {
        let program = program(self.threads.engine);
        self.known_file(known_file).rerun_by(Rerun::Command(program))
    }

    /// Explores with shuttle's engine, in schedules that Mallory chooses. Atomics are sequentially
    /// consistent. Needs the feature `shuttle`.
    pub fn shuttle(self) -> Self {
        self.set_threads(|threads| threads.engine = Some(Engine::Shuttle))
    }

    /// Explores with loom, which models weak memory orderings. Needs the feature `loom`. What loom does
    /// not do is refused: delays, random schedules, PCT, early wake-ups, cancellations, every order and
    /// daemons.
    pub fn loom(self) -> Self {
        self.set_threads(|threads| threads.engine = Some(Engine::Loom))
    }

    /// Runs all schedules with at most this many preemptions, and no others: switches away from a
    /// thread that could continue. A switch where a thread has to wait or ends is not counted. That a
    /// thread goes on that yields or sleeps, although others could, is.
    ///
    /// Without this, and without one of the other ways to choose schedules, a portfolio is run: all
    /// schedules with at most two preemptions, and others from searches that reach further.
    pub fn preemptions(self, preemptions: u32) -> Self {
        self.bounded(Bound::Preemptions(preemptions))
    }

    /// Runs all schedules with at most this many deviations from the default one, in which each
    /// thread runs until it has to wait: also where a thread has to wait anyway. With many threads it
    /// reaches further than a bound of preemptions (delay bounding, Emmi, Qadeer and Rakamarić 2011).
    pub fn delays(self, delays: u32) -> Self {
        self.bounded(Bound::Delays(delays))
    }

    /// Runs all schedules. A loop that yields or sleeps may make them without end; then the search ends
    /// at its limit, and is incomplete.
    pub fn unbounded(self) -> Self {
        self.bounded(Bound::NONE)
    }

    fn bounded(self, bound: Bound) -> Self {
        self.set_threads(|threads| (threads.mode, threads.bound) = (ScheduleMode::Bounded, bound))
    }

    /// The most waits of a run that end early: a wait for a notification or to be unparked that ends
    /// without one, and a wait for a limited time whose time is up while others could go on. 1 unless
    /// set. Loom lets no wait end early, and refuses any number but 0.
    pub fn wakeups(self, wakeups: u32) -> Self {
        self.set_threads(|threads| (threads.search.wakes, threads.asks_wakes) = (wakeups, true))
    }

    /// Drops the futures of tasks at their awaits: at most this many per run, at each await that is
    /// reached. 0 unless set. A task is what [`mallory::future::spawn`](crate::future::spawn) starts.
    /// Futures that it awaits through [`cancellable`](crate::future::cancellable()) are dropped alone, too.
    /// Its handle then returns an error, as that of a task that was aborted; it must leave no block
    /// behind, and what it shares whole. Loom refuses any number but 0.
    pub fn cancellations(self, cancellations: u32) -> Self {
        self.set_threads(|threads| threads.search.cancels = cancellations)
    }

    /// Runs schedules as well that differ from others only in the order of operations that commute,
    /// such as two requests of different threads. For code whose threads also meet in ways that
    /// `mallory::sync` does not see. Loom refuses it.
    pub fn every_order(self) -> Self {
        self.set_threads(|threads| threads.search.reduces = false)
    }

    /// Runs the schedules of each fault in the order of those without one, instead of first those that
    /// preempt a thread near to where the fault changes what it does. A search that ends has run the
    /// same schedules either way.
    pub fn unguided(self) -> Self {
        self.set_threads(|threads| threads.search.guided = false)
    }

    /// Ends each search with its first finding: the one without a fault, and then that of each fault.
    pub fn stop_at_first(self) -> Self {
        self.set_threads(|threads| threads.stops_at_first = true)
    }

    /// Threads with this name may wait for ever: a run ends when all others have ended. Without this,
    /// a thread that can't go on is a deadlock, also if no thread joins it. Loom refuses it.
    pub fn daemon(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.set(|settings| settings.daemons.push(name))
    }

    /// The most schedules of each fault, and of the census; those that cost least come first. 0
    /// counts as 1. The other searches of a portfolio together make at most as many again. If there
    /// are more, the verdict is [`Incomplete`](crate::Verdict::Incomplete). Loom, which goes depth first,
    /// then runs at most as many again with fewer preemptions: all without any, all with at most one, and
    /// so on. The report says how far that went.
    pub fn schedules(self, schedules: u64) -> Self {
        self.set_threads(|threads| threads.schedules = Some(schedules.max(1)))
    }

    /// The most faulted runs in all; 0 counts as 1. If requests × schedules exceed it, a sample by the
    /// seed is run: some of the faults, those at new call sites first, and some schedules of each. The
    /// verdict is then [`Sampled`](crate::Verdict::Sampled). Without a limit, a sample of four million
    /// runs is made, and [`Report::assert_clean`] panics since nobody asked for a sample. Under loom only
    /// the faults are drawn: of each those schedules come first that have the fewest preemptions.
    pub fn limit(self, runs: u64) -> Self {
        self.set(|settings| settings.limit = Some(runs.max(1)))
    }

    /// Accepts a subject that starts no thread and asks for no memory, such as one of simulated time.
    /// Otherwise that is an error: there is one run, in which nothing fails.
    pub fn allow_no_requests(self) -> Self {
        self.set(|settings| settings.accepts_no_requests = true)
    }

    /// Runs this many random schedules instead of all within the bound: at each scheduling point any
    /// thread may run next.
    pub fn random(self, schedules: u64) -> Self {
        self.set_threads(|threads| threads.mode = ScheduleMode::Random(schedules.max(1)))
    }

    /// Runs this many schedules of PCT (probabilistic concurrency testing, Burckhardt et al. 2010):
    /// threads have random priorities that change `depth - 1` times. A bug that needs `depth` events in
    /// one order is found with a known probability.
    pub fn pct(self, depth: u32, schedules: u64) -> Self {
        self.set_threads(|threads| threads.mode = ScheduleMode::Pct(depth.max(1), schedules.max(1)))
    }

    /// Whether requests and frees are scheduling points, like operations on locks and atomics. True
    /// unless set.
    pub fn points(self, points: bool) -> Self {
        self.set_threads(|threads| threads.points = points)
    }

    /// Says which errors mean out of memory. Others are findings. See [`Sweep::oom`].
    pub fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> Explore<By<F>, V> {
        Explore { core: self.core.oom(is_oom), threads: self.threads }
    }

    /// Chooses the part of the result that is compared with the fault-free results. See
    /// [`Sweep::observe`].
    pub fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> Explore<C, By<F>> {
        Explore { core: self.core.observe(observe), threads: self.threads }
    }

    /// Explores a script's threads on one shared system. Replies and end state have to be those of the
    /// system's model for some order of the operations. Needs the feature `shuttle`.
    ///
    /// What is wrong with the script, such as one that holds its own fault or schedule, is the report's
    /// [error](Report::error).
    #[cfg(feature = "ron")]
    pub fn scripted<S: crate::system::System>(
        self,
        script: &crate::system::script::Script<S::Op>,
    ) -> Report {
        let Explore { core, threads } = self;
        let (name, seed) = (core.settings.name.clone(), core.settings.seed);
        let explored = core
            .follow_script::<S>(script)
            .and_then(|(core, insists)| explore_script::<S, C, V>(core, threads, script, insists));
        explored.unwrap_or_else(|error| Report::failed(&name, seed, error))
    }

    /// Explores a closure. It is run many times, each time on a fresh heap, and must do the same in
    /// the same schedule. A caller's mistake is the report's [error](Report::error).
    pub fn run<T, E: Debug>(self, run: impl Fn(&Heap) -> Result<T, E> + Sync) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        let (mut request, classify, observe) = self.core.split();
        request.settings.threads = Some(self.threads);
        let subject = SharedSubject { run, classify: &classify, observe: &observe };
        request.run(&subject, &ExploreLoop)
    }
}

/// Explores a script whose threads share one system.
#[cfg(all(feature = "ron", feature = "shuttle"))]
fn explore_script<S: crate::system::System, C, V>(
    mut core: BuilderCore<C, V>,
    mut threads: ExploreSettings,
    script: &crate::system::script::Script<S::Op>,
    insists: bool,
) -> Result<Report, Error> {
    if script.fault.is_some() || script.schedule.is_some() {
        return Err(Error::new("the script holds a fault or a schedule, so it is a single run")
            .help("leave both out to explore it, or run it once: `run`"));
    }
    if *threads.engine.get_or_insert(Engine::Shuttle) != Engine::Shuttle {
        return Err(Error::new("loom can't explore a script's threads")
            .help("use shuttle, or Explore::run for a closure"));
    }
    core.settings.threads = Some(threads);
    core.settings.classified = true;
    core.settings.recovers = true;
    let subject =
        crate::run::concurrent_script::ConcurrentScript::<S>::new(&script.threads, insists);
    Ok(core.split().0.run(&subject, &ExploreLoop))
}

#[cfg(all(feature = "ron", not(feature = "shuttle")))]
fn explore_script<S: crate::system::System, C, V>(
    _: BuilderCore<C, V>,
    _: ExploreSettings,
    _: &crate::system::script::Script<S::Op>,
    _: bool,
) -> Result<Report, Error> {
    Err(Engine::Shuttle.missing())
}
