//! What the user waits for: it starts cargo with our runner, and prints what the runners have left.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::cargo::RUNNER;
use crate::cargo::allowed_aborts::AllowedAborts;
use crate::cargo::arguments::{CargoArguments, CargoOptions, TestTool};
use crate::cargo::results::{self, Ending, TestResult};
use crate::cargo::settings::{RunnerSettings, VARIABLE, lossless};
use crate::cargo::summary::TestSummary;
use crate::cargo::{json, junit};
use crate::cli::command_words::quoted;
use crate::cli::input::cores;
use crate::cli::output::{Format, print, say};
use crate::env::Env;
use crate::error::Error;
use crate::report::token::Token;

/// The exit status of nextest where tests failed, and where there were none.
const NEXTEST_FAILED: i32 = 100;
const NEXTEST_NO_TESTS: i32 = 4;

/// Runs cargo, and prints what the tests have shown. Returns the exit code.
///
/// # Errors
/// There is no crate, cargo fails, or no test was run.
pub(super) fn run(arguments: &CargoArguments, env: &Env) -> Result<u8, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let replayed = replayed(&arguments.options, env)?;
    find_crate(&cargo, &arguments.cargo)?;
    if arguments.tool == TestTool::Nextest {
        find_nextest(&cargo)?;
    }
    let variable = runner_variable(&target(&cargo, &arguments.cargo)?);
    let folder = ResultsFolder::new()?;
    let settings = settings(arguments, env, replayed, variable);
    settings.write(&folder.0).map_err(|error| cannot("write the settings", &error))?;
    let status = run_cargo(&cargo, arguments, &settings, &folder.0)?;
    let results = results::read_all(&folder.0);
    drop(folder);
    if results.iter().all(|result| matches!(result.ending, Ending::Doctest | Ending::Ignored)) {
        return Err(nothing_ran(arguments, &settings, &status, &results));
    }
    let mut allowed = AllowedAborts::read(arguments.options.allowed.as_deref(), env.update)?;
    let mut summary = TestSummary::of(&results, &mut allowed);
    summary.is_whole = arguments.cargo.is_empty()
        && arguments.tests.is_empty()
        && settings.limit.is_none()
        && settings.per_site.is_none()
        && !settings.no_faults
        && settings.replay.is_none();
    summary.cargo_failed = has_failed(arguments.tool, &status).then(|| said_of(&status));
    allowed.write(summary.is_whole)?;
    if let Some(path) = &arguments.options.junit {
        let text = junit::document(&results, &summary);
        std::fs::write(path, text).map_err(|error| {
            cannot("write the JUnit file", &error).at(path.display().to_string())
        })?;
    }
    match arguments.options.format {
        Format::Text => {
            print(&summary.text(&results, &allowed, &settings))?;
            say(&summary.errors(&results));
        }
        Format::Json => {
            print(&json::lines(&results, &summary, settings.seed))?;
        }
    }
    Ok(summary.exit_code())
}

/// The token to replay and the name of its sweep, if one is to be replayed.
fn replayed(options: &CargoOptions, env: &Env) -> Result<Option<(String, String)>, Error> {
    let token: Option<Token> = match &options.replay {
        Some(text) => Some(text.parse().map_err(|error: Error| error.within("--replay"))?),
        None => env.replay.clone(),
    };
    Ok(token.map(|token| (token.to_string(), token.scenario().to_owned())))
}

/// What the runners are told.
fn settings(
    arguments: &CargoArguments,
    env: &Env,
    replay: Option<(String, String)>,
    variable: String,
) -> RunnerSettings {
    let options = &arguments.options;
    let is_nextest = arguments.tool == TestTool::Nextest;
    let jobs = options.jobs.map(usize::from).or(env.jobs);
    let name = if is_nextest { "cargo mallory nextest" } else { "cargo mallory test" };
    let words = |words: &[OsString]| -> String {
        words.iter().map(|word| format!(" {}", quoted(&word.to_string_lossy()))).collect()
    };
    let behind = match arguments.tests.is_empty() {
        true => String::new(),
        false => format!("--{}", words(&arguments.tests)),
    };
    RunnerSettings {
        is_nextest,
        no_faults: options.no_faults,
        limit: options.limit,
        per_site: options.per_site,
        seed: options.seed.or(env.seed).unwrap_or(0),
        jobs: jobs.unwrap_or_else(|| if is_nextest { 1 } else { cores() }),
        patience: options.timeout.map(|seconds| seconds * 1000),
        replay,
        rerun: (name.to_owned() + &words(&arguments.cargo), behind),
        draws: !is_nextest && options.format == Format::Text,
        value_before: std::env::var_os(&variable).map(|value| lossless(&value)),
        variable,
    }
}

/// A folder for settings and results. It is removed when this is dropped.
struct ResultsFolder(PathBuf);

impl ResultsFolder {
    /// # Errors
    /// The system refuses a folder.
    fn new() -> Result<ResultsFolder, Error> {
        let made = (0..1000).find_map(|nth| {
            let path = format!("mallory-cargo-{}-{nth}", std::process::id());
            let path = std::env::temp_dir().join(path);
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                made => Some(made.map(|()| ResultsFolder(path))),
            }
        });
        let made = made.unwrap_or_else(|| Err(io::Error::other("its names are all taken")));
        let folder = made.map_err(|error| cannot("make a folder for results", &error))?;
        // Cargo splits the variable at spaces, which the path of this program may have.
        let own = std::env::current_exe();
        own.and_then(|own| std::os::unix::fs::symlink(own, folder.runner()))
            .and_then(|()| results::prepare(&folder.0))
            .map_err(|error| cannot("prepare the folder for results", &error))?;
        Ok(folder)
    }

    fn runner(&self) -> PathBuf {
        self.0.join("runner")
    }
}

