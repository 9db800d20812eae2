//! Exploring as its callers write it: a name, how far to go, and a closure that starts threads.

use std::fmt::Debug;

use crate::error::Error;
use crate::explore::engine;
use crate::heap::Heap;
use crate::host::{Engine, Host};
use crate::report::Report;
use crate::report::rerun::Rerun;
use crate::report::token::Token;
use crate::run::Subject;
use crate::run::subject::{By, Classify, Observe, SharedSubject, Unclassified, Whole};
use crate::schedule::Preemption;
use crate::sweep::builder::Sweep;
use crate::sweep::builder_core::{BuilderCore, shared_settings};
use crate::sweep::measurements::Baseline;
use crate::sweep::run_loop::RunLoop;
use crate::sweep::settings::{ExploreSettings, ScheduleMode, Settings};

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
    core: BuilderCore<C, V>,
    threads: ExploreSettings,
}

impl Explore {
    /// An exploration of this name (`[a-z0-9][a-z0-9/_-]{0,39}`), which is printed in reports and
    /// tokens.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Explore {
        Explore::over(Sweep::new(name))
    }

    /// Explores what this sweep would sweep, with its threads in every order.
    pub(crate) fn over(sweep: Sweep) -> Explore {
        let threads = ExploreSettings {
            engine: None,
            way: ScheduleMode::Bounded,
            preemptions: PREEMPTIONS,
            schedules: None,
            points: true,
            alone: false,
        };
        Explore { core: sweep.core, threads }
    }
}

shared_settings!(Explore);

/// The loop of an exploration: every request in turn, in every order of the threads.
struct EveryOrder;

