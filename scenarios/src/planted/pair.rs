//! What a planted bug and its near miss are, and the error that most of them end in.

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
    /// The options of both, usually the default ones.
    pub options: fn() -> Options,
    /// Sweeps the bug.
    pub planted: fn(Sweep) -> Report,
    /// Sweeps the near miss.
    pub near_miss: fn(Sweep) -> Report,
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

/// Out of memory: the only error of most of these systems.
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

/// Sweeps a system whose errors all mean out of memory.
pub(super) fn run<T: Debug>(sweep: Sweep, system: fn(&Heap) -> Result<T, Oom>) -> Report {
    sweep.oom(|_: &Oom| true).run(system)
}