impl Drop for ResultsFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cannot(what: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot {what}: {error}"))
        .help("check the folder's permissions and free space")
}

/// Starts cargo and waits for it. What it prints goes to standard error: standard output is ours.
fn run_cargo(
    cargo: &OsString,
    arguments: &CargoArguments,
    settings: &RunnerSettings,
    folder: &Path,
) -> Result<ExitStatus, Error> {
    let mut command = Command::new(cargo);
    match arguments.tool {
        TestTool::CargoTest => command.arg("test"),
        TestTool::Nextest => command.args(["nextest", "run"]),
    };
    command.args(&arguments.cargo);
    let is_fast = |word: &OsString| {
        let word = word.to_string_lossy();
        word.contains("fail-fast") || word.starts_with("--max-fail")
    };
    if arguments.tool == TestTool::Nextest && !arguments.cargo.iter().any(is_fast) {
        command.arg("--no-fail-fast");
    }
    if !arguments.tests.is_empty() {
        command.arg("--").args(&arguments.tests);
    }
    let mut runner = folder.join("runner").into_os_string();
    runner.push(" ");
    runner.push(RUNNER);
    command.env(&settings.variable, runner).env(VARIABLE, folder);
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    command.stdin(Stdio::null()).stdout(stderr.map_or_else(|_| Stdio::null(), Stdio::from));
    command.status().map_err(|error| cannot("start cargo", &error))
}

/// Whether cargo has failed for another reason than what the tests show.
fn has_failed(tool: TestTool, status: &ExitStatus) -> bool {
    let is_expected = tool == TestTool::Nextest && status.code() == Some(NEXTEST_FAILED);
    !status.success() && !is_expected
}

fn said_of(status: &ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => "a signal".to_owned(),
    }
}

/// The mistake behind a command that ran no test.
fn nothing_ran(
    arguments: &CargoArguments,
    settings: &RunnerSettings,
    status: &ExitStatus,
    results: &[TestResult],
) -> Error {
    let name = if settings.is_nextest { "cargo nextest run" } else { "cargo test" };
    let no_tests = arguments.tool == TestTool::Nextest && status.code() == Some(NEXTEST_NO_TESTS);
    if !status.success() && !no_tests {
        return Error::new(format!("`{name}` ended with {}, before any test ran", said_of(status)))
            .help("what it says above is about the crate; it has to build and to test as it is");
    }
    if let Some((_, sweep)) = &settings.replay {
        return Error::new(format!("no test is named as in the token: `{sweep}`"))
            .help("was it renamed, or is it of another package or feature?");
    }
    let ignored = results.iter().filter(|result| matches!(result.ending, Ending::Ignored)).count();
    let error = Error::new("no test was selected");
    match ignored {
        0 => error.help("does the crate have tests, and do the names behind `--` match some?"),
        _ => error.help("all that match are ignored; `-- --ignored` runs those"),
    }
}

/// Makes sure that there is a crate.
fn find_crate(cargo: &OsString, words: &[OsString]) -> Result<(), Error> {
    let mut command = Command::new(cargo);
    command.args(["locate-project", "--message-format", "plain"]);
    if let Some(path) = value_of("--manifest-path", words) {
        command.arg("--manifest-path").arg(path);
    }
    let output = command.output().map_err(|error| cannot("start cargo", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default();
    Err(Error::new(said.strip_prefix("error: ").unwrap_or(said))
        .help("go into the folder of a crate, or name one by --manifest-path"))
}

/// Makes sure that nextest is installed.
fn find_nextest(cargo: &OsString) -> Result<(), Error> {
    let output = Command::new(cargo).args(["nextest", "--version"]).output();
    match output.map_err(|error| cannot("start cargo", &error))?.status.success() {
        true => Ok(()),
        false => Err(Error::new("cargo-nextest is not installed")
            .help("`cargo install cargo-nextest --locked`, or use `cargo mallory test`")),
    }
}

/// The value of a flag of cargo's.
fn value_of(flag: &str, words: &[OsString]) -> Option<OsString> {
    let with_value = format!("{flag}=");
    words.iter().enumerate().find_map(|(nth, word)| {
        if word == flag {
            return words.get(nth + 1).cloned();
        }
        word.to_str()?.strip_prefix(&with_value).map(OsString::from)
    })
}

/// The triple for which the tests are built: this machine's, unless the user names another one.
fn target(cargo: &OsString, words: &[OsString]) -> Result<String, Error> {
    let named = value_of("--target", words).or_else(|| std::env::var_os("CARGO_BUILD_TARGET"));
    if let Some(named) = named {
        return Ok(named.to_string_lossy().into_owned());
    }
    let output = Command::new(cargo).arg("-vV").output();
    let output = output.map_err(|error| cannot("start cargo", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Error::new("cargo doesn't say for which machine it builds").at("cargo -vV"))
}

/// The variable by which cargo finds its runner for a target.
fn runner_variable(target: &str) -> String {
    let upper = target.to_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{upper}_RUNNER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_cargos_has_its_value_behind_it_or_in_it() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (text, value) in [
            ("--lib --target a-b", Some("a-b")),
            ("--target=a-b", Some("a-b")),
            ("--target-dir x", None),
            ("--target", None),
        ] {
            assert_eq!(value_of("--target", &words(text)), value.map(OsString::from), "{text}");
        }
        let variable = runner_variable("x86_64-unknown-linux-gnu");
        assert_eq!(variable, "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
    }
}
