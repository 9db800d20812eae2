//! The sweep as its callers write it: a name, what is wanted, and a closure.

use std::alloc::GlobalAlloc;
use std::cell::RefCell;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::Adversary;
use crate::env::Env;
use crate::error::Error;
use crate::explore::engine as explore_engine;
use crate::global::GlobalHeap;
use crate::heap::Heap;
use crate::host::{Engine, Host};
use crate::options::Options;
use crate::plan::Faults;
use crate::plan::Plan;
use crate::port::{Malloc, Port};
use crate::report::kind::Kind;
use crate::report::outcome::Strategy;
use crate::report::token;
use crate::report::token::{Token, is_name};
use crate::report::rerun::{PROGRAM, Rerun};
use crate::report::Report;
use crate::run::Subject;
use crate::run::call_site;
use crate::run::subject::{
    By, Classify, Closure, Observe, Scripted, Shared, Staged, Unclassified, Whole,
};
use crate::schedule::Turn;
use crate::sweep::engine as sweep_engine;
use crate::sweep::observation::Point;
use crate::sweep::settings::{Allowance, Progress, Settings, Threads};
use crate::sweep::{journal, replay};
#[cfg(feature = "ron")]
use crate::system::script::Mode;
use crate::system::{Guarantee, System, World};
use crate::trace::Coordinate;

/// Fails every request of a piece of code, one by one, and reports what that shows.
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallory::{Heap, Sweep};
///
/// /// Answers an error where there is no memory, instead of aborting.
/// fn squares(heap: &Heap) -> Result<u64, allocator_api2::collections::TryReserveError> {
///     let mut squares = Vec::new_in(heap.clone());
///     for n in 0..10_u64 {
///         squares.try_reserve(1)?;
///         squares.push(n * n);
///     }
///     Ok(squares.iter().sum())
/// }
///
/// Sweep::new("squares").run(squares).assert_clean();
/// ```
#[must_use = "a sweep does nothing until it is given something to run"]
pub struct Sweep<C = Unclassified, V = Whole> {
    settings: Settings,
    classify: C,
    observe: V,
    token: Option<Token>,
    oom_after: Option<u64>,
    #[cfg(feature = "cli")]
    env_jobs: Option<usize>,
    error: Option<Error>,
}

impl Sweep {
    /// A sweep of this name (`[a-z0-9][a-z0-9/_-]{0,39}`), which stands in reports and tokens.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Sweep {
        let name = name.into();
        // Its children stand elsewhere.
        let _ = call_site::home();
        let mut error = (!is_name(&name)).then(|| {
            Error::new(format!("{name:?} is no name for a sweep"))
                .mend("lower-case letters, digits, and /, _ or - after the first; at most 40")
        });
        let env = Env::read().unwrap_or_else(|wrong| {
            error.get_or_insert(wrong);
            Env::default()
        });
        let mut options = Options::new().bypass(env.bypass);
        if env.histogram {
            options = options.histogram();
        }
        let test = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let rerun = match test {
            Some(test) => Rerun::Test(test),
            None => Rerun::Command(PROGRAM.to_owned()),
        };
        let settings = Settings {
            seed: env.seed.unwrap_or(0),
            jobs: env.jobs.unwrap_or(1),
            limit: None,
            strict: false,
            benign: Vec::new(),
            allowances: Vec::new(),
            allow_aborts: None,
            options,
            faults: Faults::Both,
            strategy: Strategy::Auto,
            plan: None,
            input: Arc::from([]),
            input_given: false,
            port: None,
            adversarial: false,
            global: None,
            known_file: Location::caller().file(),
            rerun,
            journal: None,
            progress: None,
            classified: false,
            recovers: false,
            in_process: !cfg!(unix) || cfg!(miri),
            patience: None,
            threads: None,
            host: None,
            name,
        };
        Sweep {
            token: env.replay.filter(|token| token.scenario() == settings.name),
            settings,
            classify: Unclassified,
            observe: Whole,
            oom_after: env.oom_after,
            #[cfg(feature = "cli")]
            env_jobs: env.jobs,
            error,
        }
    }
}

