//! A system without its type, as a trait object: what command lines and folders of tests use.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "script-tests")]
use crate::adapters::Adversary;
use crate::error::Error;
use crate::explore::builder::Explore;
use crate::report::finding::Finding;
use crate::report::{Replayed, Report};
use crate::script::case;
#[cfg(feature = "cli")]
use crate::script::case::Minimised;
use crate::script::runner::ScriptRunner;
#[cfg(feature = "cli")]
use crate::script::shrink::{Limits, Removed};
use crate::sweep::builder::Sweep;
use crate::system::System;
#[cfg(feature = "script-tests")]
use crate::system::script::Mode;
use crate::system::script::Script;

/// How a script is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Once, without a fault.
    #[cfg(feature = "script-tests")]
    Plain,
    /// Every request fails in turn.
    Sweep,
    /// Every request fails in turn, in every schedule with at most two preemptions.
    #[cfg(any(feature = "cli", feature = "shuttle"))]
    Explore,
    /// A sweep on the adversarial heap with guard pages, limited to a few dozen runs.
    #[cfg(feature = "script-tests")]
    Adversary,
}

#[cfg(feature = "script-tests")]
impl Driver {
    /// Each driver, with its name in tests.
    pub(crate) const ALL: &'static [(Driver, &'static str)] = &[
        (Driver::Plain, "plain"),
        (Driver::Sweep, "sweep"),
        #[cfg(feature = "shuttle")]
        (Driver::Explore, "explore"),
        (Driver::Adversary, "adversary"),
    ];
}

/// The most faulted runs of a script on the adversarial heap. Points at new call sites come first.
#[cfg(feature = "script-tests")]
const ADVERSARY_RUNS: u64 = 48;

/// The text of a script, and the name of its file for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) file: &'a str,
}

/// The result of running a case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) kind: String,
    pub(crate) id: String,
    /// Whether the finding is expected to show: its bug is planted.
    pub(crate) is_planted: bool,
    pub(crate) report: Report,
}

/// The text of a shrunk script, and what was removed.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) text: String,
    pub(crate) report: Report,
    /// `None` if the script showed something else when it was run again.
    pub(crate) removed: Option<Removed>,
}

/// A system whose type is unknown. Scripts are passed as text.
pub(crate) trait AnySystem {
    fn name(&self) -> &'static str;
    /// The path of its type.
    #[cfg(feature = "cli")]
    fn type_path(&self) -> &'static str;
    /// The script's text in the standard format.
    #[cfg(feature = "cli")]
    fn tidy(&self, source: Source<'_>) -> Result<String, Error>;
    /// A new script from the first operations of this one.
    #[cfg(feature = "cli")]
    fn beginning(&self, source: Source<'_>, about: &str) -> Result<String, Error>;
    /// Runs a script by a driver. Findings are written into `cases` as case files, if it is given.
    fn drive(
        &self,
        source: Source<'_>,
        driver: Driver,
        sweep: Sweep,
        cases: Option<&Path>,
    ) -> Report;
    /// Whether a script needs a schedule: it has several threads, or a schedule.
    #[cfg(feature = "cli")]
    fn is_contended(&self, source: Source<'_>) -> Result<bool, Error>;
    /// Runs a case; `None` if the script has no `found`, so that it is none.
    fn case(&self, source: Source<'_>, input: Arc<[u8]>) -> Result<Option<Case>, Error>;
    /// Shrinks a script; `None` if it shows nothing.
    #[cfg(feature = "cli")]
    fn minimise(
        &self,
        source: Source<'_>,
        input: Arc<[u8]>,
        limits: Limits,
    ) -> Result<Option<Small>, Error>;
}

/// A system's type, as a value.
pub(crate) struct TypedSystem<S>(pub(crate) PhantomData<fn() -> S>);

impl<S: System> TypedSystem<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    fn read(source: Source<'_>) -> Result<Script<S::Op>, Error> {
        let script = Script::read(source.text, source.file)?;
        if script.system == S::NAME {
            return Ok(script);
        }
        let Source { file, .. } = source;
        Err(Error::new(format!("the script is for the system `{}`", script.system))
            .at(file)
            .help(format!("this one is `{}`", S::NAME)))
    }

    fn try_drive(
        source: Source<'_>,
        driver: Driver,
        sweep: Sweep,
        cases: Option<&Path>,
    ) -> Result<Report, Error> {
        let script = Self::read(source)?;
        let runner = ScriptRunner::<S>::new(sweep.input_bytes())?;
        // Returns the error of a script that this build can't run.
        runner.prepare(&script)?;
        let is_contended = script.is_contended();
        let mut report = match driver {
            #[cfg(feature = "script-tests")]
            Driver::Plain => {
                let script = Script { fault: None, ..script };
                let (run, _) = runner.run_isolated(&script)?;
                let rerun = case::rerun(source.file.as_ref(), &script);
                return Ok(runner.report(&run, &script, &rerun));
            }
            _ if is_contended && (script.fault.is_some() || script.schedule.is_some()) => {
                return Self::run_single(&runner, source, &script);
            }
            #[cfg(feature = "script-tests")]
            Driver::Adversary => {
                let mut script = script;
                script.modes.retain(|mode| *mode != Mode::Adversary);
                let sweep = sweep.adversary(Adversary::new());
                return Ok(match is_contended {
                    true => Explore::over(sweep).delays(0).wakeups(0).scripted::<S>(&script),
                    false => sweep.limit(ADVERSARY_RUNS).scripted::<S>(&script),
                });
            }
            Driver::Sweep if is_contended => {
                Explore::over(sweep).delays(0).wakeups(0).scripted::<S>(&script)
            }
            Driver::Sweep => sweep.scripted::<S>(&script),
            // A script with a fault is a single run.
            #[cfg(any(feature = "cli", feature = "shuttle"))]
            Driver::Explore if script.fault.is_some() => {
                return Self::run_single(&runner, source, &script);
            }
            #[cfg(any(feature = "cli", feature = "shuttle"))]
            Driver::Explore => Explore::over(sweep).scripted::<S>(&script),
        };
        if script.fault.is_none() {
            case::add_cases(&runner, &mut report, &script, cases)?;
        }
        Ok(report)
    }

    /// Runs a script that holds its fault or its schedule.
    fn run_single(
        runner: &ScriptRunner<S>,
        source: Source<'_>,
        script: &Script<S::Op>,
    ) -> Result<Report, Error> {
        let (run, _) = runner.run_isolated(script)?;
        if let (Some(preemption), true) = (run.diverged, run.evidence.is_empty()) {
            let what = Replayed::Diverged(preemption);
            return Err(Error::new(format!("schedule: {what}"))
                .at(source.file)
                .help("give it a schedule that its threads can follow, or none to explore all"));
        }
        Ok(runner.report(&run, script, &case::rerun(source.file.as_ref(), script)))
    }
}

impl<S: System> AnySystem for TypedSystem<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    fn name(&self) -> &'static str {
        S::NAME
    }

    #[cfg(feature = "cli")]
    fn type_path(&self) -> &'static str {
        std::any::type_name::<S>()
    }

