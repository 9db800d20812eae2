//! The runner: cargo starts it with a test program and the words for it, in place of the program.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use crate::cargo::arguments::TestTool;
use crate::cargo::listing::{self, ListedTest};
use crate::cargo::results::{self, Ending, TestResult};
use crate::cargo::settings::{RunnerSettings, VARIABLE, restored};
use crate::cli::output::{Format, print, print_error, say};
use crate::cli::progress::Bar;
use crate::env::PREFIX;
use crate::error::Error;
use crate::exec::functions::{self, Functions};
use crate::exec::order::{OUTPUT_MAX, Order, SentReport};
use crate::exec::start::{ProgramStart, sweep};
use crate::process::test_scope::{HIDDEN, TestProgram};
use crate::report::token::NAME_MAX;
use crate::sweep::settings::Progress;
use crate::trace::hash_bytes;

/// Runs a test program with these words, and returns the exit code that cargo sees.
pub(super) fn run(words: &[OsString], library: &[u8]) -> ExitCode {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from).unwrap_or_default();
    let result = RunnerSettings::read(&folder).and_then(|settings| {
        let (program, words) = words.split_first().ok_or_else(|| {
            Error::new("no test program is named").help("start `cargo mallory test`")
        })?;
        let program = TestBinary::new(Path::new(program));
        Runner { settings, folder, library, program }.run(words)
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_error(None, &error, Format::Text);
            ExitCode::from(2)
        }
    }
}

/// A test program.
struct TestBinary {
    path: PathBuf,
    /// The file's name, which tells it from others.
    file: String,
    /// What people call it: the package, and the target if that has another name.
    name: String,
}

impl TestBinary {
    fn new(path: &Path) -> TestBinary {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = file.rsplit_once('-').map_or(&*file, |(target, _)| target);
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        let is_same = package.is_empty() || package.replace('-', "_") == target.replace('-', "_");
        let name = match (is_same, package.is_empty()) {
            (_, true) => target.to_owned(),
            (true, _) => package,
            (false, _) => format!("{package}::{target}"),
        };
        TestBinary { path: path.to_owned(), file, name }
    }

    /// Whether rustdoc has built it from a code block, in a folder of its own.
    fn is_doctest(&self) -> bool {
        let is_rustdocs = |folder: &OsStr| folder.to_string_lossy().starts_with("rustdoctest");
        self.path.iter().any(is_rustdocs)
    }

    /// The name of a test's sweep, as tokens have it.
    fn sweep_name(&self, test: &str) -> String {
        let whole = format!("{}/{}", self.name, test).replace("::", "/").to_lowercase();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "/_".contains(c) { c } else { '-' };
        let whole: String = whole.chars().map(plain).collect();
        if whole.len() <= NAME_MAX {
            return whole.trim_start_matches(['/', '-', '_']).to_owned();
        }
        let hash = format!("-{:08x}", hash_bytes(format!("{} {test}", self.name).as_bytes()) >> 32);
        let tail = &whole[whole.len() - (NAME_MAX - hash.len())..];
        tail.trim_start_matches(['/', '-', '_']).to_owned() + &hash
    }
}

struct Runner<'a> {
    settings: RunnerSettings,
    folder: PathBuf,
    library: &'a [u8],
    program: TestBinary,
}

