//! The sweep of a whole program, in which this code is a preloaded library.

use std::time::Instant;

use crate::error::Error;
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
use crate::report::Report;
use crate::report::outcome::Strategy;
use crate::run::Subject;
use crate::sweep::builder::{EveryRequest, Sweep};
use crate::sweep::exit_outcome::{first_patience, os_error};
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

    /// Runs the whole program this often without a fault, and returns how many microseconds a run took in
    /// the mean. For the benchmark.
    ///
    /// # Errors
    /// If no child can be started.
    pub(crate) fn time_program(self, program: &dyn Subject, runs: u64) -> Result<u64, Error> {
        time_runs(&self.of_program().core.settings, program, runs)
    }
}

/// Makes this many fault-free runs in a child process, and returns how many microseconds one took in
/// the mean.
///
/// # Errors
/// If no child can be started.
fn time_runs(settings: &Settings, subject: &dyn Subject, runs: u64) -> Result<u64, Error> {
    let owner = std::process::id();
    let answer = child::ask::<u64>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(owner);
        let started = Instant::now();
        for _ in 0..runs {
            settings.execute(subject, settings.job(&scratch));
        }
        pipe.send(&(started.elapsed().as_micros() as u64 / runs.max(1)));
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    answer.messages.pop().ok_or_else(|| Error::new("the program dies without any fault"))
}
