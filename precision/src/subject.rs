//! A piece of code that uses a popular crate, and how it is swept.

use std::convert::Infallible;
use std::fmt::Debug;

use mallory::{GlobalHeap, Report, Scenario, Sweep};
use mallory_scenarios::foreign::ForeignSubject;

/// The command that runs these scenarios.
const PROGRAM: &str = "cargo run --release --manifest-path precision/Cargo.toml --";

/// A piece of code that uses a crate.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    /// The crate, as it is named in `Cargo.toml`.
    pub(crate) package: &'static str,
    /// The package that depends on it.
    pub(crate) dependent: &'static str,
    /// What the code does with it.
    pub(crate) does: &'static str,
    /// Whether its threads run in another order each time, and so make other requests.
    pub(crate) has_threads: bool,
    /// Runs it under a sweep.
    pub(crate) run: fn(Sweep) -> Report,
}

impl Subject {
    pub(crate) fn name(&self) -> String {
        let group = if self.dependent == env!("CARGO_PKG_NAME") { "" } else { "foreign/" };
        format!("{group}{}", self.package.replace('_', "-"))
    }

    /// Sweeps it on the program's global allocator, with every setting at its default.
    pub(crate) fn sweep(&self, sweep: Sweep, heap: &'static GlobalHeap) -> Report {
        (self.run)(sweep.global(heap))
    }

    pub(crate) fn scenario(self, heap: &'static GlobalHeap) -> Scenario {
        let run = move |sweep| self.sweep(sweep, heap);
        Scenario::new(self.name(), self.does, run).rerun_by(PROGRAM)
    }
}

/// The subjects of the groups `foreign` and `popular`.
impl From<ForeignSubject> for Subject {
    fn from(subject: ForeignSubject) -> Subject {
        let ForeignSubject { package, does, run, .. } = subject;
        Subject { package, dependent: "mallory-scenarios", does, has_threads: false, run }
    }
}

/// Sweeps code whose only failure is to abort.
pub(crate) fn infallible<T: Debug>(sweep: Sweep, work: fn() -> T) -> Report {
    sweep.oom(|never: &Infallible| match *never {}).run(|_| Ok(work()))
}

/// Sweeps code that returns errors, all of which mean out of memory.
pub(crate) fn fallible<T: Debug, E: Debug>(sweep: Sweep, work: fn() -> Result<T, E>) -> Report {
    sweep.oom(|_: &E| true).run(|_| work())
}