impl<C, V> Sweep<C, V> {
    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The same sweep with other closures.
    fn with<D, W>(self, change: impl FnOnce(C, V) -> (D, W)) -> Sweep<D, W> {
        let (classify, observe) = change(self.classify, self.observe);
        Sweep {
            settings: self.settings,
            classify,
            observe,
            token: self.token,
            oom_after: self.oom_after,
            #[cfg(feature = "cli")]
            env_jobs: self.env_jobs,
            error: self.error,
        }
    }

    /// The one number that all chance comes from. 0 unless given; `MALLORY_SEED` as well.
    pub fn seed(self, seed: u64) -> Self {
        self.set(|settings| settings.seed = seed)
    }

    /// How many children share the work; the report is the same for any number. 1 unless given
    /// (test runners run tests side by side already); `MALLORY_JOBS` as well.
    pub fn jobs(self, jobs: usize) -> Self {
        self.set(|settings| settings.jobs = jobs.max(1))
    }

    /// Makes so many faulted runs at most, new call sites first.
    pub fn limit(self, runs: u64) -> Self {
        self.set(|settings| settings.limit = Some(runs))
    }

    /// Absorbing a failed request is a finding too, except at sites called
    /// [`benign`](Self::benign).
    pub fn strict(self) -> Self {
        self.set(|settings| settings.strict = true)
    }

    /// Failures of requests below the function whose path has this text in it are to change
    /// nothing: the result has to be the fault-free one, also in a strict sweep.
    pub fn benign(self, function: &str) -> Self {
        self.set(|settings| settings.benign.push(function.to_owned()))
    }

    /// Accepts findings of this kind whose call sites have this text in a function's path, at
    /// `max` requests at the most, for this reason. One that fits nothing is an error.
    pub fn allow(self, kind: Kind, function: &str, max: u64, reason: &str) -> Self {
        let (site, reason) = (function.to_owned(), reason.to_owned());
        self.set(|settings| settings.allowances.push(Allowance { kind, site, max, reason }))
    }

    /// Accepts that a failed request aborts the process at so many call sites, and lists them.
    /// One more is a finding; one less asks for the number to be lowered.
    pub fn allow_aborts(self, sites: u64) -> Self {
        self.set(|settings| settings.allow_aborts = Some(sites))
    }

    /// What the heap watches. Everything unless given.
    pub fn options(self, options: Options) -> Self {
        self.set(|settings| {
            let bypass = settings.options.bypass || options.bypass;
            let unwinding = settings.options.unwinding;
            settings.options = options.bypass(bypass);
            settings.options.unwinding = unwinding;
        })
    }

    /// Which faults are made of each request.
    pub fn faults(self, faults: Faults) -> Self {
        self.set(|settings| settings.faults = faults)
    }

    /// How long a run may make no request before it counts as hung: ten seconds or fifty times
    /// the run without a fault, whichever is more, unless given. Nothing else is timed.
    pub fn patience(self, time: Duration) -> Self {
        self.set(|settings| settings.patience = Some(time))
    }

    /// How to come to each point. The report is the same for any; see [`Report::strategy`].
    pub fn strategy(self, strategy: Strategy) -> Self {
        self.set(|settings| settings.strategy = strategy)
    }

    /// One run under this plan instead of the sweep.
    pub fn plan(self, plan: Plan) -> Self {
        self.set(|settings| settings.plan = Some(plan))
    }