impl RunLoop for EveryOrder {
    fn prepare_replay(&self, settings: &mut Settings, token: &Token) -> Result<(), Error> {
        let is_looms =
            Preemption::loom_iteration(token.turns.as_deref().unwrap_or_default()).is_some();
        if let Some(threads) = &mut settings.threads {
            // Where nobody says which engine explores, the schedule does.
            threads.engine.get_or_insert(if is_looms { Engine::Loom } else { Engine::Shuttle });
        }
        if token.turns.is_none() {
            let what = "the token holds no schedule: it is a sweep's";
            return Err(Error::new(what).help("replay it by the sweep that printed it"));
        }
        engine::settle(settings)?;
        match (is_looms, settings.host.is_some_and(Host::is_weak)) {
            (true, false) => {
                let what = "the token holds one of loom's runs";
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
            crate::explore::extra_requests::widen(baseline, &census.wider, &census.texts);
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

    /// Explores by this one.
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

    /// Explores by shuttle's engine, under schedules that we choose; atomics are sequentially
    /// consistent. Needs the feature `shuttle`.
    pub fn shuttle(self) -> Self {
        self.set_threads(|threads| threads.engine = Some(Engine::Shuttle))
    }

    /// Explores by loom, which knows weak memory. Needs the feature `loom`.
    pub fn loom(self) -> Self {
        self.set_threads(|threads| threads.engine = Some(Engine::Loom))
    }

    /// At most so many preemptions in a schedule: changes of threads where the first could have
    /// gone on. 2 unless given. Changes where a thread blocks, yields or ends are not counted.
    pub fn preemptions(self, preemptions: u32) -> Self {
        self.set_threads(|threads| threads.preemptions = preemptions)
    }

    /// At most so many schedules of each fault (and without one), those with the fewest preemptions
    /// first.
    pub fn schedules(self, schedules: u64) -> Self {
        self.set_threads(|threads| threads.schedules = Some(schedules.max(1)))
    }

    /// At most so many faulted runs in all. Where requests × schedules are more, a sample of them is
    /// made by the seed: of the faults, new call sites first, and of each one's schedules. The
    /// verdict is [`Sampled`](crate::Verdict::Sampled) then. Without a limit four millions are made,
    /// and a sample is nothing to rely on: [`Report::assert_clean`] panics. Loom can't be told which
    /// of its schedules to run: the first ones of each fault are.
    pub fn limit(self, runs: u64) -> Self {
        self.set(|settings| settings.limit = Some(runs.max(1)))
    }

    /// So many schedules by chance instead: at each point any thread may go on.
    pub fn random(self, schedules: u64) -> Self {
        self.set_threads(|threads| threads.way = ScheduleMode::Random(schedules.max(1)))
    }

    /// So many schedules by random priorities that change `depth - 1` times: finds a bug that needs
    /// `depth` things in order with a known probability.
    pub fn pct(self, depth: u32, schedules: u64) -> Self {
        self.set_threads(|threads| threads.way = ScheduleMode::Pct(depth.max(1), schedules.max(1)))
    }

    /// Whether requests and frees are scheduling points, beside what the threads do to locks and
    /// atomics. They are unless this says no.
    pub fn points(self, points: bool) -> Self {
        self.set_threads(|threads| threads.points = points)
    }

    /// Says which errors mean out of memory; others are findings. See [`Sweep::oom`].
    pub fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> Explore<By<F>, V> {
        Explore { core: self.core.oom(is_oom), threads: self.threads }
    }

    /// Chooses what of the result is compared with the fault-free ones. See [`Sweep::observe`].
    pub fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> Explore<C, By<F>> {
        Explore { core: self.core.observe(observe), threads: self.threads }
    }

    /// Explores what a script says, held against the system's plain model: the replies and the end
    /// state have to be the model's in some order of the operations. By shuttle, whose feature it
    /// needs.
    #[cfg(feature = "ron")]
    pub fn scripted<S: crate::system::System>(
        self,
        script: &crate::system::script::Script<S::Op>,
    ) -> Report {
        let Explore { core, mut threads } = self;
        threads.alone = true;
        let (name, seed) = (core.settings.name.clone(), core.settings.seed);
        let explored = core
            .follow_script::<S>(script)
            .and_then(|(core, insists)| contended::<S, C, V>(core, threads, script, insists));
        explored.unwrap_or_else(|error| Report::failed(&name, seed, error))
    }

    /// Explores a closure. It is run many times, each time on a heap of its own, and must do the
    /// same each time that its threads take the same turns.
    pub fn run<T, E: Debug>(self, run: impl Fn(&Heap) -> Result<T, E> + Sync) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        let (mut request, classify, observe) = self.core.split();
        request.settings.threads = Some(self.threads);
        let subject = SharedSubject { run, classify: &classify, observe: &observe };
        request.run(&subject, &EveryOrder)
    }
}

/// Explores a script whose threads share one system.
#[cfg(all(feature = "ron", feature = "shuttle"))]
fn contended<S: crate::system::System, C, V>(
    mut core: BuilderCore<C, V>,
    mut threads: ExploreSettings,
    script: &crate::system::script::Script<S::Op>,
    insists: bool,
) -> Result<Report, Error> {
    if script.fault.is_some() || script.schedule.is_some() {
        return Err(Error::new("the script is one run: it holds its fault, or its schedule")
            .help("leave both out to explore all, or play it: `run`"));
    }
    if *threads.engine.get_or_insert(Engine::Shuttle) != Engine::Shuttle {
        return Err(Error::new("a script's threads are scheduled by shuttle")
            .help("leave loom to what Explore::run runs"));
    }
    core.settings.threads = Some(threads);
    core.settings.classified = true;
    core.settings.recovers = true;
    let subject =
        crate::run::concurrent_script::ConcurrentScript::<S>::new(&script.threads, insists);
    Ok(core.split().0.run(&subject, &EveryOrder))
}

#[cfg(all(feature = "ron", not(feature = "shuttle")))]
fn contended<S: crate::system::System, C, V>(
    _: BuilderCore<C, V>,
    _: ExploreSettings,
    _: &crate::system::script::Script<S::Op>,
    _: bool,
) -> Result<Report, Error> {
    Err(Engine::Shuttle.missing())
}
