//! A system with its type forgotten: what a command line and a folder of tests know of it.

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
use crate::script::runner::Player;
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
    /// Every request in turn.
    Sweep,
    /// Every request, in every order of the threads to two preemptions.
    #[cfg(any(feature = "cli", feature = "shuttle"))]
    Explore,
    /// On the adversarial heap: every call site, with guard pages.
    #[cfg(feature = "script-tests")]
    Adversary,
}

#[cfg(feature = "script-tests")]
impl Driver {
    /// One row for each way to drive a script.
    pub(crate) const ALL: &'static [(Driver, &'static str)] = &[
        (Driver::Plain, "plain"),
        (Driver::Sweep, "sweep"),
        #[cfg(feature = "shuttle")]
        (Driver::Explore, "explore"),
        (Driver::Adversary, "adversary"),
    ];
}

/// Faulted runs of a script on the adversarial heap: new call sites come first.
#[cfg(feature = "script-tests")]
const ADVERSARY_RUNS: u64 = 48;

/// A script as a file has it: its text, and what errors call it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) file: &'a str,
}

/// What became of a case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) kind: String,
    pub(crate) id: String,
    /// Whether what it found is to be seen.
    pub(crate) is_planted: bool,
    pub(crate) report: Report,
}

/// What is left of a script, as text, and what was removed.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) text: String,
    pub(crate) report: Report,
    /// `None` where it showed something else when it was run again.
    pub(crate) removed: Option<Removed>,
}

pub(crate) trait AnySystem {
    fn name(&self) -> &'static str;
    /// The text in the one way that all scripts are printed.
    #[cfg(feature = "cli")]
    fn tidy(&self, source: Source<'_>) -> Result<String, Error>;
    /// A script's first operations, as a script of their own.
    #[cfg(feature = "cli")]
    fn beginning(&self, source: Source<'_>, about: &str) -> Result<String, Error>;
    /// Drives a script; what is found is written into a folder as cases, if one is named.
    fn drive(
        &self,
        source: Source<'_>,
        driver: Driver,
        sweep: Sweep,
        cases: Option<&Path>,
    ) -> Report;
    /// Whether a script's threads have to be made to take turns.
    #[cfg(feature = "cli")]
    fn is_contended(&self, source: Source<'_>) -> Result<bool, Error>;
    /// Plays a script that is a case; `None` where it is none.
    fn case(&self, source: Source<'_>, input: Arc<[u8]>) -> Result<Option<Case>, Error>;
    #[cfg(feature = "cli")]
    fn minimise(
        &self,
        source: Source<'_>,
        input: Arc<[u8]>,
        limits: Limits,
    ) -> Result<Option<Small>, Error>;
}

/// A system's type, and nothing of it.
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
        Err(Error::new(format!("{file}: the script is for the system `{}`", script.system))
            .help(format!("this one is `{}`", S::NAME)))
    }

    fn driven(
        source: Source<'_>,
        driver: Driver,
        sweep: Sweep,
        cases: Option<&Path>,
    ) -> Result<Report, Error> {
        let script = Self::read(source)?;
        let player = Player::<S>::new(sweep.input_bytes())?;
        // Also says what this build can't play.
        player.cast(&script)?;
        let is_contended = script.is_contended();
        let mut report = match driver {
            #[cfg(feature = "script-tests")]
            Driver::Plain => {
                let script = Script { fault: None, ..script };
                let (seen, _) = player.play(&script)?;
                let rerun = case::rerun(source.file.as_ref(), &script);
                return Ok(player.report(&seen, &script, &rerun));
            }
            _ if is_contended && (script.fault.is_some() || script.schedule.is_some()) => {
                return Self::played(&player, source, &script);
            }
            #[cfg(feature = "script-tests")]
            Driver::Adversary => {
                let mut script = script;
                script.modes.retain(|mode| *mode != Mode::Adversary);
                let sweep = sweep.adversary(Adversary::new());
                return Ok(match is_contended {
                    true => Explore::over(sweep).schedules(1).scripted::<S>(&script),
                    false => sweep.limit(ADVERSARY_RUNS).scripted::<S>(&script),
                });
            }
            Driver::Sweep if is_contended => {
                Explore::over(sweep).schedules(1).scripted::<S>(&script)
            }
            Driver::Sweep => sweep.scripted::<S>(&script),
            // One run, which has been looked at by the others.
            #[cfg(any(feature = "cli", feature = "shuttle"))]
            Driver::Explore if script.fault.is_some() => {
                return Self::played(&player, source, &script);
            }
            #[cfg(any(feature = "cli", feature = "shuttle"))]
            Driver::Explore => Explore::over(sweep).scripted::<S>(&script),
        };
        if script.fault.is_none() {
            player.add_cases(&mut report, &script, cases)?;
        }
        Ok(report)
    }

    /// The one run that a script is.
    fn played(
        player: &Player<S>,
        source: Source<'_>,
        script: &Script<S::Op>,
    ) -> Result<Report, Error> {
        let (seen, _) = player.play(script)?;
        if let (Some(turn), true) = (seen.diverged, seen.evidence.is_empty()) {
            let what = Replayed::Diverged(turn);
            return Err(Error::new(format!("{}: schedule: {what}", source.file))
                .help("give it a schedule that its threads can follow, or none to explore all"));
        }
        Ok(player.report(&seen, script, &case::rerun(source.file.as_ref(), script)))
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
        Self::driven(source, driver, sweep, cases).unwrap_or_else(failed)
    }

    #[cfg(feature = "cli")]
    fn is_contended(&self, source: Source<'_>) -> Result<bool, Error> {
        Self::read(source).map(|script| script.is_contended())
    }

    fn case(&self, source: Source<'_>, input: Arc<[u8]>) -> Result<Option<Case>, Error> {
        let script = Self::read(source)?;
        let Some(found) = script.found.clone() else { return Ok(None) };
        let player = Player::<S>::new(input)?;
        let (seen, _) = player.play(&script)?;
        let mut report = player.report(&seen, &script, &case::rerun(source.file.as_ref(), &script));
        let is_it = |finding: &Finding| finding.kind.name() == found.kind && finding.id == found.id;
        report.replayed = Some(match report.findings.as_slice() {
            [] => seen.diverged.map_or(Replayed::NoFailure, Replayed::Diverged),
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
        let small = case::minimise::<S>(&Self::read(source)?, &input, limits)?;
        small
            .map(|small| {
                let text = small.script.print()?;
                Ok(Small { text, report: small.report, removed: small.removed })
            })
            .transpose()
    }
}