    /// A port of the caller's below the heap, made anew for every run.
    pub fn port<P: Port + Send + 'static>(self, port: impl Fn() -> P + 'static) -> Self {
        self.port_with(false, move |options| options.heap_over(port()))
    }

    /// The adversarial heap below, made anew for every run: see [`Adversary`]. Its guard pages and
    /// its rubbish take the place of guard bytes, poison and quarantine, and growing happens as it
    /// likes. Slack is left out: a heap never hands it out. With [`global`](Self::global) the
    /// subject's blocks come from it, over the system's allocator; what outlives its run is never
    /// given back.
    ///
    /// A bad access is a `crash` with its block; what hangs on rubbish or on addresses is
    /// `nondeterminism` or another result. Where only the way of a failure reads uninitialised
    /// bytes, the finding's text may change with the number of jobs.
    pub fn adversary(self, adversary: Adversary) -> Self {
        self.port_with(true, move |options| {
            let options = options.ledger_only().moving(false);
            options.heap_over(adversary.clone().slack(false).over(Malloc))
        })
    }

    fn port_with(self, adversarial: bool, heap: impl Fn(Options) -> Heap + 'static) -> Self {
        self.set(|settings| {
            settings.port = Some(Box::new(heap));
            settings.adversarial = adversarial;
        })
    }

    /// Sweeps code that uses the global allocator, as it is: what the closure asks for anywhere is
    /// watched and fails, not only what it takes from the heap that it is given.
    ///
    /// A failure that nobody catches aborts: see [`allow_aborts`](Self::allow_aborts).
    pub fn global<A: GlobalAlloc + Sync>(self, heap: &'static GlobalHeap<A>) -> Self {
        self.set(|settings| settings.global = Some(heap))
    }

    /// Makes all runs in this process, as where there are no children: an abort ends it. For tests
    /// of just that.
    #[doc(hidden)]
    pub fn in_process(self) -> Self {
        self.set(|settings| settings.in_process = true)
    }

    /// Lets requests fail as well that are made while a panic unwinds. What the panic machinery
    /// itself asks for never fails.
    pub fn unwinding(self) -> Self {
        self.set(|settings| settings.options.unwinding = true)
    }

    /// What the subject reads: see [`World::input`].
    pub fn input(self, input: impl Into<Arc<[u8]>>) -> Self {
        self.set(|settings| {
            if !settings.input_given {
                settings.input = input.into();
            }
        })
    }

    /// An input that takes the place of the scenario's own.
    pub(crate) fn other_input(self, input: Arc<[u8]>) -> Self {
        self.set(|settings| {
            settings.input = input;
            settings.input_given = true;
        })
    }

    /// The input: the scenario's own, or the one given in its place.
    #[must_use]
    pub fn input_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.settings.input)
    }

    /// Is told how far the sweep is, several times a second.
    pub fn on_progress(self, hear: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.progress = Some(Arc::new(hear)))
    }

    /// Keeps a journal in this folder; with `resume`, goes on from the one that is there.
    pub fn journal(self, folder: impl Into<std::path::PathBuf>, resume: bool) -> Self {
        let place = journal::Place { dir: folder.into(), resume };
        self.set(|settings| settings.journal = Some(place))
    }

    /// The flag's number, or the environment's, or this one.
    #[cfg(feature = "cli")]
    pub(crate) fn jobs_unless_set(self, flag: Option<usize>, otherwise: usize) -> Self {
        let jobs = flag.or(self.env_jobs).unwrap_or(otherwise);
        self.jobs(jobs)
    }

    #[cfg(any(feature = "c", feature = "cli"))]
    pub(crate) fn seed_value(&self) -> u64 {
        self.settings.seed
    }

    pub(crate) fn known_file(self, file: &'static str) -> Self {
        self.set(|settings| settings.known_file = file)
    }

    pub(crate) fn rerun_by(self, program: &str) -> Self {
        self.set(|settings| settings.rerun = Rerun::Command(program.to_owned()))
    }

    #[cfg(feature = "script-tests")]
    pub(crate) fn rerun_test(self, test: String) -> Self {
        self.set(|settings| settings.rerun = Rerun::Test(test))
    }

    #[cfg(feature = "c")]
    pub(crate) fn rerun_program(self, program: String) -> Self {
        self.set(|settings| settings.rerun = Rerun::Program(program))
    }

    /// All that was asked for, for whoever explores in a way of its own.
    #[cfg(feature = "ron")]
    pub(crate) fn into_settings(self) -> Result<Settings, Error> {
        self.error.map_or(Ok(self.settings), Err)
    }

    /// The report of a sweep that its caller could not even begin.
    #[must_use]
    pub fn failed(self, error: Error) -> Report {
        Report::failed(&self.settings.name, self.settings.seed, error)
    }

    /// Explores the order of a closure's threads as well.
    pub(crate) fn run_threads<T, E: Debug>(
        mut self,
        threads: Threads,
        run: impl Fn(&Heap) -> Result<T, E> + Sync,
    ) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        self.settings.threads = Some(threads);
        let (classify, observe) = (&self.classify, &self.observe);
        let subject = Shared { run, classify, observe };
        self.settings.explore(&subject, self.token, self.oom_after, self.error.take())
    }

    /// Replays this token instead of sweeping.
    pub fn replay(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Says which errors mean out of memory; others are findings. Without it every `Err` counts
    /// as propagated, and the report says *errors unclassified*.
    pub fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> Sweep<By<F>, V> {
        let mut sweep = self.with(|_, observe| (By(is_oom), observe));
        sweep.settings.classified = true;
        sweep
    }

    /// Chooses what of the result is compared with the fault-free one. The whole of it, by its
    /// `Debug` text, unless given.
    pub fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> Sweep<C, By<F>> {
        self.with(|classify, _| (classify, By(observe)))
    }

    /// Sweeps a closure. It is run many times, each time on a heap of its own, and must do the
    /// same each time.
    pub fn run<T, E: Debug>(self, run: impl Fn(&Heap) -> Result<T, E> + Sync) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        self.run_local(run)
    }

    /// Sweeps a closure that changes what it captures; with one job.
    pub fn run_local<T, E: Debug>(mut self, run: impl FnMut(&Heap) -> Result<T, E>) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        let (classify, observe) = (self.classify, self.observe);
        let subject = Closure { run: RefCell::new(run), classify: &classify, observe: &observe };
        self.settings.explore(&subject, self.token, self.oom_after, self.error.take())
    }

    /// Sweeps an operation on an object that `setup` makes without faults. After a failure the
    /// operation is tried again with memory, and the object must end as without the fault.
    pub fn setup<S, E: Debug, F: Fn(&Heap) -> Result<S, E>>(self, setup: F) -> Setup<F, C, V> {
        Setup { sweep: self, setup, guarantee: Guarantee::Retryable }
    }

    /// Sweeps a script of operations on a system, held against its plain model.
    pub fn script<S: System>(self, ops: &[S::Op]) -> Report {
        self.operations::<S>(ops, false)
    }

    fn operations<S: System>(mut self, ops: &[S::Op], insists: bool) -> Report {
        self.settings.classified = true;
        self.settings.recovers = true;
        let input = Arc::clone(&self.settings.input);
        let scratch = std::env::temp_dir();
        let world = World::new(&input, &scratch);
        let subject = Scripted::<S>::new(ops, &world, insists);
        self.settings.explore(&subject, self.token, self.oom_after, self.error.take())
    }
}

