//! The builder of a sweep: a name, settings, and at the end the closure to sweep.

use std::alloc::GlobalAlloc;
use std::cell::RefCell;
use std::fmt::Debug;
use std::path::PathBuf;
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
use crate::run::demands::{HasOperation, HasSetup, Shareable};
use crate::run::script_subject::ScriptSubject;
use crate::run::subject::{
    By, Classify, ClosureSubject, Observe, Returned, StagedSubject, Unclassified, Whole,
};
use crate::sweep::builder_core::{BuilderCore, shared_settings};
use crate::sweep::measurements::Baseline;
use crate::sweep::run_loop::RunLoop;
use crate::sweep::settings::Settings;
use crate::sweep::{engine, journal};
use crate::system::{Guarantee, System, World};

/// Fails every request for memory of a piece of code, one by one, and reports the bugs that show.
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallory::{Heap, Sweep};
///
/// /// Returns an error instead of aborting if there is no memory.
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
    /// A sweep with this name (`[a-z0-9][a-z0-9/_-]{0,39}`), which reports and tokens print.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Sweep {
        Sweep { core: BuilderCore::new(name.into()) }
    }
}

shared_settings!(Sweep);

/// The loop of a sweep: every request in turn, on threads that the system schedules.
pub(crate) struct EveryRequest;

impl RunLoop for EveryRequest {
    fn prepare_replay(&self, _: &mut Settings, token: &Token) -> Result<(), Error> {
        if token.preemptions.is_none() {
            return Ok(());
        }
        let what = "the token holds a schedule, but a sweep leaves scheduling to the system";
        Err(Error::new(what).help("replay it with Explore"))
    }

    fn widen(&self, _: &Settings, _: &dyn Subject, _: &mut Baseline) -> Result<(), Error> {
        Ok(())
    }

    fn run(&self, settings: &mut Settings, subject: &dyn Subject) -> Report {
        engine::sweep(settings, subject)
    }
}

impl<C, V> Sweep<C, V> {
    /// Makes at most this many faulted runs, those of new call sites first.
    pub fn limit(self, runs: u64) -> Self {
        self.set(|settings| settings.limit = Some(runs))
    }

    /// Leaves out the guarded runs, in which every block has inaccessible pages around it: reads of
    /// freed memory and beyond a block's ends are then not seen, nor results that depend on what
    /// fresh memory holds.
    pub fn quick(self) -> Self {
        self.set(|settings| settings.quick = true)
    }

    /// Accepts a subject that asks for no memory. Otherwise that is an error: where no request is
    /// made, none fails, and the sweep proves nothing.
    pub fn allow_no_requests(self) -> Self {
        self.set(|settings| settings.accepts_no_requests = true)
    }

    /// Accepts that failed requests abort the process at exactly `sites` call sites, and lists
    /// them. With more call sites all are findings; with fewer, an error asks for the number to be
    /// lowered.
    pub fn allow_aborts(self, sites: u64) -> Self {
        self.set(|settings| settings.allow_aborts = Some(sites))
    }

    /// Accepts the aborts and panics of failed requests whose call sites are in this file, which is
    /// relative to the package's folder, and lists them. What is not in it stays a finding; other
    /// kinds of findings are never allowed by it. With `MALLORY_UPDATE=1` in the environment the
    /// file is written anew: commit it, and review its changes like a snapshot's.
    ///
    /// A file that can't be read or understood is the report's [error](Report::error).
    pub fn allowed(self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.set(|settings| settings.allowed_file = Some(file))
    }

    /// Sets how the faulted runs are made. The report is the same for any; see
    /// [`Report::strategy`]. Default: [`Strategy::Auto`].
    pub fn strategy(self, strategy: Strategy) -> Self {
        self.set(|settings| settings.strategy = strategy)
    }

    /// Makes a single run under this plan instead of the sweep.
    pub fn plan(self, plan: Plan) -> Self {
        self.set(|settings| settings.plan = Some(plan))
    }

