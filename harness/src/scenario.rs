//! Scenarios: what a command line can be told to sweep, by name.

#[cfg(feature = "cli")]
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

#[cfg(feature = "cli")]
use crate::anysystem::{AnySystem, Of};
use crate::error::Error;
use crate::report::{PROGRAM, Report};
#[cfg(feature = "ron")]
use crate::script::Script;
use crate::sweep::Sweep;
#[cfg(feature = "ron")]
use crate::system::System;

type Run = dyn Fn(Sweep) -> Report;
type Input = dyn Fn() -> Result<Arc<[u8]>, Error>;

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
    pub(crate) input: Option<Box<Input>>,
    /// The system that it is a script of, others, and the script's text and file.
    #[cfg(feature = "cli")]
    pub(crate) systems: Vec<Box<dyn AnySystem>>,
    #[cfg(feature = "cli")]
    pub(crate) source: Option<(&'static str, &'static str)>,
    run: Box<Run>,
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
        Scenario {
            name: name.into(),
            about: about.into(),
            group: None,
            input: None,
            #[cfg(feature = "cli")]
            systems: Vec::new(),
            #[cfg(feature = "cli")]
            source: None,
            run: Box::new(run),
            program: PROGRAM.to_owned(),
            known_file: Location::caller().file(),
        }
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
        self.systems.push(Box::new(Of::<S>(PhantomData)));
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

    /// Runs it with what was asked for; `other_input` takes the place of its own.
    pub(crate) fn explore(&self, sweep: Sweep, other_input: Option<&Arc<[u8]>>) -> Report {
        let mut sweep = sweep.known_file(self.known_file).rerun_by(&self.program);
        match (&self.input, other_input) {
            (_, Some(other)) => sweep = sweep.other_input(Arc::clone(other)),
            (Some(read), None) => match read() {
                Ok(input) => sweep = sweep.input(input),
                Err(error) => return Report::failed(&self.name, 0, error),
            },
            (None, None) => {}
        }
        (self.run)(sweep)
    }

    /// Runs it as a test would: with the defaults and what the environment asks for.
    #[must_use]
    pub fn sweep(&self) -> Report {
        self.explore(Sweep::new(self.name.clone()), None)
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