#[cfg(feature = "ron")]
impl<C, V> Sweep<C, V> {
    /// Sweeps what a script says, held against the system's plain model.
    pub fn scripted<S: System>(self, script: &crate::system::script::Script<S::Op>) -> Report {
        let (name, seed) = (self.settings.name.clone(), self.settings.seed);
        let failed = |error: Error| Report::failed(&name, seed, error);
        let [ops] = script.threads.as_slice() else {
            let what = format!("the script has {} threads", script.threads.len());
            return failed(Error::new(what).mend("a sweep runs one; explore runs more"));
        };
        if script.schedule.is_some() {
            let what = "the script holds a schedule";
            return failed(Error::new(what).mend("a sweep has none; explore follows it"));
        }
        match self.told::<S>(script) {
            Ok((sweep, insists)) => sweep.operations::<S>(ops, insists),
            Err(error) => failed(error),
        }
    }

    /// Explores what a script says.
    pub(crate) fn scripted_threads<S: System>(
        self,
        threads: Threads,
        script: &crate::system::script::Script<S::Op>,
    ) -> Report {
        let (name, seed) = (self.settings.name.clone(), self.settings.seed);
        let explored = self
            .told::<S>(script)
            .and_then(|(sweep, insists)| sweep.contended::<S>(threads, script, insists));
        explored.unwrap_or_else(|error| Report::failed(&name, seed, error))
    }

