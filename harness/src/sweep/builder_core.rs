//! The part that the builders of a sweep and of an exploration share: their settings, and the
//! methods that change them.

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::Arc;

#[cfg(feature = "ron")]
use crate::adapters::adversary::Adversary;
use crate::env::Env;
use crate::error::Error;
use crate::launch;
use crate::options::Options;
use crate::plan::Faults;
use crate::printable;
use crate::process::thread_births::ThreadWaits;
use crate::report::outcome::Strategy;
use crate::report::rerun::Rerun;
use crate::report::token::{Token, is_name};
use crate::run::subject::{By, Unclassified, Whole};
use crate::run::symbolizer;
use crate::sweep::run_request::RunRequest;
#[cfg(feature = "ron")]
use crate::sweep::settings::Allowance;
use crate::sweep::settings::{ChosenSites, Settings};
#[cfg(feature = "ron")]
use crate::system::System;
#[cfg(feature = "ron")]
use crate::system::script::{Allowed, Mode, Script};

/// What the caller has asked of a builder so far.
pub(crate) struct BuilderCore<C, V> {
    pub(crate) settings: Settings,
    pub(crate) classify: C,
    pub(crate) observe: V,
    /// The token to replay instead of running the loop.
    pub(crate) token: Option<Token>,
    /// `MALLORY_OOM_AFTER`: one run in which every request after this many fails.
    pub(crate) oom_after: Option<u64>,
    #[cfg(feature = "cli")]
    pub(crate) env_jobs: Option<usize>,
    /// The caller's first mistake, reported instead of running anything.
    pub(crate) error: Option<Error>,
}

impl BuilderCore<Unclassified, Whole> {
    /// The defaults and the environment's settings, for a builder of this name.
    #[track_caller]
    pub(crate) fn new(name: String) -> Self {
        // Looked up before any child process changes its working directory.
        let _ = symbolizer::home();
        let mut error = (!is_name(&name)).then(|| {
            Error::new(format!("{} is no name for a sweep", printable::debug(&name)))
                .help("use lower-case letters, digits, and /, _ or - after the first; at most 40")
        });
        let env = Env::read().unwrap_or_else(|wrong| {
            error.get_or_insert(wrong);
            Env::default()
        });
        let mut options = Options::new().bypass(env.bypass);
        if env.histogram {
            options = options.histogram();
        }
        let settings = Settings {
            seed: env.seed.unwrap_or(0),
            jobs: env.jobs.unwrap_or(1),
            limit: None,
            strict: false,
            is_c: false,
            is_program: false,
            per_stack: None,
            guards_program: false,
            asks_per_stack: false,
            chosen: ChosenSites::default(),
            unwatched: Vec::new(),
            output_max: 0,
            only_check: false,
            accepts_no_requests: false,
            benign: Vec::new(),
            allowances: Vec::new(),
            allow_aborts: None,
            allowed_file: None,
            update: env.update,
            options,
            faults: Faults::Both,
            strategy: Strategy::Auto,
            plan: None,
            input: Arc::from([]),
            input_given: false,
            port: None,
            adversarial: false,
            global: None,
            known_file: Location::caller().file(),
            rerun: Rerun::Program(launch::program()),
            journal: None,
            progress: None,
            classified: false,
            recovers: false,
            quick: false,
            sheltered: Cell::new(false),
            apart: Cell::new(false),
            first_runs: Cell::new(false),
            waits: ThreadWaits::new(),
            comparison: Cell::default(),
            in_process: !cfg!(unix) || cfg!(miri),
            patience: None,
            threads: None,
            daemons: Vec::new(),
            host: None,
            name,
        };
        BuilderCore {
            token: env.replay.filter(|token| token.scenario() == settings.name),
            settings,
            classify: Unclassified,
            observe: Whole,
            oom_after: env.oom_after,
            #[cfg(feature = "cli")]
            env_jobs: env.jobs,
            error,
        }
    }
}

