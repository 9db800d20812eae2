//! The sweep of a whole program, in which this code is a preloaded library.

use crate::error::Error;
use crate::report::Report;
use crate::report::outcome::Strategy;
use crate::run::Subject;
use crate::sweep::baseline;
use crate::sweep::builder::{EveryRequest, Sweep};
use crate::sweep::settings::Settings;

impl<C, V> Sweep<C, V> {
    /// Changes settings that only the sweep of a whole program has.
    pub(crate) fn with_settings(self, change: impl FnOnce(&mut Settings)) -> Self {
        self.set(change)
    }

    /// Sweeps the whole program in which this code is a preloaded library.
    pub(crate) fn program(self, program: &dyn Subject, only_check: bool) -> Report {
        let whole = self.of_program().set(|settings| settings.only_check = only_check);
        whole.core.split().0.run(program, &EveryRequest)
    }

    fn of_program(self) -> Self {
        self.set(|settings| {
            settings.is_program = true;
            settings.classified = true;
            settings.recovers = true;
            settings.strategy = Strategy::Rerun;
            settings.apart.set(true);
        })
    }

    /// Runs the whole program so often without a fault, and returns how many microseconds a run took in
    /// the mean. For the benchmark.
    ///
    /// # Errors
    /// If no child can be started.
    pub(crate) fn time_program(self, program: &dyn Subject, runs: u64) -> Result<u64, Error> {
        baseline::time_runs(&self.of_program().core.settings, program, runs)
    }
}