    #[cfg(feature = "shuttle")]
    fn contended<S: System>(
        mut self,
        mut threads: Threads,
        script: &crate::system::script::Script<S::Op>,
        insists: bool,
    ) -> Result<Report, Error> {
        if script.fault.is_some() || script.schedule.is_some() {
            return Err(Error::new("the script is one run: it holds its fault, or its schedule")
                .mend("leave both out to explore all, or play it: `run`"));
        }
        if *threads.engine.get_or_insert(Engine::Shuttle) != Engine::Shuttle {
            return Err(Error::new("a script's threads take turns by shuttle")
                .mend("leave loom to what Explore::run runs"));
        }
        self.settings.threads = Some(threads);
        self.settings.classified = true;
        self.settings.recovers = true;
        let subject = crate::run::concurrent_script::Contended::<S>::new(&script.threads, insists);
        Ok(self.settings.explore(&subject, self.token, self.oom_after, self.error.take()))
    }

    #[cfg(not(feature = "shuttle"))]
    fn contended<S: System>(
        self,
        _: Threads,
        _: &crate::system::script::Script<S::Op>,
        _: bool,
    ) -> Result<Report, Error> {
        Err(Engine::Shuttle.missing())
    }

    /// Takes over what a script demands; answers whether its requests go on failing after the
    /// first error.
    fn told<S: System>(
        mut self,
        script: &crate::system::script::Script<S::Op>,
    ) -> Result<(Self, bool), Error> {
        if script.system != S::NAME {
            let what = format!("the script is for the system `{}`", script.system);
            return Err(Error::new(what).mend(format!("this one is `{}`", S::NAME)));
        }
        let (shortages, allowances) = (script.shortages()?, script.allowances()?);
        if self.settings.seed == 0 {
            self.settings.seed = script.seed;
        }
        self.settings.strict |= script.expect.strict;
        self.settings.benign.extend(script.expect.benign.iter().cloned());
        let insists = shortages.as_ref().is_some_and(|shortages| shortages.insists());
        if let Some(shortages) = shortages {
            self.settings.plan = Some(shortages.plan());
        }
        if script.modes.contains(&Mode::Bypass) {
            self.settings.options.bypass = true;
        }
        if script.modes.contains(&Mode::Adversary) {
            self = self.adversary(Adversary::new());
        }
        for (kind, allowed) in allowances {
            let (function, reason) = (&allowed.function, &allowed.reason);
            self = self.allow(kind, function, allowed.max, reason);
        }
        Ok((self, insists))
    }
}

/// A sweep whose object is set up; see [`Sweep::setup`].
#[must_use = "a sweep does nothing until it is given something to run"]
pub struct Setup<F, C, V> {
    sweep: Sweep<C, V>,
    setup: F,
    guarantee: Guarantee,
}

impl<F, C, V> Setup<F, C, V> {
    /// After an error the object must be as it was before.
    pub fn atomic(mut self) -> Self {
        self.guarantee = Guarantee::Atomic;
        self
    }

    /// Sweeps this operation.
    pub fn operation<S, T, E>(self, operation: impl Fn(&mut S) -> Result<T, E>) -> Report
    where
        F: Fn(&Heap) -> Result<S, E>,
        T: Debug,
        E: Debug,
        C: Classify<E>,
        V: Observe<S>,
    {
        let Setup { sweep, setup, guarantee } = self;
        let Sweep { mut settings, classify, observe, token, oom_after, error, .. } = sweep;
        settings.recovers = true;
        let (classify, observe) = (&classify, &observe);
        let subject = Staged { setup, operation, guarantee, classify, observe };
        settings.explore(&subject, token, oom_after, error)
    }
}