impl<C, V> BuilderCore<C, V> {
    /// Changes the settings.
    pub(crate) fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The same settings with other closures.
    fn with<D, W>(self, change: impl FnOnce(C, V) -> (D, W)) -> BuilderCore<D, W> {
        let (classify, observe) = change(self.classify, self.observe);
        BuilderCore {
            settings: self.settings,
            classify,
            observe,
            token: self.token,
            oom_after: self.oom_after,
            #[cfg(feature = "cli")]
            env_jobs: self.env_jobs,
            error: self.error,
        }
    }

    /// Sets which errors mean out of memory.
    pub(crate) fn oom<E, F: Fn(&E) -> bool>(self, is_oom: F) -> BuilderCore<By<F>, V> {
        let mut core = self.with(|_, observe| (By(is_oom), observe));
        core.settings.classified = true;
        core
    }

    /// Sets what of a result is compared.
    pub(crate) fn observe<T, R: Debug, F: Fn(&T) -> R>(self, observe: F) -> BuilderCore<C, By<F>> {
        self.with(|classify, _| (classify, By(observe)))
    }

    /// Splits the closures, which the subject borrows, from the request, which the loop is given.
    pub(crate) fn split(self) -> (RunRequest, C, V) {
        let BuilderCore { settings, classify, observe, token, oom_after, error, .. } = self;
        (RunRequest { settings, token, oom_after, error }, classify, observe)
    }
}

#[cfg(feature = "ron")]
impl<C, V> BuilderCore<C, V> {
    /// Takes over what a script demands. The result also says whether requests continue to fail
    /// after the first error.
    ///
    /// # Errors
    /// A script of another system, or one whose faults or allowances are malformed.
    pub(crate) fn follow_script<S: System>(
        mut self,
        script: &Script<S::Op>,
    ) -> Result<(Self, bool), Error> {
        if script.system != S::NAME {
            let what = format!("the script is for the system `{}`", script.system);
            return Err(Error::new(what).help(format!("this one is `{}`", S::NAME)));
        }
        let (shortages, allowances) = (script.shortages()?, script.allowances()?);
        if self.settings.seed == 0 {
            self.settings.seed = script.seed;
        }
        self.settings.strict |= script.expect.strict;
        self.settings.benign.extend(script.expect.benign.iter().cloned());
        let keeps_failing = shortages.as_ref().is_some_and(|shortages| shortages.insists());
        if let Some(shortages) = shortages {
            self.settings.plan = Some(shortages.plan());
        }
        if script.modes.contains(&Mode::Bypass) {
            self.settings.options.bypass = true;
        }
        if script.modes.contains(&Mode::Adversary) {
            self.settings.put_adversary_below(Adversary::new());
        }
        for (kind, allowed) in allowances {
            let Allowed { function: site, max, reason, .. } = allowed.clone();
            self.settings.allowances.push(Allowance { kind, site, max, reason, place: None });
        }
        Ok((self, keeps_failing))
    }
}

