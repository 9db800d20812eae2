//! Script files as tests: a test for each script of a folder and each driver, and one for each case. To
//! add a test, add a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::error::Error;
use crate::launch;
use crate::report::Report;
use crate::report::rerun::Rerun;
use crate::report::verdict::Replayed;
use crate::script::bounds::ScriptOperation;
use crate::script::dyn_system::{AnySystem, Case, Driver, Source, TypedSystem};
use crate::script::files;
use crate::sweep::builder::Sweep;
use crate::system::System;

/// Returns what a system reads.
type ReadInput = fn() -> Result<Arc<[u8]>, Error>;
type MakeSystem = fn() -> Rc<dyn AnySystem>;

/// Scripts and cases as tests, for a test target with `harness = false`.
///
/// ```no_run
/// # use mallory::System;
/// # fn tests<Queue: System + 'static>() -> std::process::ExitCode
/// # where Queue::Op: serde::Serialize + serde::de::DeserializeOwned {
/// mallory::script::ScriptTests::new(env!("CARGO_MANIFEST_DIR"))
///     .system::<Queue>()
///     .scripts("tests/scripts")
///     .cases("tests/cases")
///     .main()
/// # }
/// ```
/// [`script_tests!`](crate::script::script_tests) is the same in one line. Tests are named
/// `scripts/NAME::DRIVER` and `cases/NAME::case`, after the folder and the file.
#[must_use = "nothing is run until `main`"]
pub struct ScriptTests {
    root: PathBuf,
    systems: Vec<(&'static str, MakeSystem, ReadInput)>,
    elsewhere: Vec<&'static str>,
    trials: Vec<Trial>,
}

/// The tests of scripts in `tests/scripts` and of cases in `tests/cases` of these systems: the only
/// line of a test target with `harness = false`.
///
/// ```text
/// mallory::script::script_tests!(Queue, Cache);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __script_tests {
    ($($system:ty),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::script::ScriptTests::new(env!("CARGO_MANIFEST_DIR"))
                $(.system::<$system>())+
                .scripts("tests/scripts")
                .cases_if_any("tests/cases")
                .main()
        }
    };
}

fn make_system<S: System + 'static>() -> Rc<dyn AnySystem>
where
    S::Op: ScriptOperation,
{
    Rc::new(TypedSystem::<S>(std::marker::PhantomData))
}

