//! Planted bugs: for each kind of finding one small system that has to be reported, and a near
//! miss that must not be.
//!
//! Each file has the two side by side, `planted` and `near_miss`; they differ by three lines at
//! most, which a test counts, and all else in the file serves both. They use nothing but the
//! public names of `mallory` and its allocator.

mod abort;
mod absorbed;
mod crash;
mod cross_allocator_free;
mod double_free;
mod exit;
mod heap_buffer_overflow;
mod heap_buffer_underflow;
mod invalid_free;
mod layout_mismatch;
mod leak;
mod no_progress;
mod nondeterminism;
mod not_recovered;
mod over_budget;
mod panic;
pub mod racy;
mod silent_wrong;
mod use_after_free;
mod wrong_error;
mod wrong_thread;

use std::fmt::Debug;

use allocator_api2::alloc::AllocError;
use allocator_api2::collections::TryReserveError;
use mallory::{Heap, Kind, Options, Refused, Report, Scenario, Sweep};

/// A planted bug and its near miss.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// What the bug has to be reported as, and the file's name.
    pub kind: Kind,
    /// What is wrong with it.
    pub wrong: &'static str,
    /// What the near miss does instead.
    pub right: &'static str,
    /// What both are watched with, where it isn't the default.
    pub options: fn() -> Options,
    /// Sweeps the bug.
    pub planted: fn(Sweep) -> Report,
    /// Sweeps the near miss.
    pub near_miss: fn(Sweep) -> Report,
}

/// Every pair, in the order of the kinds.
pub const PAIRS: [Pair; 20] = [
    leak::PAIR,
    double_free::PAIR,
    invalid_free::PAIR,
    cross_allocator_free::PAIR,
    layout_mismatch::PAIR,
    heap_buffer_overflow::PAIR,
    heap_buffer_underflow::PAIR,
    use_after_free::PAIR,
    wrong_thread::PAIR,
    over_budget::PAIR,
    silent_wrong::PAIR,
    wrong_error::PAIR,
    absorbed::PAIR,
    not_recovered::PAIR,
    no_progress::PAIR,
    panic::PAIR,
    abort::PAIR,
    crash::PAIR,
    exit::PAIR,
    nondeterminism::PAIR,
];

/// The bugs and their near misses, as the command line has them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    PAIRS.iter().flat_map(|pair| [pair.scenario(), pair.near_miss_scenario()]).collect()
}

impl Pair {
    /// The bug's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("planted/{}", self.kind)
    }

    /// The near miss's name.
    #[must_use]
    pub fn near_miss_name(&self) -> String {
        format!("planted/{}-near-miss", self.kind)
    }

    /// The bug.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        let (run, options) = (self.planted, self.options);
        Scenario::new(self.name(), self.wrong, move |sweep| run(sweep.options(options())))
            .group("planted")
    }

    /// The near miss.
    #[must_use]
    pub fn near_miss_scenario(&self) -> Scenario {
        let (run, options) = (self.near_miss, self.options);
        Scenario::new(self.near_miss_name(), self.right, move |sweep| run(sweep.options(options())))
            .group("planted")
    }
}

/// There was no memory: all that most of these systems can fail of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oom;

impl From<Refused> for Oom {
    fn from(_: Refused) -> Oom {
        Oom
    }
}

impl From<AllocError> for Oom {
    fn from(_: AllocError) -> Oom {
        Oom
    }
}

impl From<TryReserveError> for Oom {
    fn from(_: TryReserveError) -> Oom {
        Oom
    }
}

impl From<hashbrown::TryReserveError> for Oom {
    fn from(_: hashbrown::TryReserveError) -> Oom {
        Oom
    }
}

/// Sweeps a system whose errors all mean that there was no memory.
fn run<T: Debug>(sweep: Sweep, system: fn(&Heap) -> Result<T, Oom>) -> Report {
    sweep.oom(|_: &Oom| true).run(system)
}
