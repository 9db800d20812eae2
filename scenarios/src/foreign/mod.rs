//! Crates that know nothing of Mallory, swept as they are: their requests reach it through the
//! program's global allocator.
//!
//! Most of what they ask for can't be refused politely: std aborts. So a clean sweep here means that
//! failures abort at known call sites (they are counted, and listed in the report), and that
//! nothing else happens: no block is lost, freed twice or written past, no result is wrong.
//!
//! C libraries that take an allocator stand beside them (`sqlite`, `lua`): their memory comes from
//! a heap, and each of their requests can be refused.

pub mod allocators;
pub mod axum;
pub mod lua;
pub mod popular;
pub mod regex;
mod region;
pub mod serde_json;
pub mod sqlite;

use std::alloc::GlobalAlloc;
use std::convert::Infallible;
use std::fmt::Debug;

use mallory::{GlobalHeap, Report, Scenario, Sweep};

use crate::lfs_batch_sqlite::LfsBatchSqlite;

/// How these scenarios are run: the feature is off by default.
const PROGRAM: &str = "cargo run --release --features foreign --";

/// A piece of code that uses a crate.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The crate, as it is named in `Cargo.toml`.
    pub package: &'static str,
    /// What it is made to do.
    pub does: &'static str,
    /// Call sites at which a failed request aborts.
    pub aborts: Aborts,
    /// Runs it under a sweep.
    pub run: fn(Sweep) -> Report,
}

/// Call sites that abort. The optimiser joins some frames and drops others, and call sites are told
/// apart by their frames: so there are two numbers.
#[derive(Clone, Copy, Debug)]
pub struct Aborts {
    /// In the development profile.
    pub debug: u64,
    /// In the release profile.
    pub release: u64,
}

impl Aborts {
    const fn new(debug: u64, release: u64) -> Aborts {
        Aborts { debug, release }
    }

    /// The number in the profile of this build.
    #[must_use]
    pub fn here(self) -> u64 {
        if cfg!(debug_assertions) { self.debug } else { self.release }
    }
}

impl Subject {
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

    fn scenario<A: GlobalAlloc + Sync>(
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

/// The subjects of the group `foreign`.
pub const SUBJECTS: [Subject; 3] = [serde_json::SUBJECT, regex::SUBJECT, axum::SUBJECT];

/// All of them, over the program's global allocator: the groups `foreign` and `popular`.
#[must_use]
pub fn scenarios<A: GlobalAlloc + Sync>(heap: &'static GlobalHeap<A>) -> Vec<Scenario> {
    let foreign = SUBJECTS.map(|subject| subject.scenario("foreign", heap));
    let popular = popular::SUBJECTS.map(|subject| subject.scenario("popular", heap));
    let durable = Scenario::script::<LfsBatchSqlite>(
        "scenarios/scripts/lfs-batch-sqlite.ron",
        include_str!("../../scripts/lfs-batch-sqlite.ron"),
    );
    let durable = durable.input(crate::fixture::lfs_requests).group("foreign").rerun_by(PROGRAM);
    let of_c = [sqlite::scenario(), lua::scenario(), durable];
    foreign.into_iter().chain(of_c).chain(popular).collect()
}

/// Sweeps work that can't fail but by aborting.
fn infallible<T: Debug>(sweep: Sweep, work: fn() -> T) -> Report {
    sweep.oom(|never: &Infallible| match *never {}).run(|_| Ok(work()))
}

/// Sweeps work whose errors all mean that there was no memory.
fn fallible<T: Debug, E: Debug>(sweep: Sweep, work: fn() -> Result<T, E>) -> Report {
    sweep.oom(|_: &E| true).run(|_| work())
}
