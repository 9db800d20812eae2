//! How to make one run: the parameters of `execute`.

use crate::global::Global;
use crate::heap::Heap;
use crate::heap::state::EventSink;
use crate::options::Options;
use crate::plan::Plan;
use crate::process::backtrace::Capture;
use crate::process::heartbeat::Lifeline;
use crate::process::scratch_dir::ScratchDir;
use crate::process::thread_births::ThreadWaits;
use crate::run::outcome::{ResultComparison, ThreadScheduler};
use crate::schedule::Preemption;

/// How to make one run.
pub(crate) struct Job<'a> {
    pub(crate) options: Options,
    /// Makes the run's heap, where that is not a plain one.
    pub(crate) port: Option<&'a dyn Fn(Options) -> Heap>,
    /// The global allocator, if the subject requests memory from it.
    pub(crate) global: Option<&'static dyn Global>,
    /// Whether all threads of the process belong to the subject, as in a child process.
    pub(crate) owns_all_threads: bool,
    /// How often threads were waited for in vain.
    pub(crate) waits: Option<&'a ThreadWaits>,
    pub(crate) plan: Plan,
    /// The number of requests after which the plan is lifted.
    pub(crate) bound: u64,
    /// How it reports to the parent that it is making requests, in a child process.
    pub(crate) lifeline: Option<Lifeline>,
    /// The texts of the fault-free results: one, unless the result depends on the schedule.
    pub(crate) baseline: Option<&'a [String]>,
    /// How the result is compared with those texts.
    pub(crate) comparison: ResultComparison,
    /// What schedules the run's threads; `None` leaves that to the system.
    pub(crate) scheduler: Option<&'a dyn ThreadScheduler>,
    /// The schedule: where it deviates from the default order.
    pub(crate) preemptions: &'a [Preemption],
    /// Whether to write down the threads' operations on what they share.
    pub(crate) record_operations: bool,
    /// Whether to keep the trace.
    pub(crate) record: bool,
    /// Whether to write down at which request each operation of a script began.
    pub(crate) record_starts: bool,
    /// Which backtraces to take.
    pub(crate) capture: Option<Capture>,
    pub(crate) input: &'a [u8],
    pub(crate) scratch: &'a ScratchDir,
    /// Whether the C library's random numbers come from the plan's seed.
    pub(crate) seeds_randomness: bool,
    /// Receives single events as they happen, for a run that may end its process.
    pub(crate) sink: Option<Box<dyn EventSink>>,
}

impl<'a> Job<'a> {
    /// The same run without any record of it.
    pub(crate) fn rehearsal(&self) -> Job<'a> {
        Job {
            options: self.options.clone(),
            plan: self.plan.clone(),
            capture: None,
            sink: None,
            record: false,
            record_operations: false,
            ..*self
        }
    }
}
