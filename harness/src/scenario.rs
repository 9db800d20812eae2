//! Scenarios: what a command line can be told to sweep, by name.

use crate::report::rerun::Rerun;
#[cfg(feature = "cli")]
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::error::Error;
use crate::explore::builder::Explore;
use crate::host::Engine;
use crate::report::Report;
use crate::report::rerun::{PROGRAM, PROGRAM_SHUTTLE};
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

/// How a scenario of a command line is run where loom explores.
const PROGRAM_LOOM: &str = "cargo run --release --features loom --";

/// Something to sweep, by name: what [`cli::main`](crate::cli::main) is given.
///
/// ```
/// use mallory::{Heap, Scenario};
/// # fn rebuild(_: &Heap) -> Result<(), mallory::Refused> { Ok(()) }
/// let rebuild = Scenario::new("rebuild", "builds the index anew", |sweep| sweep.run(rebuild));
/// # let _ = rebuild;
/// ```
pub struct Scenario {
    pub(crate) name: String,
    about: String,
    pub(crate) group: Option<String>,
    pub(crate) input: Option<Box<InputFn>>,
    /// The system that it is a script of, others, and the script's text and file.
    #[cfg(feature = "cli")]
    pub(crate) systems: Vec<Box<dyn AnySystem>>,
    #[cfg(feature = "cli")]
    pub(crate) source: Option<(&'static str, &'static str)>,
    run: Option<Box<SweepFn>>,
    explore: Option<Box<ExploreFn>>,
    /// How its replays are run.
    program: String,
    known_file: &'static str,
}

impl Scenario {
    /// A scenario. It is given a sweep with everything set that the command line was asked for,
    /// and runs it on its subject.
    #[track_caller]
    pub fn new(
        name: impl Into<String>,
        about: impl Into<String>,
        run: impl Fn(Sweep) -> Report + 'static,
    ) -> Scenario {
        Scenario { run: Some(Box::new(run)), ..Scenario::named(name.into(), about.into()) }
    }

    /// A scenario that is only explored, since its threads are what it is about. It is given an
    /// exploration with everything set that the command line was asked for.
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
            program: PROGRAM.to_owned(),
            known_file: Location::caller().file(),
        }
    }

    /// Lets it be explored as well: its threads in every order.
    #[must_use]
    pub fn explore(mut self, explore: impl Fn(Explore) -> Report + 'static) -> Self {
        self.explore = Some(Box::new(explore));
        self
    }

    /// A scenario that sweeps a script of a system. `file` is what errors call it; its stem is the
    /// scenario's name.
    #[cfg(feature = "ron")]
    #[track_caller]
    pub fn script<S: System + 'static>(file: &'static str, text: &'static str) -> Scenario
    where
        S::Op: serde::Serialize + serde::de::DeserializeOwned,
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

    /// Another system whose scripts and cases the command line takes, with the same input.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn knows<S: System + 'static>(mut self) -> Self
    where
        S::Op: serde::Serialize + serde::de::DeserializeOwned,
    {
        self.systems.push(Box::new(TypedSystem::<S>(PhantomData)));
        self
    }

    /// Puts it in a group: it is run when the group or the scenario is named, and else left out.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// How the program is started that knows it, where `cargo run --release --` is not enough: with
    /// a feature, or by another name. It stands before `replay` in the lines that findings print.
    #[must_use]
    pub fn rerun_by(mut self, program: &str) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Where its input comes from unless `--input` names another.
    #[must_use]
    pub fn input(mut self, read: impl Fn() -> Result<Arc<[u8]>, Error> + 'static) -> Self {
        self.input = Some(Box::new(read));
        self
    }

    /// Sweeps it with what was asked for; `other_input` takes the place of its own.
    pub(crate) fn run(&self, sweep: Sweep, other_input: Option<&Arc<[u8]>>) -> Report {
        let mut sweep =
            sweep.known_file(self.known_file).rerun_by(Rerun::Command(self.program.clone()));
        let Some(run) = &self.run else {
            let what = format!("`{}` is not swept", self.name);
            return sweep.failed(Error::new(what).help("explore it: its threads are the point"));
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

    /// The same of its threads in every order.
    pub(crate) fn explored(&self, explore: Explore, other_input: Option<&Arc<[u8]>>) -> Report {
        let program = |engine: Option<Engine>| match engine {
            _ if self.program != PROGRAM => self.program.clone(),
            Some(Engine::Loom) => PROGRAM_LOOM.to_owned(),
            _ => PROGRAM_SHUTTLE.to_owned(),
        };
        let mut explore = explore.prepared(self.known_file, program);
        let Some(run) = &self.explore else {
            let what = format!("`{}` is not explored", self.name);
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

    /// Whether it can be swept, and explored.
    #[cfg(feature = "cli")]
    pub(crate) fn can_sweep(&self) -> bool {
        self.run.is_some()
    }

    #[cfg(feature = "cli")]
    pub(crate) fn can_explore(&self) -> bool {
        self.explore.is_some()
    }

    /// Sweeps it as a test would: with the defaults and what the environment asks for.
    #[must_use]
    pub fn sweep(&self) -> Report {
        self.run(Sweep::new(self.name.clone()), None)
    }

    /// Explores it as a test would, by shuttle: with the defaults and what the environment asks for.
    #[must_use]
    pub fn explored_by_shuttle(&self) -> Report {
        self.explored(Explore::new(self.name.clone()).shuttle(), None)
    }

    /// What it is about, in one line.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
