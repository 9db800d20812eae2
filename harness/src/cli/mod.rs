//! The command line (feature `cli`): [`main`] turns flags into sweeps, explorations and replays of
//! a user's scenarios, and their results into an exit code.
//!
//! - This file has the commands, and `sweep`, `replay` and `list` themselves. `explore` has
//!   `explore` and `loom`; `scripts` has the commands on script files (`run`, `minimise`, `new`,
//!   `fmt`, `cases`), and `fuzz_setup` the rest of `new`.
//! - `select` finds the scenarios that are named, and `input` reads what `--input` names.
//! - `usage` reads the flags, and says what is wrong with them.
//! - `output` prints reports and errors, and `progress` draws the bar.

#[cfg(feature = "exec")]
pub(crate) mod command_words;
#[cfg(feature = "exec")]
pub(crate) mod exec;
#[cfg(feature = "exec")]
mod exec_tree;
pub(crate) mod explore;
pub(crate) mod fuzz_setup;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod scripts;
pub(crate) mod select;
pub(crate) mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::cli::explore::{ExploreArgs, LoomArgs};
use crate::cli::input::{cores, input_for, own_input};
use crate::cli::output::{Format, print_error, print_report, print_row, table};
use crate::cli::select::{nearest, select};
use crate::env::Env;
use crate::error::Error;
use crate::explore::builder::Explore;
use crate::report::outcome::Strategy;
use crate::report::token::Token;
use crate::scenario::Scenario;
use crate::sweep::builder::Sweep;

/// Tests what programs do when memory runs out: fails every request for memory, one by one.
#[derive(Parser)]
#[command(
    name = "mallory",
    version,
    arg_required_else_help = true,
    after_help = "\
EXIT CODES:
  0    clean, and complete within the limits that were given
  1    findings
  2    a mistake in a flag, token, input, script or variable
  3    incomplete: a default limit was reached
  101  a bug in Mallory

ENVIRONMENT:
  MALLORY_SEED=N                        the seed, like --seed
  MALLORY_JOBS=N                        the number of jobs, like --jobs
  MALLORY_OOM_AFTER=N                   makes one run in which every request after the Nth fails
  MALLORY_REPLAY='v1 …'                 replays a token in the sweep that it names
  MALLORY_HISTOGRAM=1                   reports p50, p90 and p99 of the request sizes
  MALLORY_UPDATE=1                      writes files of allowed call sites (Sweep::allowed) anew
  MALLORY_DISABLE_CUSTOM_ALLOCATORS=1   makes memory parts pass every allocation to their port

EXAMPLES:
  mallory list                          what there is to sweep
  mallory sweep                         sweeps every scenario that is in no group
  mallory sweep cache-rebuild --jobs 1
  mallory explore intern --preemptions 2
  mallory replay 'v1 lfs-batch f=T0#18 fp=5d0e91'
  mallory new first --system lfs-batch  writes a script to start from
  mallory run first.ron                 fails every request of it in turn

`mallory COMMAND --help` explains a command and shows an example of it."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How to print results and errors.
    #[arg(long, value_enum, global = true, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    /// Fails every request for memory of a scenario in turn, once and for good.
    #[command(after_help = "\
EXAMPLES:
  mallory sweep                                every scenario that is in no group
  mallory sweep lfs-batch --limit 500          at most 500 faulted runs
  mallory sweep lfs-batch --format json        one JSON object for CI
  git log --raw --no-abbrev | mallory sweep cache-rebuild --input -")]
    Sweep(SweepArgs),
    /// Fails every request in turn, in every order of the threads up to a bound (shuttle).
    #[command(after_help = "\
EXAMPLES:
  mallory explore intern                       every schedule with at most two preemptions
  mallory explore intern --random 10000        10,000 random schedules of each fault")]
    Explore(ExploreArgs),
    /// Fails every request in turn, in every order of the threads up to a bound, with weak memory
    /// (loom).
    #[command(after_help = "\
EXAMPLE:
  mallory loom racy/publication --preemptions 3")]
    Loom(LoomArgs),
    /// Fails every request for memory of an installed program in turn, in any language.
    #[cfg(feature = "exec")]
    #[command(after_help = "\
EXAMPLES:
  mallory exec -- jq . data.json
  mallory exec --stdin page.html -- xmllint --html -
  mallory exec --no-faults -- ./tests/all       leaks and memory errors of a usual run
  mallory exec --trace-children -- make check   the programs that it starts, too")]
    Exec(exec::ExecArgs),
    /// Replays a token, the last line of a finding, and says whether the finding shows again.
    #[command(after_help = "\
