//! The settings of a sweep or an exploration, as its builder collects them.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::adversary::Adversary;
use crate::adapters::guarded::Guarded;
use crate::error::Error;
use crate::global::Global;
use crate::heap::Heap;
use crate::host::{Engine, Host};
use crate::options::Options;
use crate::plan::{Faults, Plan};
use crate::port::Malloc;
use crate::process::guard_region::{GuardMode, GuardSide};
use crate::process::scratch_dir::ScratchDir;
use crate::process::status::LIFELINE;
use crate::process::thread_births::ThreadWaits;
use crate::report::call_site::Site;
use crate::report::kind::Kind;
use crate::report::outcome::Strategy;
use crate::report::rerun::Rerun;
use crate::report::token::RunMode;
use crate::run::outcome::{ResultComparison, ThreadScheduler};
use crate::run::{Job, Run, Subject, execute, execute_apart};
use crate::schedule::default_order::Bound;
use crate::schedule::search::SearchOptions;
use crate::sweep::journal::JournalPlace;
use crate::trace::hash_bytes;

/// The most requests of a whole program. One that makes them without end is stopped so.
pub(crate) const PROGRAM_REQUESTS_MAX: u64 = 5_000_000;

/// How schedules are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScheduleMode {
    /// All within the bound, and others beyond it.
    Portfolio,
    /// All within the bound.
    Bounded,
    /// This many random ones.
    Random(u64),
    /// PCT (probabilistic concurrency testing) with this depth, this many schedules.
    Pct(u32, u64),
}

/// How the threads of a subject are explored.
#[derive(Clone, Copy)]
pub(crate) struct ExploreSettings {
    pub(crate) engine: Option<Engine>,
    pub(crate) mode: ScheduleMode,
    pub(crate) bound: Bound,
    pub(crate) search: SearchOptions,
    /// Whether the caller set the number of early wake-ups.
    pub(crate) asks_wakes: bool,
    /// The most schedules of each search, if the caller sets a limit.
    pub(crate) schedules: Option<u64>,
    /// Whether requests and frees are scheduling points.
    pub(crate) points: bool,
    /// Whether to end with the first finding.
    pub(crate) stops_at_first: bool,
}

/// A finding that is known and accepted.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) kind: Kind,
    /// Text in the path of a function in its call sites.
    pub(crate) site: String,
    /// The most requests at which it may show.
    pub(crate) max: u64,
    pub(crate) reason: String,
    /// Where it is written, if that is a file.
    pub(crate) place: Option<String>,
}

/// Which requests are made to fail, by their call sites.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChosenSites {
    /// Only those whose call site passes through one of these functions or modules; empty for all.
    pub(crate) only: Vec<String>,
    /// None whose call site passes through one of these.
    pub(crate) skip: Vec<String>,
    /// Also those that the C library makes by itself. What it does wrong then is a finding like any
    /// other.
    pub(crate) c_library: bool,
}

impl ChosenSites {
    /// Whether the user names some.
    pub(crate) fn is_narrow(&self) -> bool {
        !self.only.is_empty() || !self.skip.is_empty()
    }

    /// Whether requests of this call site are left out because the user says so.
    pub(crate) fn leaves_out(&self, site: &Site) -> bool {
        let has_one = |texts: &[String]| texts.iter().any(|text| site.passes_through(text));
        has_one(&self.skip) || !self.only.is_empty() && !has_one(&self.only)
    }
}

/// How far a sweep or an exploration has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Runs made. An exploration counts schedules, with and without faults.
    pub done: u64,
    /// Runs to make; 0 while that is unknown, since schedules have not been counted.
    pub total: u64,
}

