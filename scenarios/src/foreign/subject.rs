//! A piece of code that uses another author's crate, and how it is swept.

use std::alloc::GlobalAlloc;
use std::convert::Infallible;
use std::fmt::Debug;

use mallory::{GlobalHeap, Report, Scenario, Sweep};

/// The command that runs these scenarios: the feature is off by default.
pub(super) const PROGRAM: &str = "cargo run --release --features foreign --";

/// A piece of code that uses a crate.
#[derive(Clone, Copy, Debug)]
pub struct ForeignSubject {
    /// The crate, as it is named in `Cargo.toml`.
    pub package: &'static str,
    /// What the code does with it.
    pub does: &'static str,
    /// Call sites at which a failed request aborts.
    pub aborts: Aborts,
    /// Runs it under a sweep.
    pub run: fn(Sweep) -> Report,
}

/// How many call sites abort. Call sites are distinguished by their frames, of which the optimiser
/// merges some and drops others: so there is a number for each profile.
#[derive(Clone, Copy, Debug)]
pub struct Aborts {
    /// In the development profile.
    pub debug: u64,
    /// In the release profile.
    pub release: u64,
}

impl Aborts {
    pub(super) const fn new(debug: u64, release: u64) -> Aborts {
        Aborts { debug, release }
    }

    /// The number in the profile of this build.
    #[must_use]
    pub fn here(self) -> u64 {
        if cfg!(debug_assertions) { self.debug } else { self.release }
    }
}

impl ForeignSubject {
    /// The part of a scenario's name that says which crate it is about.
    #[must_use]
    pub fn name(&self) -> String {
        self.package.replace('_', "-")
    }

    /// Sweeps it on the program's global allocator.
    pub fn sweep<A: GlobalAlloc + Sync>(
        &self,
        sweep: Sweep,
        heap: &'static GlobalHeap<A>,
    ) -> Report {
        (self.run)(sweep.global(heap).allow_aborts(self.aborts.here()))
    }

    pub(super) fn scenario<A: GlobalAlloc + Sync>(
        self,
        group: &str,
        heap: &'static GlobalHeap<A>,
    ) -> Scenario {
        let name = format!("{group}/{}", self.name());
        Scenario::new(name, self.does, move |sweep| self.sweep(sweep, heap))
            .group(group)
            .rerun_by(PROGRAM)
    }
}

/// Sweeps code whose only failure is to abort.
pub(super) fn infallible<T: Debug>(sweep: Sweep, work: fn() -> T) -> Report {
    sweep.oom(|never: &Infallible| match *never {}).run(|_| Ok(work()))
}

/// Sweeps code whose errors all mean out of memory.
pub(super) fn fallible<T: Debug, E: Debug>(sweep: Sweep, work: fn() -> Result<T, E>) -> Report {
    sweep.oom(|_: &E| true).run(|_| work())
}