impl Runner<'_> {
    fn run(&self, words: &[OsString]) -> Result<u8, Error> {
        if self.program.is_doctest() {
            self.leave(&format!("doctest {}", std::process::id()), Ending::Doctest)?;
            return self.run_unwatched(words);
        }
        if words.iter().any(|word| word == "--list") {
            return self.run_unwatched(words);
        }
        let functions = functions::read(&self.program.path);
        let not_watched = match &functions {
            Err(error) => Some(error.parts().0.to_owned()),
            Ok(Functions { has_libtest: false, .. }) => {
                Some("it has a test harness of its own".to_owned())
            }
            Ok(Functions { allocator: Some(allocator), .. }) => {
                Some(format!("its allocator is {allocator}, whose blocks can't be watched"))
            }
            Ok(_) => None,
        };
        let (Ok(functions), None) = (functions, &not_watched) else {
            let why = not_watched.unwrap_or_default();
            let test = named_exactly(words).unwrap_or_default();
            self.leave(&test, Ending::NotWatched(why))?;
            return match self.settings.tool() {
                TestTool::CargoTest => Ok(0),
                TestTool::Nextest => self.run_unwatched(words),
            };
        };
        match (self.settings.tool(), named_exactly(words)) {
            (TestTool::Nextest, Some(test)) => self.run_one(&test, &functions),
            _ => self.run_all(words, &functions),
        }
    }

    /// Sweeps a test for nextest. The exit code says whether it shows what has to be looked into.
    fn run_one(&self, test: &str, functions: &Functions) -> Result<u8, Error> {
        if !self.is_wanted(test) {
            return Ok(0);
        }
        let report = self.sweep(test, functions);
        let is_wrong =
            report.is_error || report.findings.iter().any(|finding| !finding.is_counted());
        if is_wrong {
            print(&report.text)?;
        }
        self.leave(test, ending(report))?;
        Ok(u8::from(is_wrong))
    }

    /// Sweeps the tests that these words choose. Cargo goes on whatever they show.
    fn run_all(&self, words: &[OsString], functions: &Functions) -> Result<u8, Error> {
        let tests = listing::tests(&|| self.command(), words)?;
        for ListedTest { name, is_ignored } in tests {
            if is_ignored {
                self.leave(&name, Ending::Ignored)?;
            } else if self.is_wanted(&name) {
                self.leave(&name, ending(self.sweep(&name, functions)))?;
            }
        }
        Ok(0)
    }

    /// Whether a test is to be swept: all are, unless one is replayed.
    fn is_wanted(&self, test: &str) -> bool {
        let replayed = self.settings.replay.as_ref();
        replayed.is_none_or(|(_, name)| *name == self.program.sweep_name(test))
    }

    fn sweep(&self, test: &str, functions: &Functions) -> SentReport {
        let settings = &self.settings;
        let words = ["--exact", test, "--include-ignored", "--test-threads=1", "--nocapture"];
        let path = self.program.path.clone().into_os_string();
        let start = ProgramStart {
            file: self.program.path.clone(),
            words: std::iter::once(path).chain(words.map(OsString::from)).collect(),
            variables: self.variables(),
            hidden: self.hidden(),
        };
        let name = self.program.sweep_name(test);
        let order = Order {
            name: name.clone(),
            seed: settings.seed,
            jobs: settings.jobs,
            limit: settings.limit,
            per_stack: settings.per_site,
            asks_per_stack: settings.per_site.is_some(),
            no_faults: settings.no_faults,
            replay: settings.replay.as_ref().map(|(token, _)| token.clone()),
            rerun: settings.rerun.clone(),
            patience: settings.patience,
            output_max: OUTPUT_MAX,
            test: Some(TestProgram {
                test: test.rsplit("::").next().unwrap_or(test).to_owned(),
                ..functions.program.clone()
            }),
            ..Order::default()
        };
        let bar = Bar::start(&name, "runs", settings.draws && std::io::stderr().is_terminal());
        let draw = bar.on_progress();
        let report = sweep(&start, self.library, &order, &mut |done, total| {
            draw(Progress { done, total });
        });
        bar.clear();
        report.unwrap_or_else(|error| SentReport::failed(&name, &error))
    }

    /// Runs the program as if nobody watched, and returns its exit code.
    fn run_unwatched(&self, words: &[OsString]) -> Result<u8, Error> {
        let mut command = self.command();
        command.args(words);
        let status = command.status().map_err(|error| {
            Error::new(format!("cannot start the test program: {error}")).at(self
                .program
                .path
                .display()
                .to_string())
        })?;
        Ok(code_of(status))
    }

    /// The program, unwatched.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program.path);
        for name in self.hidden() {
            command.env_remove(name);
        }
        if let Some((name, value)) = self.runner_before() {
            command.env(name, value);
        }
        command
    }

    /// What the program's environment has, and this one's has not.
    fn variables(&self) -> Vec<(OsString, OsString)> {
        // To print a backtrace takes longer than most tests, and nobody reads it.
        let quiet = ("RUST_BACKTRACE".into(), "0".into());
        self.runner_before().into_iter().chain([quiet]).collect()
    }

    /// What it doesn't have: nothing of ours. A test may start cargo, which is to find no runner.
    fn hidden(&self) -> Vec<OsString> {
        let all = std::env::vars_os().map(|(name, _)| name);
        let ours = all.filter(|name| name.to_string_lossy().starts_with(PREFIX));
        ours.chain([OsString::from(&self.settings.variable)]).collect()
    }

    /// The variable of cargo's runner as the user has set it.
    fn runner_before(&self) -> Option<(OsString, OsString)> {
        let value = restored(self.settings.value_before.as_ref()?);
        Some((OsString::from(&self.settings.variable), value))
    }

    fn leave(&self, test: &str, ending: Ending) -> Result<(), Error> {
        let TestBinary { name, file, .. } = &self.program;
        let result =
            TestResult { program: name.clone(), file: file.clone(), test: test.to_owned(), ending };
        results::write(&self.folder, &result).map_err(|error| {
            say(&format!("{}: its result is lost\n", result.name()));
            Error::new(format!("cannot write the result of a test: {error}"))
                .at(self.folder.display().to_string())
                .help("check the folder's permissions and free space")
        })
    }
}

/// How a test with this report ended.
fn ending(report: SentReport) -> Ending {
    match report.is_error && report.text.contains(HIDDEN) {
        true => Ending::NotWatched(HIDDEN.to_owned()),
        false => Ending::Swept(report),
    }
}

/// The test that nextest names: `--exact NAME`.
fn named_exactly(words: &[OsString]) -> Option<String> {
    let exact = words.iter().position(|word| word == "--exact")?;
    Some(words.get(exact + 1)?.to_string_lossy().into_owned())
}

/// The exit code of a program, as a shell has it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printable::is_plain;

    fn program(name: &str) -> TestBinary {
        TestBinary { path: PathBuf::new(), file: String::new(), name: name.to_owned() }
    }

    #[test]
    fn a_tests_sweep_has_a_name_of_its_own() {
        let fixture = program("fixture");
        assert_eq!(fixture.sweep_name("tests::clean"), "fixture/tests/clean");
        let long = "a_module::with::many::parts::and_a_test_with_a_long_name";
        let names = [fixture.sweep_name(long), program("other").sweep_name(long)];
        assert_ne!(names[0], names[1]);
        for name in &names {
            assert!(name.len() <= NAME_MAX && name.starts_with(|c: char| c.is_alphanumeric()));
            assert!(name.chars().all(is_plain), "{name}");
        }
    }

    #[test]
    fn nextest_names_a_test_exactly() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(named_exactly(&words("--exact a::b --nocapture")), Some("a::b".to_owned()));
        assert_eq!(named_exactly(&words("a --skip b")), None);
    }
}
