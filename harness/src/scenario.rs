//! Scenarios: subjects with a name, which a command line or a test sweeps or explores.

#[cfg(feature = "cli")]
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::error::Error;
use crate::explore::builder::Explore;
use crate::host::Engine;
use crate::launch;
use crate::report::Report;
use crate::report::rerun::Rerun;
#[cfg(feature = "ron")]
use crate::script::bounds::ScriptOperation;
#[cfg(feature = "cli")]
use crate::script::dyn_system::{AnySystem, TypedSystem};
use crate::sweep::builder::Sweep;
#[cfg(feature = "ron")]
use crate::system::System;
#[cfg(feature = "ron")]
use crate::system::script::Script;

type SweepFn = dyn Fn(Sweep) -> Report;
type ExploreFn = dyn Fn(Explore) -> Report;
type InputFn = dyn Fn() -> Result<Arc<[u8]>, Error>;

/// A subject with a name, for a command line (`cli::main`, feature `cli`) or a test.
///
/// ```
/// use mallory::{Heap, Scenario};
/// # fn rebuild(_: &Heap) -> Result<(), mallory::Refused> { Ok(()) }
/// let rebuild = Scenario::new("rebuild", "rebuilds the index", |sweep| sweep.run(rebuild));
/// assert!(rebuild.sweep().findings().is_empty());
/// ```
pub struct Scenario {
    pub(crate) name: String,
    about: String,
    pub(crate) group: Option<String>,
    pub(crate) input: Option<Box<InputFn>>,
    /// The systems whose scripts the command line can run; its own comes first.
    #[cfg(feature = "cli")]
    pub(crate) systems: Vec<Box<dyn AnySystem>>,
    /// The text and the file of the script that it sweeps.
    #[cfg(feature = "cli")]
    pub(crate) source: Option<(&'static str, &'static str)>,
    run: Option<Box<SweepFn>>,
    explore: Option<Box<ExploreFn>>,
    /// The command that replays are printed with, if the caller has named one.
    program: Option<String>,
    /// A source file of the caller's: where it is found tells which paths are the machine's.
    known_file: &'static str,
}

impl Scenario {
    /// A scenario to sweep. `run` gets a sweep with all settings of the command line, adds its own,
    /// and runs it on the subject. `about` describes it on one line.
    #[track_caller]
    pub fn new(
        name: impl Into<String>,
        about: impl Into<String>,
        run: impl Fn(Sweep) -> Report + 'static,
    ) -> Scenario {
        Scenario { run: Some(Box::new(run)), ..Scenario::named(name.into(), about.into()) }
    }

    /// A scenario that is only explored, since it is about threads. `explore` gets an exploration
    /// with all settings of the command line.
    #[track_caller]
    pub fn threads(
        name: impl Into<String>,
        about: impl Into<String>,
        explore: impl Fn(Explore) -> Report + 'static,
    ) -> Scenario {
        Scenario::named(name.into(), about.into()).explore(explore)
    }

    #[track_caller]
    fn named(name: String, about: String) -> Scenario {
        Scenario {
            name,
            about,
            group: None,
            input: None,
            #[cfg(feature = "cli")]
            systems: Vec::new(),
            #[cfg(feature = "cli")]
            source: None,
            run: None,
            explore: None,
            program: None,
            known_file: Location::caller().file(),
        }
    }

    /// Lets the scenario be explored as well: every schedule of its threads.
    #[must_use]
    pub fn explore(mut self, explore: impl Fn(Explore) -> Report + 'static) -> Self {
        self.explore = Some(Box::new(explore));
        self
    }