/// All settings of a sweep or an exploration. Their meaning is in the docs of the builder's
/// methods.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
    pub(crate) limit: Option<u64>,
    pub(crate) strict: bool,
    /// Whether the subject is a C program, whose compiler is told with `-g` what Cargo is told with
    /// `debug`.
    pub(crate) is_c: bool,
    /// Whether the subject is a whole program, in which this code is a preloaded library. Each run is a
    /// fork of it at its entry, since `main` can be entered once.
    pub(crate) is_program: bool,
    /// Whether the runs of a whole program are guarded.
    pub(crate) guards_program: bool,
    /// The most requests of each call stack that are made to fail; `None` for all.
    pub(crate) per_stack: Option<u64>,
    /// Whether the caller set that number.
    pub(crate) asks_per_stack: bool,
    /// Which requests of a whole program are made to fail.
    pub(crate) chosen: ChosenSites,
    /// What of a whole program is not watched, a sentence each.
    pub(crate) unwatched: Vec<String>,
    /// The most bytes that a run of a whole program may write to one file; 0 for any number.
    pub(crate) output_max: u64,
    /// Whether only the fault-free runs are made.
    pub(crate) only_check: bool,
    /// Whether a subject that makes no request is accepted.
    pub(crate) accepts_no_requests: bool,
    pub(crate) benign: Vec<String>,
    pub(crate) allowances: Vec<Allowance>,
    pub(crate) allow_aborts: Option<u64>,
    /// The file of allowed aborts and panics.
    pub(crate) allowed_file: Option<PathBuf>,
    /// Whether that file is written anew.
    pub(crate) update: bool,
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    pub(crate) strategy: Strategy,
    /// One run under this plan instead of a sweep.
    pub(crate) plan: Option<Plan>,
    pub(crate) input: Arc<[u8]>,
    /// Whether the input replaces the scenario's own.
    pub(crate) input_given: bool,
    /// Makes the heap of a run, if the caller chose a port or the adversarial heap.
    pub(crate) port: Option<Box<dyn Fn(Options) -> Heap>>,
    /// Whether that is the adversarial heap, which may also be below a global heap.
    pub(crate) adversarial: bool,
    /// The global allocator, if the subject uses that.
    pub(crate) global: Option<&'static dyn Global>,
    pub(crate) known_file: &'static str,
    pub(crate) rerun: Rerun,
    pub(crate) journal: Option<JournalPlace>,
    pub(crate) progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    pub(crate) classified: bool,
    pub(crate) recovers: bool,
    pub(crate) in_process: bool,
    /// Whether the baseline is made without guarded runs.
    pub(crate) quick: bool,
    /// Whether all runs are guarded from here on: the subject writes where it may not, and would
    /// damage the allocator below.
    pub(crate) sheltered: Cell<bool>,
    /// Whether each run is made in a process of its own from here on: in one process they learn from
    /// each other.
    pub(crate) apart: Cell<bool>,
    /// Whether each run is the first one of its process from here on, for the requests that later
    /// runs don't make.
    pub(crate) first_runs: Cell<bool>,
    /// How often the threads of a run were waited for in vain.
    pub(crate) waits: Option<ThreadWaits>,
    /// What fault-free runs of one process have shown about comparing results.
    pub(crate) comparison: Cell<ResultComparison>,
    /// How long a run may go without a request, if the caller sets it.
    pub(crate) patience: Option<Duration>,
    /// How the order of threads is explored, if it is.
    pub(crate) threads: Option<ExploreSettings>,
    /// The names of threads that may wait for ever.
    pub(crate) daemons: Vec<String>,
    /// The model checker that schedules the threads, once it is known to be available.
    pub(crate) host: Option<&'static dyn Host>,
}

/// A heap whose blocks are guarded, so that stray writes do no damage.
fn sheltered_heap(options: Options) -> Heap {
    let mode = GuardMode { side: GuardSide::After, seed: 0, flip_after: u64::MAX };
    options.heap_over(Guarded::new(mode))
}

