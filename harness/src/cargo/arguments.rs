//! The words behind `cargo mallory`. Our own flags may stand anywhere before `--`; all other words are
//! for cargo, and those behind `--` for the tests.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cli::output::Format;
use crate::cli::usage;

/// Fails every request for memory of every test of a crate, one by one. Nothing is changed or rebuilt.
#[derive(Parser)]
#[command(
    name = "cargo mallory",
    bin_name = "cargo mallory",
    version,
    arg_required_else_help = true,
    override_usage = "cargo mallory test|nextest [OPTIONS] [CARGO ARGS]... [-- TESTS]...",
    after_help = "\
EXIT CODES:
  0    clean, and complete within the limits that were given
  1    findings
  2    a mistake: in a flag, a test that fails without any fault, or no test at all
  3    incomplete: a default limit was reached, or some tests can't be watched

EXAMPLES:
  cargo mallory test                       every test of the package
  cargo mallory test --no-faults           leaks and memory errors while there is memory
  cargo mallory test --lib -- parser::     the unit tests of a module
  cargo mallory test --limit 100           at most 100 faulted runs of each test
  cargo mallory nextest -p core -j 8       the tests as cargo nextest runs them
  cargo mallory test --allowed aborts.txt  accepts the aborts in this file (MALLORY_UPDATE=1 writes it)

Each test has a line in the table at the end. Its requests are those of its own code and of the threads \
that it starts: what libtest and the standard library need to start threads and to print is left out. \
A test passes its sweep if it passes or fails cleanly whichever request fails. Code that doesn't handle \
a refused request aborts; those aborts are counted by the crate that asked. Doctests are run, and not \
swept. Options of cargo's and those of ours may be mixed; `--jobs` is ours, and `-j` is cargo's."
)]
struct CargoCli {
    #[command(subcommand)]
    command: CargoCommand,
}

#[derive(Subcommand)]
enum CargoCommand {
    /// Runs the tests by `cargo test`: one test after the other, whose runs share the cores.
    Test(CargoOptions),
    /// Runs the tests by `cargo nextest run`: several tests at the same time.
    Nextest(CargoOptions),
}

/// Our own flags.
#[derive(Args, Clone, Debug, Default)]
#[command(override_usage = "cargo mallory test|nextest [OPTIONS] [CARGO ARGS]... [-- TESTS]...")]
pub(super) struct CargoOptions {
    /// Makes nothing fail: shows what the tests do wrong while there is memory.
    #[arg(long)]
    pub(super) no_faults: bool,
    /// The most faulted runs of each test, those of new call stacks first.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// The most requests of each call stack that are made to fail. Default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) per_site: Option<u64>,
    /// The seed of all random choices. Default: 0.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Child processes that share the work of a test. Default: one per core, with nextest one. The report
    /// is the same for any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// How many seconds a run may go without asking for memory before it counts as hung.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: Option<u64>,
    /// Accepts the aborts whose call sites are in this file. MALLORY_UPDATE=1 writes it.
    #[arg(long, value_name = "FILE")]
    pub(super) allowed: Option<PathBuf>,
    /// How to print results and errors: json prints a line for each test, and one for all.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Also writes the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Replays this token instead, in the test that it names.
    #[arg(long, value_name = "TOKEN")]
    pub(super) replay: Option<String>,
}

/// By what the tests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TestTool {
    CargoTest,
    Nextest,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct CargoArguments {
    pub(super) tool: TestTool,
    pub(super) options: CargoOptions,
    /// The words for cargo, before `--`.
    pub(super) cargo: Vec<OsString>,
    /// The words for the tests, behind it.
    pub(super) tests: Vec<OsString>,
}

/// Reads the words behind `cargo mallory`; or, if there is nothing to run, returns the exit code. What
/// there is to say is printed.
pub(super) fn parse(words: &[OsString]) -> Result<CargoArguments, u8> {
    let name = words.first().filter(|word| *word == "test" || *word == "nextest");
    let (own, mut cargo, tests) = match name {
        Some(_) => split(&words[1..]),
        // It is help, or a mistake.
        None => (words.to_vec(), Vec::new(), Vec::new()),
    };
    let program = [OsString::from("cargo mallory")];
    let all: Vec<OsString> = program.into_iter().chain(name.cloned()).chain(own).collect();
    let (tool, options) = match usage::parse::<CargoCli>(&all)?.command {
        CargoCommand::Test(options) => (TestTool::CargoTest, options),
        CargoCommand::Nextest(options) => (TestTool::Nextest, options),
    };
    if tool == TestTool::Nextest && cargo.first().is_some_and(|word| word == "run") {
        cargo.remove(0);
    }
    Ok(CargoArguments { tool, options, cargo, tests })
}

/// The words that are ours, those that are cargo's, and those behind `--`.
fn split(words: &[OsString]) -> (Vec<OsString>, Vec<OsString>, Vec<OsString>) {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let tests = words.get(end + 1..).unwrap_or_default().to_vec();
    let (mut own, mut cargo) = (Vec::new(), Vec::new());
    let mut rest = words[..end].iter();
    while let Some(word) = rest.next() {
        match takes_value(&word.to_string_lossy()) {
            None => cargo.push(word.clone()),
            Some(takes_value) => {
                own.push(word.clone());
                if takes_value {
                    own.extend(rest.next().cloned());
                }
            }
        }
    }
    (own, cargo, tests)
}

/// Whether a word is one of our flags, and if so, whether its value is the next word.
fn takes_value(word: &str) -> Option<bool> {
    if ["--help", "-h"].contains(&word) {
        return Some(false);
    }
    let (name, value) = match word.strip_prefix("--")?.split_once('=') {
        Some((name, _)) => (name, true),
        None => (word.strip_prefix("--")?, false),
    };
    let cli = CargoCli::command();
    let test = cli.find_subcommand("test")?;
    let flag = test.get_arguments().find(|flag| flag.get_long() == Some(name))?;
    Some(flag.get_action().takes_values() && !value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn our_flags_may_stand_among_cargos() {
        let text = "test --lib --limit 5 -p core name --seed=9 --no-faults --release -- --exact a";
        let read = parse(&words(text)).expect("read");
        assert_eq!(read.tool, TestTool::CargoTest);
        assert_eq!((read.options.limit, read.options.seed), (Some(5), Some(9)));
        assert!(read.options.no_faults);
        assert_eq!(read.cargo, words("--lib -p core name --release"));
        assert_eq!(read.tests, words("--exact a"));
    }

    #[test]
    fn what_nextest_calls_run_may_be_named() {
        let read = parse(&words("nextest run -p core")).expect("read");
        assert_eq!((read.tool, read.cargo), (TestTool::Nextest, words("-p core")));
        // Behind `--` nothing is ours.
        let read = parse(&words("nextest -- --limit 3")).expect("read");
        assert_eq!((read.options.limit, read.tests), (None, words("--limit 3")));
    }

    #[test]
    fn a_mistake_is_an_exit_code() {
        for text in ["tset", "test --limit 0", "test --limit", "test --format xml", ""] {
            assert_eq!(parse(&words(text)).err(), Some(2), "{text}");
        }
        assert_eq!(parse(&words("--help")).err(), Some(0));
        assert_eq!(parse(&words("test --help")).err(), Some(0));
    }
}