EXAMPLE:
  mallory replay 'v1 lfs-batch f=T0#18 fp=5d0e91'

It prints `reproduced`, `moved to T0#21`, `different finding`, `diverged at …` or `no failure`,
and exits with 1 if there is a finding.")]
    Replay(ReplayArgs),
    /// Runs a script: replays it if it is a case, else injects its faults or sweeps it.
    #[command(after_help = "\
EXAMPLES:
  mallory run first.ron                        a script file
  mallory run case:L-7c1e90d2                  a committed case
  mallory run first.ron --cases cases          writes what it finds into a folder")]
    Run(scripts::RunArgs),
    /// Shrinks a script to the smallest one with the same finding, and prints it.
    #[command(after_help = "\
EXAMPLE:
  mallory minimise long.ron --write")]
    Minimise(scripts::MinimiseArgs),
    /// Writes a first script of a system to start from, or the set-up of a fuzz target.
    #[command(after_help = "\
EXAMPLES:
  mallory new first --system lfs-batch         writes first.ron
  mallory new --fuzz lfs-batch                 writes fuzz/Cargo.toml and a target, for cargo fuzz")]
    New(scripts::NewArgs),
    /// Formats script files.
    #[command(after_help = "\
EXAMPLE:
  mallory fmt --check scripts/*.ron")]
    Fmt(scripts::FmtArgs),
    /// Replays cases, and lists each with its kind, its id, and whether its finding still shows.
    ///
    /// Exits with 1 if a planted bug no longer shows or another one still does, and with 2 if a
    /// case can't be replayed.
    #[command(after_help = "\
EXAMPLE:
  mallory cases scenarios/cases")]
    Cases(scripts::CasesArgs),
    /// Lists scenarios, with what each supports.
    #[command(after_help = "\
EXAMPLE:
  mallory list planted                         the scenarios of a group")]
    List {
        /// Groups or scenarios. Default: all.
        names: Vec<String>,
    },
}

#[derive(Args)]
struct SweepArgs {
    /// Scenarios or groups. Default: every scenario that is in no group.
    names: Vec<String>,
    /// A file that replaces the scenario's own input; - reads standard input.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The seed of all random choices. Default: 0.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Child processes that share the work. Default: one per core. The report is the same for any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// The most faulted runs of a scenario, those of new call sites first.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Makes absorbing a failed request a finding too.
    #[arg(long)]
    strict: bool,
    /// Leaves out the guarded runs without a fault, which find stray reads.
    #[arg(long)]
    quick: bool,
    /// How the faulted runs are made. The report is the same for any.
    #[arg(long, value_enum, default_value_t = StrategyArg::Auto)]
    strategy: StrategyArg,
    /// Continues a sweep that was killed.
    #[arg(long)]
    resume: bool,
    /// The folder of the journal, which `--resume` reads: sweeps of one scenario at the same time need
    /// one each. Default: target/mallory.
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
}

#[derive(Args)]
struct ReplayArgs {
    /// The token, in quotes.
    token: String,
    /// The input that the token was made with, if it was not the scenario's own.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StrategyArg {
    /// The faster of the two, by a trial of a few runs.
    Auto,
    /// Each run from the beginning, in worker processes.
    Rerun,
    /// Each run forked off one pass through the subject.
    Fork,
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Strategy {
        match strategy {
            StrategyArg::Auto => Strategy::Auto,
            StrategyArg::Rerun => Strategy::Rerun,
            StrategyArg::Fork => Strategy::Fork,
        }
    }
}

/// Runs the command line of a program with these scenarios, and returns its exit code. Flags, exit
/// codes and variables are explained by `--help`.
///
/// Errors go to standard error, results to standard output.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     mallory::cli::main(&[mallory::Scenario::new("nothing", "requests nothing", |sweep| {
///         sweep.run(|_| Ok::<_, mallory::Refused>(()))
///     })])
/// }
/// ```
#[must_use]
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    main_with(scenarios, &[])
}

/// As [`main`], with the library that `exec` preloads into programs (the crate `mallory-preload`).
#[cfg(feature = "exec")]
#[must_use]
pub fn main_with_exec(scenarios: &[Scenario], library: &[u8]) -> ExitCode {
    main_with(scenarios, library)
}

fn main_with(scenarios: &[Scenario], library: &[u8]) -> ExitCode {
    #[cfg(not(feature = "exec"))]
    let _ = library;
    crate::script::case::in_command_line();
    let words: Vec<_> = std::env::args_os().collect();
    let Cli { command, format } = match usage::parse(&words) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    // Each builder reads the variables too; a wrong one is said once, also by what has no builder.
    let result = Env::read().and_then(|_| match command {
        Command::Sweep(args) => sweep(scenarios, &args, format),
        Command::Explore(args) => explore::explore(scenarios, &args, format),
        Command::Loom(args) => explore::loom(scenarios, &args, format),
        #[cfg(feature = "exec")]
        Command::Exec(args) => exec::exec(&args, library, format),
        Command::Replay(args) => replay(scenarios, &args, format),
        Command::Run(args) => scripts::run(scenarios, &args, format),
        Command::Minimise(args) => scripts::minimise(scenarios, &args, format),
        Command::New(args) => scripts::new(scenarios, &args, format),
        Command::Fmt(args) => scripts::fmt(scenarios, &args, format),
        Command::Cases(args) => scripts::cases(scenarios, &args, format),
        Command::List { names } => list(scenarios, &names, format),
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_error(None, &error, format);
            ExitCode::from(2)
        }
    }
}

fn sweep(scenarios: &[Scenario], args: &SweepArgs, format: Format) -> Result<u8, Error> {
    let selected = select(scenarios, &args.names, Scenario::can_sweep, "swept")?;
    let input = input_for(args.input.as_deref(), &selected)?;
    let folder = args.journal.clone().unwrap_or_else(journal_folder);
    let start = |name: &str| {
        let sweep =
            Sweep::new(name.to_owned()).jobs_unless_set(args.jobs.map(usize::from), cores());
        args.seed.into_iter().fold(sweep, Sweep::seed)
    };
    let seed = start("seed").seed_value();
    table("sweep", &selected, format, seed, |scenario, bar| {
        let mut sweep = start(&scenario.name)
            .strategy(args.strategy.into())
            .journal(&folder, args.resume)
            .on_progress(bar.on_progress());
        if let Some(limit) = args.limit {
            sweep = sweep.limit(limit);
        }
        if args.strict {
            sweep = sweep.strict();
        }
        scenario.run(sweep, own_input(scenario, input.as_ref()))
    })
}

fn replay(scenarios: &[Scenario], args: &ReplayArgs, format: Format) -> Result<u8, Error> {
    let token: Token = args.token.parse()?;
    let scenario = scenarios.iter().find(|scenario| scenario.name == token.scenario());
    let scenario = scenario.ok_or_else(|| {
        Error::new(format!("there is no scenario `{}`", token.scenario())).help(
            nearest(scenarios, token.scenario()) + "; was it renamed, or does it need a feature?",
        )
    })?;
    let input = input_for(args.input.as_deref(), &[scenario])?;
    let input = own_input(scenario, input.as_ref());
    let report = if token.explores() {
        scenario.explored(Explore::new(scenario.name.clone()).jobs(cores()).replay(token), input)
    } else {
        scenario.run(Sweep::new(scenario.name.clone()).replay(token), input)
    };
    print_report(&report, "replay", format)?;
    Ok(report.exit_code())
}

/// A scenario in a list.
#[derive(Serialize)]
struct ListedScenario<'a> {
    scenario: &'a str,
    about: &'a str,
    sweeps: bool,
    explores: bool,
    reads_input: bool,
}

fn list(scenarios: &[Scenario], names: &[String], format: Format) -> Result<u8, Error> {
    let selected = match names {
        [] => scenarios.iter().collect(),
        names => select(scenarios, names, |_| true, "known")?,
    };
    let width = selected.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for scenario in selected {
        let explores = match (scenario.can_sweep(), scenario.can_explore()) {
            (true, true) => Some("sweep and explore"),
            (false, true) => Some("explore"),
            _ => None,
        };
        let input = scenario.input.is_some().then_some("reads --input");
        let can: Vec<&str> = explores.into_iter().chain(input).collect();
        let can = if can.is_empty() { String::new() } else { format!(" ({})", can.join("; ")) };
        let json = ListedScenario {
            scenario: &scenario.name,
            about: scenario.about(),
            sweeps: scenario.can_sweep(),
            explores: scenario.can_explore(),
            reads_input: scenario.input.is_some(),
        };
        let text = format!("{:<width$}  {}{can}\n", scenario.name, scenario.about());
        print_row(&text, &json, "list", format)?;
    }
    Ok(0)
}

/// The folder of journals: `target/mallory`, in the build folder of this program or the current
/// folder.
fn journal_folder() -> PathBuf {
    build_folder().unwrap_or_else(|| PathBuf::from("target")).join("mallory")
}

/// The build folder that this program is in.
fn build_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let is_target = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    program.ancestors().find(is_target).map(Path::to_owned)
}