impl Settings {
    /// A run with these settings: fault-free, without recording and without backtraces.
    pub(crate) fn job<'a>(&'a self, scratch: &'a ScratchDir) -> Job<'a> {
        let mut plan = Plan::none();
        plan.set_seed(self.seed);
        let (options, port): (Options, Option<&dyn Fn(Options) -> Heap>) =
            match self.sheltered.get() {
                true => (self.options.clone().ledger_only(), Some(&sheltered_heap)),
                false => (self.options.clone(), self.port.as_deref()),
            };
        Job {
            options,
            port,
            global: self.global,
            owns_all_threads: !self.in_process,
            waits: self.waits.as_ref(),
            plan,
            bound: if self.is_program { PROGRAM_REQUESTS_MAX } else { u64::MAX },
            lifeline: (!self.in_process).then_some(LIFELINE),
            baseline: None,
            comparison: self.comparison.get(),
            scheduler: self.host.map(|host| host as &dyn ThreadScheduler),
            preemptions: &[],
            record_operations: false,
            record: false,
            record_starts: false,
            capture: None,
            input: &self.input,
            scratch,
            seeds_randomness: !self.in_process,
            sink: None,
        }
    }

    /// Makes a run, in a process of its own if the settings say so.
    pub(crate) fn execute(&self, subject: &dyn Subject, job: Job<'_>) -> Run {
        if self.apart.get() { execute_apart(subject, job) } else { execute(subject, job) }
    }

    /// The note of a subject without debug information.
    pub(crate) fn lacks_sites(&self) -> String {
        let how = if self.is_c { "build with -g" } else { "build with debug = 1" };
        format!("sites unavailable: {how} to see them")
    }

    /// Whether leaks are told from what statics keep by repeated runs: under the global allocator,
    /// except in a whole program.
    pub(crate) fn repeats_for_leaks(&self) -> bool {
        self.global.is_some() && !self.is_program
    }

    /// Whether runs can be made in processes of their own, and aren't yet. Under a model checker a
    /// schedule is explored in one process, and the adversarial heap differs from run to run on
    /// purpose.
    pub(crate) fn may_run_apart(&self) -> bool {
        !self.apart.get()
            && !self.in_process
            && !self.adversarial
            && self.host.is_none()
            && !self.options.parallel
    }

    /// Makes each run in a process of its own from here on. Statics and hash seeds are filled by one
    /// run in this process, so that all its forks have the same ones. The caller has seen that
    /// such a run does no harm.
    pub(crate) fn run_apart(&self, subject: &dyn Subject) {
        let scratch = ScratchDir::new(std::process::id());
        let job = Job { lifeline: None, owns_all_threads: false, ..self.job(&scratch) };
        execute(subject, job);
        ScratchDir::remove(std::process::id());
        self.apart.set(true);
    }

    /// Makes each run in `work` the first one of its process. The caller has made none in this one.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn in_first_runs<R>(
        &self,
        work: impl FnOnce() -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.apart.set(true);
        self.first_runs.set(true);
        let result = work();
        self.apart.set(false);
        self.first_runs.set(false);
        result
    }

    /// Remembers what fault-free runs of one process have shown about comparing results: an order
    /// that varied there is no result, also where it is the same in every process. Other differences
    /// may be gone in processes of their own.
    pub(crate) fn know_results(&self, comparison: ResultComparison) {
        if comparison == ResultComparison::Unordered {
            self.comparison.set(comparison);
        }
    }

    /// Puts the adversarial heap below the run's heap: see [`Adversary`].
    pub(crate) fn put_adversary_below(&mut self, adversary: Adversary) {
        self.port = Some(Box::new(move |options: Options| {
            let options = options.ledger_only().moving(false);
            options.heap_over(adversary.clone().slack(false).over(Malloc))
        }));
        self.adversarial = true;
    }

    /// How these runs deviate from the default, as a token records it.
    pub(crate) fn modes(&self) -> Vec<RunMode> {
        let mut modes = Vec::new();
        if self.options.bypass {
            modes.push(RunMode::Bypass);
        }
        if !self.options.moving {
            modes.push(RunMode::InPlace);
        }
        if !self.options.guards() {
            modes.push(RunMode::Ledger);
        }
        if self.first_runs.get() {
            modes.push(RunMode::Cold);
        }
        modes
    }

    /// The hash of an input that replaces the scenario's own.
    pub(crate) fn input_hash(&self) -> Option<u32> {
        self.input_given.then(|| (hash_bytes(&self.input) >> 32) as u32)
    }
}
