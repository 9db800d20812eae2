//! Script files as tests: each script of a folder times each way to drive it is a test of its
//! own, and so is each case. A file that is added is a test that is added.

use crate::report::rerun::Rerun;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::report::Report;
use crate::report::verdict::Replayed;
use crate::script::dyn_system::{AnySystem, Case, Driver, Source, TypedSystem};
use crate::script::files;
use crate::sweep::builder::Sweep;
use crate::system::System;

type Read = fn() -> Result<Arc<[u8]>, Error>;
type Make = fn() -> Rc<dyn AnySystem>;

/// Scripts and cases as tests, for a test target with `harness = false`.
///
/// ```no_run
/// # use mallory::{Heap, System, World};
/// # fn tests<Queue: System + 'static>() -> std::process::ExitCode
/// # where Queue::Op: serde::Serialize + serde::de::DeserializeOwned {
/// mallory::script::ScriptTests::new(env!("CARGO_MANIFEST_DIR"))
///     .system::<Queue>()
///     .scripts("tests/scripts")
///     .cases("tests/cases")
///     .main()
/// # }
/// ```
/// [`script_tests!`](crate::script::script_tests) is the same in one line.
#[must_use = "nothing is run until `main`"]
pub struct ScriptTests {
    root: PathBuf,
    systems: Vec<(&'static str, Make, Read)>,
    elsewhere: Vec<&'static str>,
    trials: Vec<Trial>,
}

/// The tests of scripts in `tests/scripts` and of cases in `tests/cases`, of these systems: the
/// one line of a test target with `harness = false`.
#[doc(hidden)]
#[macro_export]
macro_rules! __script_tests {
    ($($system:ty),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::script::ScriptTests::new(env!("CARGO_MANIFEST_DIR"))
                $(.system::<$system>())+
                .scripts("tests/scripts")
                .cases("tests/cases")
                .main()
        }
    };
}

fn make<S: System + 'static>() -> Rc<dyn AnySystem>
where
    S::Op: Serialize + DeserializeOwned,
{
    Rc::new(TypedSystem::<S>(std::marker::PhantomData))
}

impl ScriptTests {
    /// Tests of a package that lies here.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let (systems, elsewhere, trials) = (Vec::new(), Vec::new(), Vec::new());
        ScriptTests { root: root.into(), systems, elsewhere, trials }
    }

    /// A system that scripts may be of; to be named before the folders.
    pub fn system<S: System + 'static>(self) -> Self
    where
        S::Op: Serialize + DeserializeOwned,
    {
        self.system_with::<S>(|| Ok(Arc::from([])))
    }

    /// A system that reads an input.
    pub fn system_with<S: System + 'static>(mut self, input: Read) -> Self
    where
        S::Op: Serialize + DeserializeOwned,
    {
        self.systems.push((S::NAME, make::<S>, input));
        self
    }

    /// Leaves scripts of this system out: it is tested elsewhere, or not in this build.
    pub fn elsewhere(mut self, system: &'static str) -> Self {
        self.elsewhere.push(system);
        self
    }

    /// Each script in this folder, below the package's own: once without a fault, swept, and on
    /// the adversarial heap; and explored, with the feature `shuttle`. Scripts with several threads
    /// need that feature: without it they fail and say so.
    pub fn scripts(mut self, folder: &str) -> Self {
        for (path, name) in self.files(folder) {
            for &(driver, called) in Driver::ALL {
                let (path, systems) = (path.clone(), self.systems.clone());
                let test = format!("{name}::{called}");
                let again = test.clone();
                let drive = move || {
                    let text = files::read(&path)?;
                    let file = shown(&path);
                    let source = Source { text: &text, file: &file };
                    let (system, input) = find(&systems, source)?;
                    let sweep = Sweep::new(system.name()).input(input).rerun_by(Rerun::Test(again));
                    Ok(system.drive(source, driver, sweep, None))
                };
                let trial = Trial::test(test, move || clean(&drive().map_err(failed)?));
                self.trials.push(trial);
            }
        }
        self
    }

    /// Each case in this folder, below the package's own: what it found is not to be seen any
    /// more, or, where the case says that it `reproduces`, is.
    pub fn cases(mut self, folder: &str) -> Self {
        for (path, name) in self.files(folder) {
            let systems = self.systems.clone();
            self.trials.push(Trial::test(format!("{name}::case"), move || {
                let text = files::read(&path).map_err(failed)?;
                let file = shown(&path);
                let source = Source { text: &text, file: &file };
                let (system, input) = find(&systems, source).map_err(failed)?;
                let found = system.case(source, input).map_err(failed)?;
                let Some(Case { kind, id, is_planted, report }) = found else {
                    let error = Error::new(format!("{file}: it says of nothing that it was found"));
                    return Err(failed(error.help("put it with the scripts, or add `found`")));
                };
                match report.replayed {
                    Some(Replayed::Reproduced) if is_planted => Ok(()),
                    _ if is_planted => Err(format!("{kind} {id} is to be seen:\n{report}").into()),
                    _ if report.findings().is_empty() => Ok(()),
                    _ => Err(report.to_string().into()),
                }
            }));
        }
        self
    }

    /// Runs the tests that the test runner asks for.
    #[must_use]
    pub fn main(self) -> ExitCode {
        libtest_mimic::run(&Arguments::from_args(), self.trials).exit_code()
    }

    /// The scripts of a folder, and what their tests are called.
    fn files(&self, folder: &str) -> Vec<(PathBuf, String)> {
        let last = folder.rsplit('/').next().unwrap_or(folder);
        let files = files::files(&self.root.join(folder)).unwrap_or_default();
        let name = |path: &PathBuf| {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            format!("{last}/{}", stem.unwrap_or_default())
        };
        let is_here = |path: &PathBuf| {
            // What can't be read is a test that fails.
            let Ok(text) = files::read(path) else { return true };
            let system = files::system_of(Source { text: &text, file: "" });
            !system.is_ok_and(|system| self.elsewhere.contains(&&*system))
        };
        files.into_iter().filter(is_here).map(|path| (path.clone(), name(&path))).collect()
    }
}

/// A path as messages have it: its folder's name and its own.
fn shown(path: &Path) -> String {
    let last = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
    };
    let (folder, name) = (last(path.parent()), last(Some(path)));
    format!("{}/{}", folder.unwrap_or_default(), name.unwrap_or_default())
}

fn failed(error: Error) -> Failed {
    Failed::from(format!("error: {error}"))
}

/// As of [`Report::assert_clean`], a replay is never a passing test.
fn clean(report: &Report) -> Result<(), Failed> {
    let is_clean = report.exit_code() == 0 && report.replayed.is_none();
    if is_clean { Ok(()) } else { Err(report.to_string().into()) }
}

type FoundSystem = (Rc<dyn AnySystem>, Arc<[u8]>);

fn find(systems: &[(&'static str, Make, Read)], source: Source<'_>) -> Result<FoundSystem, Error> {
    let name = files::system_of(source)?;
    let known = systems.iter().find(|(known, ..)| *known == name);
    let (_, make, read) = known.ok_or_else(|| files::unknown(source, &name))?;
    Ok((make(), read()?))
}