    /// Puts a port of the caller's below the heap, made anew for every run.
    pub fn port<P: Port + Send + 'static>(self, port: impl Fn() -> P + 'static) -> Self {
        self.set(|settings| {
            settings.port = Some(Box::new(move |options: Options| options.heap_over(port())));
            settings.adversarial = false;
        })
    }

    /// Puts the adversarial heap below, made anew for every run: see [`Adversary`]. Its guard pages
    /// and its random contents of fresh memory replace guard bytes, poison and quarantine, and it
    /// decides whether a growing block moves. Slack is off, since a heap never hands it out. With
    /// [`global`](Self::global) the subject's blocks come from the adversarial heap over the
    /// system's allocator, and blocks that outlive their run are never freed.
    ///
    /// A bad access ends its run, and names its block. A result that depends on fresh memory or on
    /// addresses is `nondeterminism` or another result. If only the path after a failure reads
    /// uninitialised bytes, the finding's text may change with the number of jobs.
    pub fn adversary(self, adversary: Adversary) -> Self {
        self.set(|settings| settings.put_adversary_below(adversary))
    }

    /// Sweeps code that uses the global allocator, unchanged: all requests of the closure are
    /// watched and fail in turn, not only those on the heap that it is given. `heap` is the
    /// program's `#[global_allocator]`.
    ///
    /// Code that doesn't handle a failure aborts: see [`allow_aborts`](Self::allow_aborts).
    pub fn global<A: GlobalAlloc + Sync>(self, heap: &'static GlobalHeap<A>) -> Self {
        self.set(|settings| settings.global = Some(heap))
    }

    /// Also fails requests that are made while a panic unwinds. Requests of the panic machinery
    /// itself never fail.
    pub fn unwinding(self) -> Self {
        self.set(|settings| settings.options.unwinding = true)
    }

    /// Keeps a journal of finished points in this folder; with `resume`, continues from the one
    /// there.
    pub fn journal(self, folder: impl Into<std::path::PathBuf>, resume: bool) -> Self {
        let place = journal::JournalPlace { dir: folder.into(), resume };
        self.set(|settings| settings.journal = Some(place))
    }

    /// Says that the subject is a C program.
    #[cfg(feature = "c")]
    pub(crate) fn of_c(self) -> Self {
        self.set(|settings| settings.is_c = true)
    }

    /// The settings, for callers with a loop of their own.
    #[cfg(feature = "ron")]
    pub(crate) fn into_settings(self) -> Result<Settings, Error> {
        self.core.error.map_or(Ok(self.core.settings), Err)
    }

    /// Sets which errors mean out of memory; others are findings. Without it every `Err` counts as
    /// propagated, and the report notes *errors unclassified*.
    pub fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> Sweep<By<F>, V> {
        Sweep { core: self.core.oom(is_oom) }
    }

    /// Sets what of the result is compared with the fault-free one. Default: its whole `Debug`
    /// text.
    ///
    /// ```
    /// use allocator_api2::collections::TryReserveError;
    /// use allocator_api2::vec::Vec;
    /// use mallory::{Heap, Sweep};
    ///
    /// /// Reserves room for ten if there is memory, else for one. Both are right.
    /// fn list(heap: &Heap) -> Result<Vec<u8, Heap>, TryReserveError> {
    ///     let mut list = Vec::new_in(heap.clone());
    ///     list.try_reserve_exact(10).or_else(|_| list.try_reserve_exact(1))?;
    ///     list.push(7);
    ///     Ok(list)
    /// }
    ///
    /// let capacity = |list: &Vec<u8, Heap>| list.capacity();
    /// let report = Sweep::new("list").observe(capacity).run(list);
    /// assert_eq!(report.findings()[0].kind(), mallory::Kind::SilentWrong);
    /// let contents = |list: &Vec<u8, Heap>| list.to_vec();
    /// Sweep::new("list").observe(contents).run(list).assert_clean();
    /// ```
    pub fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> Sweep<C, By<F>> {
        Sweep { core: self.core.observe(observe) }
    }

    /// Sweeps a closure. It runs many times, each time on a new heap, and must do the same each
    /// time.
    pub fn run<T, E: Debug>(self, run: impl Fn(&Heap) -> Result<T, E> + Shareable) -> Report
    where
        C: Classify<E>,
        V: Observe<T>,
    {
        self.run_local(run)
    }

    /// Runs a closure under all detectors, and fails nothing: what it does wrong while there is memory.
    /// It is run several times, also on blocks between inaccessible pages, and may return `()` or a
    /// `Result`.
    ///
    /// ```
    /// use allocator_api2::vec::Vec;
    /// use mallory::Sweep;
    ///
    /// let report = Sweep::new("digits").check(|heap| {
    ///     let mut digits = Vec::new_in(heap.clone());
    ///     digits.extend([3, 1, 4]);
    ///     std::mem::forget(digits);
    /// });
    /// assert_eq!(report.findings()[0].kind(), mallory::Kind::Leak);
    /// ```
    pub fn check<R: Returned>(self, run: impl Fn(&Heap) -> R + Shareable) -> Report
    where
        C: Classify<R::Error>,
        V: Observe<R::Value>,
    {
        let only_check = self.set(|settings| settings.only_check = true);
        only_check.run_local(move |heap| run(heap).into_result())
    }

    /// Sweeps a closure that changes what it captures. Each worker process has its own copy of
    /// that.
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
    /// operation is repeated with memory available, and the object must end as it does without the
    /// fault.
    ///
    /// ```
    /// use allocator_api2::collections::TryReserveError;
    /// use allocator_api2::vec::Vec;
    /// use mallory::Sweep;
    ///
    /// Sweep::new("append")
    ///     .setup(|heap| {
    ///         let mut list = Vec::new_in(heap.clone());
    ///         list.try_reserve_exact(1)?;
    ///         list.push(1);
    ///         Ok::<_, TryReserveError>(list)
    ///     })
    ///     .atomic() // an error leaves the list as it was
    ///     .operation(|list| {
    ///         list.try_reserve(2)?;
    ///         list.extend([2, 3]);
    ///         Ok::<_, TryReserveError>(list.len())
    ///     })
    ///     .assert_clean();
    /// ```
    pub fn setup<S, E: Debug, F: Fn(&Heap) -> Result<S, E>>(self, setup: F) -> Setup<F, C, V> {
        Setup { sweep: self, setup, guarantee: Guarantee::Retryable }
    }

    /// Only for the error of a caller who leaves out [`setup`](Self::setup).
    #[doc(hidden)]
    pub fn operation<G>(self, _: G) -> Report
    where
        Self: HasSetup,
    {
        self.failed(Error::new("[mallory bug] it has no set-up"))
    }

    /// Sweeps a sequence of operations on a system, and compares the system with its plain model.
    pub fn script<S: System>(self, ops: &[S::Op]) -> Report {
        self.operations::<S>(ops, false)
    }

    fn operations<S: System>(mut self, ops: &[S::Op], keeps_failing: bool) -> Report {
        self.core.settings.classified = true;
        self.core.settings.recovers = true;
        let input = Arc::clone(&self.core.settings.input);
        let scratch = std::env::temp_dir();
        let world = World::new(&input, &scratch);
        let subject = ScriptSubject::<S>::new(ops, &world, keeps_failing);
        self.core.split().0.run(&subject, &EveryRequest)
    }
}