    #[cfg(feature = "cli")]
    fn tidy(&self, source: Source<'_>) -> Result<String, Error> {
        Self::read(source)?.print()
    }

    #[cfg(feature = "cli")]
    fn beginning(&self, source: Source<'_>, about: &str) -> Result<String, Error> {
        const OPERATIONS: usize = 3;
        let script = Self::read(source)?;
        let ops = script.threads.into_iter().next().unwrap_or_default();
        let mut first = Script::of(S::NAME, ops.into_iter().take(OPERATIONS).collect());
        about.clone_into(&mut first.about);
        first.print()
    }

    fn drive(
        &self,
        source: Source<'_>,
        driver: Driver,
        sweep: Sweep,
        cases: Option<&Path>,
    ) -> Report {
        let failed = |error| Report::failed(S::NAME, 0, error);
        Self::try_drive(source, driver, sweep, cases).unwrap_or_else(failed)
    }

    #[cfg(feature = "cli")]
    fn is_contended(&self, source: Source<'_>) -> Result<bool, Error> {
        Self::read(source).map(|script| script.is_contended())
    }

    fn case(&self, source: Source<'_>, input: Arc<[u8]>) -> Result<Option<Case>, Error> {
        let script = Self::read(source)?;
        let Some(found) = script.found.clone() else { return Ok(None) };
        let runner = ScriptRunner::<S>::new(input)?;
        let (run, _) = runner.run_isolated(&script)?;
        let rerun = case::rerun(source.file.as_ref(), &script);
        let mut report = runner.report(&run, &script, &rerun);
        let is_it = |finding: &Finding| finding.kind.name() == found.kind && finding.id == found.id;
        report.replayed = Some(match report.findings.as_slice() {
            [] => run.diverged.map_or(Replayed::NoFailure, Replayed::Diverged),
            findings if findings.iter().any(is_it) => Replayed::Reproduced,
            _ => Replayed::Different,
        });
        let is_planted = script.expect.reproduces;
        Ok(Some(Case { kind: found.kind, id: found.id, is_planted, report }))
    }

    #[cfg(feature = "cli")]
    fn minimise(
        &self,
        source: Source<'_>,
        input: Arc<[u8]>,
        limits: Limits,
    ) -> Result<Option<Small>, Error> {
        let minimised = case::minimise::<S>(&Self::read(source)?, &input, limits)?;
        minimised
            .map(|Minimised { script, report, removed }| {
                Ok(Small { text: script.print()?, report, removed })
            })
            .transpose()
    }
}
