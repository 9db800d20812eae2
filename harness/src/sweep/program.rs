//! The sweep of a whole program, in which this code is a preloaded library.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
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

    /// Whether a fault-free run of one program differs from one of the other, in its requests or in its
    /// result.
    pub(crate) fn differ(self, one: &dyn Subject, other: &dyn Subject) -> bool {
        let settings = self.of_program().core.settings;
        let started = Instant::now();
        let first = run_once(&settings, one, first_patience(&settings));
        let patience = (started.elapsed() * SLOWER_MAX).max(SHORT);
        first.is_some_and(|first| {
            run_once(&settings, other, patience).is_some_and(|other| other != first)
        })
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

/// How long the second of two runs that are compared may take at least, and how many times as long as
/// the first.
const SHORT: Duration = Duration::from_secs(2);
const SLOWER_MAX: u32 = 20;

/// The fingerprint and the result of a fault-free run; `None` if it dies, or has several threads.
fn run_once(
    settings: &Settings,
    subject: &dyn Subject,
    patience: Duration,
) -> Option<(u64, Option<String>)> {
    let owner = std::process::id();
    let answer = child::ask::<(u64, Option<String>)>(patience, &|pipe| {
        let run = settings.execute(subject, settings.job(&ScratchDir::new(owner)));
        status::set_started();
        if run.threads <= 1 {
            pipe.send(&(run.fingerprint.0, run.text));
        }
    });
    answer.ok()?.messages.pop()
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
