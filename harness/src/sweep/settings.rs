//! Explorers: the loops that we own. Each decides which runs to make and gathers what they show.

use crate::adapters::adversary::Adversary;
use crate::port::Malloc;
use std::sync::Arc;
use std::time::Duration;

use crate::global::Global;
use crate::heap::Heap;
use crate::host::{Engine, Host};
use crate::options::Options;
use crate::plan::{Faults, Plan};
use crate::process::scratch_dir::ScratchDir;
use crate::process::status::LIFELINE;
use crate::report::kind::Kind;
use crate::report::outcome::Strategy;
use crate::report::rerun::Rerun;
use crate::report::token::RunMode;
use crate::run::Job;
use crate::run::outcome::ThreadScheduler;

/// How schedules are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScheduleMode {
    /// All with at most so many preemptions.
    Bounded,
    /// So many by chance.
    Random(u64),
    /// So many by priorities with so many levels.
    Pct(u32, u64),
}

/// How the threads of a subject are explored.
#[derive(Clone, Copy)]
pub(crate) struct ExploreSettings {
    pub(crate) engine: Option<Engine>,
    pub(crate) way: ScheduleMode,
    pub(crate) preemptions: u32,
    /// Schedules of each search at the most, if the caller says so.
    pub(crate) schedules: Option<u64>,
    /// Whether requests and frees are scheduling points.
    pub(crate) points: bool,
    /// Whether there may be one thread only: a script says itself how many it has.
    pub(crate) alone: bool,
}

/// A finding that is known and accepted.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) kind: Kind,
    pub(crate) site: String,
    pub(crate) max: u64,
    pub(crate) reason: String,
}

/// How far a sweep or an exploration has come, for whoever shows it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Runs made: of an exploration schedules, with their faults or still without any.
    pub done: u64,
    /// Runs to make; 0 as long as that is not known: before the schedules have been counted.
    pub total: u64,
}

/// All that an exploration is told by its caller.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
    pub(crate) limit: Option<u64>,
    pub(crate) strict: bool,
    pub(crate) benign: Vec<String>,
    pub(crate) allowances: Vec<Allowance>,
    pub(crate) allow_aborts: Option<u64>,
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    pub(crate) strategy: Strategy,
    /// One run under this plan instead of a sweep.
    pub(crate) plan: Option<Plan>,
    pub(crate) input: Arc<[u8]>,
    /// Whether the input is another one than the scenario's own.
    pub(crate) input_given: bool,
    /// What stands below the heap, where that is the caller's.
    pub(crate) port: Option<Box<dyn Fn(Options) -> Heap>>,
    /// Whether that is the adversarial heap, which may stand below a global one.
    pub(crate) adversarial: bool,
    /// The global allocator, where the subject uses that.
    pub(crate) global: Option<&'static dyn Global>,
    pub(crate) known_file: &'static str,
    pub(crate) rerun: Rerun,
    pub(crate) journal: Option<crate::sweep::journal::JournalPlace>,
    pub(crate) progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    pub(crate) classified: bool,
    pub(crate) recovers: bool,
    pub(crate) in_process: bool,
    /// How long a run may make no request, if the caller says so.
    pub(crate) patience: Option<Duration>,
    /// Where the order of its threads is explored as well.
    pub(crate) threads: Option<ExploreSettings>,
    /// Who lets the threads take turns, once that is known to be there.
    pub(crate) host: Option<&'static dyn Host>,
}

impl Settings {
    /// A run as this exploration makes them, without fault, record or capture.
    pub(crate) fn job<'a>(&'a self, scratch: &'a ScratchDir) -> Job<'a> {
        let mut plan = Plan::none();
        plan.set_seed(self.seed);
        Job {
            options: self.options.clone(),
            port: self.port.as_deref(),
            global: self.global,
            owns_all_threads: !self.in_process,
            plan,
            bound: u64::MAX,
            lifeline: (!self.in_process).then_some(LIFELINE),
            baseline: None,
            scheduler: self.host.map(|host| host as &dyn ThreadScheduler),
            turns: &[],
            record_operations: false,
            record: false,
            record_starts: false,
            capture: None,
            input: &self.input,
            scratch,
            sink: None,
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

    /// In what runs deviate from the default, as tokens say it.
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
        modes
    }

    /// The hash of an input of the caller's own.
    pub(crate) fn input_hash(&self) -> Option<u32> {
        self.input_given.then(|| (crate::trace::hash_bytes(&self.input) >> 32) as u32)
    }
}
