//! The sweep as its callers write it: a name, what is wanted, and a closure.

use std::alloc::GlobalAlloc;
use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

use crate::adapters::adversary::Adversary;
use crate::error::Error;
use crate::global::GlobalHeap;
use crate::heap::Heap;
use crate::options::Options;
use crate::plan::Plan;
use crate::port::Port;
use crate::report::Report;
use crate::report::outcome::Strategy;
use crate::report::token::Token;
use crate::run::Subject;
use crate::run::script_subject::ScriptSubject;
use crate::run::subject::{
    By, Classify, ClosureSubject, Observe, StagedSubject, Unclassified, Whole,
};
use crate::sweep::builder_core::{BuilderCore, shared_settings};
use crate::sweep::measurements::Baseline;
use crate::sweep::run_loop::RunLoop;
use crate::sweep::settings::Settings;
use crate::sweep::{engine, journal};
use crate::system::{Guarantee, System, World};

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
    pub(crate) core: BuilderCore<C, V>,
}

impl Sweep {
    /// A sweep of this name (`[a-z0-9][a-z0-9/_-]{0,39}`), which is printed in reports and tokens.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Sweep {
        Sweep { core: BuilderCore::new(name.into()) }
    }
}

shared_settings!(Sweep);

/// The loop of a sweep: every request in turn, with threads as the system schedules them.
struct EveryRequest;

impl RunLoop for EveryRequest {
    fn prepare_replay(&self, _: &mut Settings, token: &Token) -> Result<(), Error> {
        if token.turns.is_none() {
            return Ok(());
        }
        let what = "the token holds a schedule, and a sweep's threads are the system's";
        Err(Error::new(what).help("replay it by exploring: Explore, or `explore`"))
    }

    fn widen(&self, _: &Settings, _: &dyn Subject, _: &mut Baseline) -> Result<(), Error> {
        Ok(())
    }

    fn run(&self, settings: &mut Settings, subject: &dyn Subject) -> Report {
        engine::sweep(settings, subject)
    }
}

impl<C, V> Sweep<C, V> {
    /// Makes so many faulted runs at most, new call sites first.
    pub fn limit(self, runs: u64) -> Self {
        self.set(|settings| settings.limit = Some(runs))
    }

    /// Accepts that a failed request aborts the process at so many call sites, and lists them.
    /// One more is a finding; one less asks for the number to be lowered.
    pub fn allow_aborts(self, sites: u64) -> Self {
        self.set(|settings| settings.allow_aborts = Some(sites))
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
        self.set(|settings| {
            settings.port = Some(Box::new(move |options: Options| options.heap_over(port())));
            settings.adversarial = false;
        })
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
        self.set(|settings| settings.put_adversary_below(adversary))
    }

    /// Sweeps code that uses the global allocator, as it is: what the closure asks for anywhere is
    /// watched and fails, not only what it takes from the heap that it is given.
    ///
    /// A failure that nobody catches aborts: see [`allow_aborts`](Self::allow_aborts).
    pub fn global<A: GlobalAlloc + Sync>(self, heap: &'static GlobalHeap<A>) -> Self {
        self.set(|settings| settings.global = Some(heap))
    }

    /// Lets requests fail as well that are made while a panic unwinds. What the panic machinery
    /// itself asks for never fails.
    pub fn unwinding(self) -> Self {
        self.set(|settings| settings.options.unwinding = true)
    }

    /// Keeps a journal in this folder; with `resume`, goes on from the one that is there.
    pub fn journal(self, folder: impl Into<std::path::PathBuf>, resume: bool) -> Self {
        let place = journal::JournalPlace { dir: folder.into(), resume };
        self.set(|settings| settings.journal = Some(place))
    }

    /// All that was asked for, for whoever explores in a way of its own.
    #[cfg(feature = "ron")]
    pub(crate) fn into_settings(self) -> Result<Settings, Error> {
        self.core.error.map_or(Ok(self.core.settings), Err)
    }

    /// Says which errors mean out of memory; others are findings. Without it every `Err` counts
    /// as propagated, and the report says *errors unclassified*.
    pub fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> Sweep<By<F>, V> {
        Sweep { core: self.core.oom(is_oom) }
    }

    /// Chooses what of the result is compared with the fault-free one. The whole of it, by its
    /// `Debug` text, unless given.
    pub fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> Sweep<C, By<F>> {
        Sweep { core: self.core.observe(observe) }
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
    pub fn run_local<T, E: Debug>(self, run: impl FnMut(&Heap) -> Result<T, E>) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        let (request, classify, observe) = self.core.split();
        let subject =
            ClosureSubject { run: RefCell::new(run), classify: &classify, observe: &observe };
        request.run(&subject, &EveryRequest)
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
        self.core.settings.classified = true;
        self.core.settings.recovers = true;
        let input = Arc::clone(&self.core.settings.input);
        let scratch = std::env::temp_dir();
        let world = World::new(&input, &scratch);
        let subject = ScriptSubject::<S>::new(ops, &world, insists);
        self.core.split().0.run(&subject, &EveryRequest)
    }
}

#[cfg(feature = "ron")]
impl<C, V> Sweep<C, V> {
    /// Sweeps what a script says, held against the system's plain model.
    pub fn scripted<S: System>(self, script: &crate::system::script::Script<S::Op>) -> Report {
        let settings = &self.core.settings;
        let (name, seed) = (settings.name.clone(), settings.seed);
        let failed = |error: Error| Report::failed(&name, seed, error);
        let [ops] = script.threads.as_slice() else {
            let what = format!("the script has {} threads", script.threads.len());
            return failed(Error::new(what).help("a sweep runs one; explore runs more"));
        };
        if script.schedule.is_some() {
            let what = "the script holds a schedule";
            return failed(Error::new(what).help("a sweep has none; explore follows it"));
        }
        match self.core.follow_script::<S>(script) {
            Ok((core, insists)) => Sweep { core }.operations::<S>(ops, insists),
            Err(error) => failed(error),
        }
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
        let (mut request, classify, observe) = sweep.core.split();
        request.settings.recovers = true;
        let (classify, observe) = (&classify, &observe);
        let subject = StagedSubject { setup, operation, guarantee, classify, observe };
        request.run(&subject, &EveryRequest)
    }
}
