//! Runs scripts of one system: prepares each one, which needs the system's type, and passes it on.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::Error;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::report::Report;
use crate::report::kind::Kind;
use crate::report::rerun::Rerun;
use crate::script::prepared::PreparedScript;
use crate::script::prepared_runner::{NamedFinding, PreparedRunner};
use crate::script::script_run::ScriptRun;
use crate::system::System;
use crate::system::script::Script;

/// Runs scripts of one system.
pub(crate) struct ScriptRunner<S> {
    pub(crate) inner: PreparedRunner,
    /// What all runs in this process have asked for.
    requests: Cell<u64>,
    system: PhantomData<fn() -> S>,
}

impl<S: System> ScriptRunner<S> {
    /// A runner of this system's scripts, which read `input`.
    ///
    /// # Errors
    /// If an environment variable of Mallory's is wrong.
    #[track_caller]
    pub(crate) fn new(input: Arc<[u8]>) -> Result<Self, Error> {
        let inner = PreparedRunner::new(S::NAME, input)?;
        Ok(ScriptRunner { inner, requests: Cell::new(0), system: PhantomData })
    }

    /// A script as a subject.
    ///
    /// # Errors
    /// If this build can't run the script.
    pub(crate) fn prepare<'s>(&self, script: &Script<S::Op>) -> Result<PreparedScript<'s>, Error>
    where
        S: 's,
    {
        PreparedScript::new::<S>(script, &self.inner.settings.input)
    }

    /// See [`PreparedRunner::run_here`].
    pub(crate) fn run_here(
        &self,
        script: &Script<S::Op>,
        scratch: &ScratchDir,
        wanted: Option<Kind>,
    ) -> Result<ScriptRun, Error> {
        let run = self.inner.run_here(&self.prepare(script)?, scratch, wanted, None)?;
        self.requests.set(self.requests.get() + run.requests.iter().sum::<u64>());
        Ok(run)
    }

    /// How many requests all calls of [`run_here`](Self::run_here) have seen together.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// See [`PreparedRunner::run_once`].
    pub(crate) fn run_once(
        &self,
        script: &Script<S::Op>,
        scratch: &ScratchDir,
    ) -> Result<ScriptRun, Error> {
        self.inner.run_once(&self.prepare(script)?, scratch)
    }

    /// See [`PreparedRunner::run_isolated`].
    pub(crate) fn run_isolated(
        &self,
        script: &Script<S::Op>,
    ) -> Result<(ScriptRun, Option<Death>), Error> {
        self.inner.run_isolated(&self.prepare(script)?)
    }

    /// The findings of a run that the script doesn't allow: see [`PreparedRunner::findings`].
    pub(crate) fn findings(&self, run: &ScriptRun, script: &Script<S::Op>) -> Vec<NamedFinding> {
        self.inner.findings(run, &script.header()).0
    }

    /// See [`PreparedRunner::report`].
    pub(crate) fn report(&self, run: &ScriptRun, script: &Script<S::Op>, rerun: &Rerun) -> Report {
        self.inner.report(run, &script.header(), rerun)
    }
}