/// The settings that both builders have, as methods of either. The builder keeps a [`BuilderCore`]
/// in its field `core`.
macro_rules! shared_settings {
    ($Builder:ident) => {
        impl<C, V> $Builder<C, V> {
            /// Sets the seed from which all random choices are drawn. Default: `MALLORY_SEED`, or
            /// 0.
            pub fn seed(self, seed: u64) -> Self {
                self.set(|settings| settings.seed = seed)
            }

            /// Sets how many child processes share the work. The report is the same for any number.
            /// Default: `MALLORY_JOBS`, or 1, since test runners already run tests in parallel.
            pub fn jobs(self, jobs: usize) -> Self {
                self.set(|settings| settings.jobs = jobs.max(1))
            }

            /// Makes absorbing a failed request a finding too, except at call sites that are named
            /// by [`benign`](Self::benign).
            pub fn strict(self) -> Self {
                self.set(|settings| settings.strict = true)
            }

            /// Requires that failures of requests below a function whose path contains this text
            /// change nothing: the result has to be the fault-free one, also with
            /// [`strict`](Self::strict). A text that no call site contains is an error.
            pub fn benign(self, function: &str) -> Self {
                self.set(|settings| settings.benign.push(function.to_owned()))
            }

            /// Accepts findings of this kind whose call sites have this text in a function's path,
            /// at up to `max` requests, for this reason. One that matches nothing is an error.
            pub fn allow(
                self,
                kind: $crate::report::Kind,
                function: &str,
                max: u64,
                reason: &str,
            ) -> Self {
                let (site, reason) = (function.to_owned(), reason.to_owned());
                let allowance =
                    $crate::sweep::settings::Allowance { kind, site, max, reason, place: None };
                self.set(|settings| settings.allowances.push(allowance))
            }

            /// Sets what the heap watches. Default: everything.
            pub fn options(self, options: $crate::options::Options) -> Self {
                self.set(|settings| {
                    let bypass = settings.options.bypass || options.bypass;
                    let unwinding = settings.options.unwinding;
                    settings.options = options.bypass(bypass);
                    settings.options.unwinding = unwinding;
                })
            }

            /// Sets how each request is made to fail. Default: once, and for good.
            pub fn faults(self, faults: $crate::plan::Faults) -> Self {
                self.set(|settings| settings.faults = faults)
            }

            /// Sets how long a run may go without a request before it counts as hung, with a fault or
            /// without. Default: ten seconds, or fifty times the fault-free run, whichever is
            /// longer; two minutes without a fault. Nothing else is timed.
            pub fn patience(self, time: std::time::Duration) -> Self {
                self.set(|settings| settings.patience = Some(time))
            }

            /// Makes all runs in this process, as on systems without child processes: an abort ends
            /// it. For tests of exactly that.
            #[doc(hidden)]
            pub fn in_process(self) -> Self {
                self.set(|settings| settings.in_process = true)
            }

            /// Sets what the subject reads: see [`World::input`](crate::system::World::input).
            pub fn input(self, input: impl Into<std::sync::Arc<[u8]>>) -> Self {
                self.set(|settings| {
                    if !settings.input_given {
                        settings.input = input.into();
                    }
                })
            }

            /// Replaces the scenario's own input.
            pub(crate) fn other_input(self, input: std::sync::Arc<[u8]>) -> Self {
                self.set(|settings| {
                    settings.input = input;
                    settings.input_given = true;
                })
            }

            /// The input: the scenario's own, or the one given in its place.
            #[must_use]
            pub fn input_bytes(&self) -> std::sync::Arc<[u8]> {
                std::sync::Arc::clone(&self.core.settings.input)
            }

            /// Calls `on_progress` with the progress, several times a second.
            pub fn on_progress(
                self,
                on_progress: impl Fn($crate::sweep::settings::Progress) + Send + Sync + 'static,
            ) -> Self {
                self.set(|settings| settings.progress = Some(std::sync::Arc::new(on_progress)))
            }

            /// Replays this token instead of running everything.
            pub fn replay(mut self, token: $crate::report::Token) -> Self {
                self.core.token = Some(token);
                self
            }

            /// The report of a caller's mistake that was made before anything ran.
            #[must_use]
            pub fn failed(self, error: $crate::error::Error) -> $crate::report::Report {
                let settings = &self.core.settings;
                $crate::report::Report::failed(&settings.name, settings.seed, error)
            }

            /// Takes the number of jobs from the flag, else from the environment, else `otherwise`.
            #[cfg(feature = "cli")]
            pub(crate) fn jobs_unless_set(self, flag: Option<usize>, otherwise: usize) -> Self {
                let jobs = flag.or(self.core.env_jobs).unwrap_or(otherwise);
                self.jobs(jobs)
            }

            #[cfg(any(feature = "c", feature = "cli"))]
            #[allow(dead_code, reason = "C sweeps, and explores nothing")]
            pub(crate) fn seed_value(&self) -> u64 {
                self.core.settings.seed
            }

            #[allow(dead_code, reason = "scripts are sweeps until they are explored")]
            pub(crate) fn known_file(self, file: &'static str) -> Self {
                self.set(|settings| settings.known_file = file)
            }

            #[allow(dead_code, reason = "scripts are sweeps until they are explored")]
            pub(crate) fn rerun_by(self, rerun: $crate::report::rerun::Rerun) -> Self {
                self.set(|settings| settings.rerun = rerun)
            }

            pub(crate) fn set(
                mut self,
                change: impl FnOnce(&mut $crate::sweep::settings::Settings),
            ) -> Self {
                self.core = self.core.set(change);
                self
            }
        }
    };
}
pub(crate) use shared_settings;