impl ScriptTests {
    /// No tests yet. `root` is the folder of the package.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let (systems, elsewhere, trials) = (Vec::new(), Vec::new(), Vec::new());
        ScriptTests { root: root.into(), systems, elsewhere, trials }
    }

    /// Adds a system whose scripts can be run. Call it before the folders are added.
    pub fn system<S: System + 'static>(self) -> Self
    where
        S::Op: ScriptOperation,
    {
        self.system_with::<S>(|| Ok(Arc::from([])))
    }

    /// Adds a system that reads an input.
    pub fn system_with<S: System + 'static>(mut self, input: ReadInput) -> Self
    where
        S::Op: ScriptOperation,
    {
        self.systems.push((S::NAME, make_system::<S>, input));
        self
    }

    /// Leaves out the scripts of this system: it is tested elsewhere, or not in this build. Call it before
    /// the folders are added.
    pub fn elsewhere(mut self, system: &'static str) -> Self {
        self.elsewhere.push(system);
        self
    }

    /// Adds the scripts in this folder, relative to the package's. Each is run once without a fault,
    /// swept, swept on the adversarial heap, and with the feature `shuttle` explored. Scripts with
    /// several threads need that feature: without it their tests fail with that error. A folder without
    /// any script is a test that fails.
    pub fn scripts(mut self, folder: &str) -> Self {
        self.require(folder);
        for (path, name) in self.files(folder) {
            for &(driver, driver_name) in Driver::ALL {
                let (path, systems) = (path.clone(), self.systems.clone());
                let test = format!("{name}::{driver_name}");
                let rerun = Rerun::Program(launch::test(&test));
                let drive = move || {
                    let text = files::read(&path)?;
                    let file = shown(&path);
                    let source = Source { text: &text, file: &file };
                    let (system, input) = find_system(&systems, source)?;
                    let sweep = Sweep::new(system.name()).input(input).rerun_by(rerun);
                    Ok(system.drive(source, driver, sweep, None))
                };
                let trial = Trial::test(test, move || clean(&drive().map_err(failed)?));
                self.trials.push(trial);
            }
        }
        self
    }

    /// Adds the cases in this folder, relative to the package's. A test passes if the case shows nothing,
    /// or, if it says that it `reproduces`, if its finding shows. A folder without any case is a test
    /// that fails.
    pub fn cases(mut self, folder: &str) -> Self {
        self.require(folder);
        self.cases_if_any(folder)
    }

    /// As [`cases`](Self::cases), of a folder that may be empty or missing: the first case comes with the
    /// first bug.
    pub fn cases_if_any(mut self, folder: &str) -> Self {
        for (path, name) in self.files(folder) {
            let systems = self.systems.clone();
            self.trials.push(Trial::test(format!("{name}::case"), move || {
                let text = files::read(&path).map_err(failed)?;
                let file = shown(&path);
                let source = Source { text: &text, file: &file };
                let (system, input) = find_system(&systems, source).map_err(failed)?;
                let found = system.case(source, input).map_err(failed)?;
                let Some(Case { kind, id, is_planted, report }) = found else {
                    let error = Error::new("not a case: `found` is missing").at(file);
                    let help = "move the file to the folder of scripts, or add `found`";
                    return Err(failed(error.help(help)));
                };
                match report.replayed {
                    Some(Replayed::Reproduced) if is_planted => Ok(()),
                    _ if is_planted => Err(format!("{kind} {id} doesn't show:\n{report}").into()),
                    _ if report.findings().is_empty() => Ok(()),
                    _ => Err(report.to_string().into()),
                }
            }));
        }
        self
    }

    /// Runs the tests that the command line names, and returns the exit code of the test binary.
    #[must_use]
    pub fn main(self) -> ExitCode {
        libtest_mimic::run(&Arguments::from_args(), self.trials).exit_code()
    }

    /// Adds a test that fails, if there is no script in this folder: otherwise nothing would be tested,
    /// and pass.
    fn require(&mut self, folder: &str) {
        let error = match files::files(&self.root.join(folder)) {
            Ok(files) if !files.is_empty() => return,
            Ok(_) => Error::new("there is no script in this folder")
                .at(folder)
                .help("put NAME.ron files there, or leave the folder out"),
            Err(error) => error,
        };
        let last = folder.rsplit('/').next().unwrap_or(folder);
        self.trials.push(Trial::test(format!("{last}/is_not_empty"), move || Err(failed(error))));
    }

    /// The scripts of a folder, with the names of their tests.
    fn files(&self, folder: &str) -> Vec<(PathBuf, String)> {
        let last = folder.rsplit('/').next().unwrap_or(folder);
        let files = files::files(&self.root.join(folder)).unwrap_or_default();
        let name = |path: &PathBuf| {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            format!("{last}/{}", stem.unwrap_or_default())
        };
        let is_here = |path: &PathBuf| {
            // A script that can't be read becomes a test that fails.
            let Ok(text) = files::read(path) else { return true };
            let system = files::system_of(Source { text: &text, file: "" });
            !system.is_ok_and(|system| self.elsewhere.contains(&&*system))
        };
        files.into_iter().filter(is_here).map(|path| (path.clone(), name(&path))).collect()
    }
}

/// A path for messages, the same on every machine: the names of its folder and its file.
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

/// Passes if the report is clean. A replay never passes, as in [`Report::assert_clean`].
fn clean(report: &Report) -> Result<(), Failed> {
    let is_clean = report.exit_code() == 0 && report.replayed.is_none();
    if is_clean { Ok(()) } else { Err(report.to_string().into()) }
}

type FoundSystem = (Rc<dyn AnySystem>, Arc<[u8]>);

fn find_system(
    systems: &[(&'static str, MakeSystem, ReadInput)],
    source: Source<'_>,
) -> Result<FoundSystem, Error> {
    let name = files::system_of(source)?;
    let known = systems.iter().find(|(known, ..)| *known == name);
    let (_, make_system, read_input) = known.ok_or_else(|| files::unknown(source, &name))?;
    Ok((make_system(), read_input()?))
}