#[cfg(feature = "ron")]
impl<C, V> Sweep<C, V> {
    /// Sweeps a script, and compares the system with its plain model.
    pub fn scripted<S: System>(self, script: &crate::system::script::Script<S::Op>) -> Report {
        let settings = &self.core.settings;
        let (name, seed) = (settings.name.clone(), settings.seed);
        let failed = |error: Error| Report::failed(&name, seed, error);
        let [ops] = script.threads.as_slice() else {
            let what = format!("the script has {} threads", script.threads.len());
            return failed(Error::new(what).help("a sweep runs one thread; explore it instead"));
        };
        if script.schedule.is_some() {
            let what = "the script holds a schedule";
            return failed(Error::new(what).help("a sweep has no schedule; explore it instead"));
        }
        match self.core.follow_script::<S>(script) {
            Ok((core, keeps_failing)) => Sweep { core }.operations::<S>(ops, keeps_failing),
            Err(error) => failed(error),
        }
    }
}

/// A sweep of an operation on an object that is set up first; see [`Sweep::setup`].
#[must_use = "a sweep does nothing until it is given something to run"]
pub struct Setup<F, C, V> {
    sweep: Sweep<C, V>,
    setup: F,
    guarantee: Guarantee,
}

impl<F, C, V> Setup<F, C, V> {
    /// Demands that after an error the object is as it was before the operation.
    pub fn atomic(mut self) -> Self {
        self.guarantee = Guarantee::Atomic;
        self
    }

    /// Only for the error of a caller who leaves out [`operation`](Self::operation).
    #[doc(hidden)]
    pub fn run<G>(self, _: G) -> Report
    where
        Self: HasOperation,
    {
        self.sweep.failed(Error::new("[mallory bug] it has no operation"))
    }

    /// Only for the error of a caller who leaves out [`operation`](Self::operation).
    #[doc(hidden)]
    pub fn assert_clean(&self)
    where
        Self: HasOperation,
    {
    }

    /// Sweeps this operation on the object.
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