impl Settings {
    /// What the caller and the environment ask for: a replay, one run, or the sweep.
    fn explore(
        mut self,
        subject: &dyn Subject,
        token: Option<Token>,
        oom_after: Option<u64>,
        error: Option<Error>,
    ) -> Report {
        let is_its_own = self.port.is_some() && !self.adversarial;
        let clash = (self.global.is_some() && is_its_own).then(|| {
            Error::new("both a port and a global heap are given")
                .mend("a GlobalHeap stands over an allocator of its own: GlobalHeap::over")
        });
        let result = match (error.or(clash), token) {
            (Some(error), _) => Err(error),
            (None, Some(token)) => {
                self.follow(&token).and_then(|()| replay::replay(&self, subject, &token))
            }
            (None, None) => match (oom_after, self.plan.take()) {
                (Some(n), _) => {
                    let at = Coordinate { thread: 0, ordinal: n.saturating_add(1) };
                    let point = Point { at, persistent: true };
                    let plan = Plan::at(at, true);
                    replay::single(&self, subject, &plan, Some(point))
                        .map_err(|error| Error::new(format!("MALLORY_OOM_AFTER={n}: {error}")))
                }
                (None, Some(plan)) => replay::single(&self, subject, &plan, None),
                (None, None) if self.threads.is_some() => {
                    return explore_engine::explore(&mut self, subject);
                }
                (None, None) => return sweep_engine::sweep(&self, subject),
            },
        };
        result.unwrap_or_else(|error| Report::failed(&self.name, self.seed, error))
    }

    /// Makes runs as the token's were.
    fn follow(&mut self, token: &Token) -> Result<(), Error> {
        if token.scenario() != self.name {
            let what = format!("the token is of `{}`, not of `{}`", token.scenario(), self.name);
            return Err(Error::new(what).mend("replay it with the scenario that it names"));
        }
        let is_looms = Turn::loom_of(token.turns.as_deref().unwrap_or_default()).is_some();
        if let Some(threads) = &mut self.threads {
            // Where nobody says who explores, the schedule says whose it is.
            threads.engine.get_or_insert(if is_looms { Engine::Loom } else { Engine::Shuttle });
        }
        match (&token.turns, self.threads.is_some()) {
            (Some(_), false) => {
                let what = "the token holds a schedule, and a sweep's threads are the system's";
                return Err(Error::new(what).mend("replay it by exploring: Explore, or `explore`"));
            }
            (None, true) => {
                let what = "the token holds no schedule: it is a sweep's";
                return Err(Error::new(what).mend("replay it by the sweep that printed it"));
            }
            _ => explore_engine::settle(self)?,
        }
        match (is_looms, self.host.is_some_and(Host::is_weak)) {
            (true, false) => {
                let what = "the token holds one of loom's runs";
                return Err(Error::new(what).mend("replay it with loom: Explore::loom, or `loom`"));
            }
            (false, true) if token.turns.is_some() => {
                let what = "the token holds a schedule of shuttle's";
                let mend = "replay it with shuttle: Explore::shuttle, or `explore`";
                return Err(Error::new(what).mend(mend));
            }
            _ => {}
        }
        if token.input != self.input_hash() {
            let what = "the token was made on another input";
            return Err(Error::new(what).mend(match token.input {
                Some(_) => "give the same input with --input",
                None => "leave --input out: it was made on the scenario's own",
            }));
        }
        self.seed = token.seed;
        let has = |mode| token.modes.contains(&mode);
        let mut options = self.options.clone().bypass(has(token::Mode::Bypass));
        options.moving = !has(token::Mode::InPlace);
        if has(token::Mode::Ledger) {
            options = options.ledger_only();
        }
        self.options = options;
        Ok(())
    }
}