    /// A scenario that sweeps a script of a system. `file` is the script's path in errors, and its
    /// stem is the scenario's name.
    #[cfg(feature = "ron")]
    #[track_caller]
    pub fn script<S: System + 'static>(file: &'static str, text: &'static str) -> Scenario
    where
        S::Op: ScriptOperation,
    {
        let name = file.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or(file);
        let about = Script::<S::Op>::read(text, file).map(|script| script.about);
        let scenario = Scenario::new(name, about.unwrap_or_default(), move |sweep| {
            match Script::read(text, file) {
                Ok(script) => sweep.scripted::<S>(&script),
                Err(error) => sweep.failed(error),
            }
        });
        #[cfg(feature = "cli")]
        let scenario = Scenario { source: Some((text, file)), ..scenario.knows::<S>() };
        scenario
    }

    /// Adds a system whose scripts and cases the command line runs, with the scenario's input.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn knows<S: System + 'static>(mut self) -> Self
    where
        S::Op: ScriptOperation,
    {
        self.systems.push(Box::new(TypedSystem::<S>(PhantomData)));
        self
    }

    /// Puts it in a group. It then runs only if the group or the scenario is named.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// Sets the command that starts its program, which findings print in front of `replay`: one
    /// with a feature, say. Default: `cargo run --`, with the flags of the profile and the package, or
    /// the name of an installed program.
    #[must_use]
    pub fn rerun_by(mut self, program: &str) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Sets how its input is read, unless `--input` names another.
    #[must_use]
    pub fn input(mut self, read: impl Fn() -> Result<Arc<[u8]>, Error> + 'static) -> Self {
        self.input = Some(Box::new(read));
        self
    }

    /// Sweeps it with these settings. `other_input` replaces its own input.
    pub(crate) fn run(&self, sweep: Sweep, other_input: Option<&Arc<[u8]>>) -> Report {
        let program = self.program.clone().unwrap_or_else(|| launch::command_line(None));
        let mut sweep = sweep.known_file(self.known_file).rerun_by(Rerun::Command(program));
        let Some(run) = &self.run else {
            let what = format!("`{}` cannot be swept", self.name);
            return sweep.failed(Error::new(what).help("explore it: it is about threads"));
        };
        match (&self.input, other_input) {
            (_, Some(other)) => sweep = sweep.other_input(Arc::clone(other)),
            (Some(read), None) => match read() {
                Ok(input) => sweep = sweep.input(input),
                Err(error) => return Report::failed(&self.name, 0, error),
            },
            (None, None) => {}
        }
        run(sweep)
    }

    /// Explores it with these settings.
    pub(crate) fn explored(&self, explore: Explore, other_input: Option<&Arc<[u8]>>) -> Report {
        let program = |engine: Option<Engine>| {
            let feature = if engine == Some(Engine::Loom) { "loom" } else { "shuttle" };
            self.program.clone().unwrap_or_else(|| launch::command_line(Some(feature)))
        };
        let mut explore = explore.prepared(self.known_file, program);
        let Some(run) = &self.explore else {
            let what = format!("`{}` cannot be explored", self.name);
            return explore.failed(Error::new(what).help("sweep it: it starts no threads"));
        };
        match (&self.input, other_input) {
            (_, Some(other)) => explore = explore.other_input(Arc::clone(other)),
            (Some(read), None) => match read() {
                Ok(input) => explore = explore.input(input),
                Err(error) => return Report::failed(&self.name, 0, error),
            },
            (None, None) => {}
        }
        run(explore)
    }

    /// Whether it can be swept.
    #[cfg(feature = "cli")]
    pub(crate) fn can_sweep(&self) -> bool {
        self.run.is_some()
    }

    /// Whether it can be explored.
    #[cfg(feature = "cli")]
    pub(crate) fn can_explore(&self) -> bool {
        self.explore.is_some()
    }

    /// Sweeps it in a test: with the defaults and the settings of the environment.
    #[must_use]
    pub fn sweep(&self) -> Report {
        self.run(Sweep::new(self.name.clone()), None)
    }

    /// Explores it in a test, by shuttle: with the defaults and the settings of the environment.
    #[must_use]
    pub fn explored_by_shuttle(&self) -> Report {
        self.explored(Explore::new(self.name.clone()).shuttle(), None)
    }

    /// Its description, on one line.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
