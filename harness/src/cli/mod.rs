//! The command line: flags to calls to an exit code. A user's own binary is one line of it.

pub(crate) mod explore;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod scripts;
pub(crate) mod select;

use crate::cli::input::{cores, input_for, own_input};
use crate::cli::output::{Format, print, print_json, table};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::explore::{ExploreArgs, LoomArgs};
use crate::cli::select::select;
use crate::error::Error;
use crate::explore::builder::Explore;
use crate::report::outcome::Strategy;
use crate::report::token::Token;
use crate::scenario::Scenario;
use crate::sweep::builder::Sweep;

/// Fails every memory request of the scenarios, one by one, and reports what that shows.
#[derive(Parser)]
#[command(
    name = "mallory",
    version,
    arg_required_else_help = true,
    after_help = "\
EXIT CODES:
  0    clean, and complete within the bounds that were asked for
  1    findings
  2    a mistake of the caller's: flag, token, input, script, variable
  3    incomplete without being asked: a default limit was hit
  101  a bug of Mallory's own

ENVIRONMENT:
  MALLORY_SEED=N                        the seed, like --seed
  MALLORY_JOBS=N                        the number of jobs, like --jobs
  MALLORY_OOM_AFTER=N                   one run in which every request after the Nth fails
  MALLORY_REPLAY='v1 …'                 replays a token in the sweep that it names
  MALLORY_HISTOGRAM=1                   reports p50, p90 and p99 of the request sizes
  MALLORY_DISABLE_CUSTOM_ALLOCATORS=1   memory parts pass every allocation to their port

EXAMPLES:
  mallory sweep                         every scenario that is in no group
  mallory sweep cache-rebuild --jobs 1
  git log --raw --no-abbrev | mallory sweep cache-rebuild --input -
  mallory explore intern --preemptions 2
  mallory replay 'v1 lfs-batch f=T0#18 fp=5d0e91'
  mallory new first --system lfs-batch  a script to start from
  mallory run first.ron                 every request of it in turn"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fails every request in turn, once and for good.
    Sweep(SweepArgs),
    /// Fails every request in turn, in every order of the threads that a bound permits.
    Explore(ExploreArgs),
    /// The same by loom, which knows weak memory.
    Loom(LoomArgs),
    /// Runs one line of a report again and says what became of it.
    Replay(ReplayArgs),
    /// Runs a script: a case as it was found, else what its faults say, or every request in turn.
    Run(scripts::RunArgs),
    /// Makes a script that shows something as small as it gets, and prints it.
    Minimise(scripts::MinimiseArgs),
    /// Writes a first script to start from.
    New(scripts::NewArgs),
    /// Prints scripts back into their files in the one way that all are printed.
    Fmt(scripts::FmtArgs),
    /// Lists cases: kind, id, and whether they are still to be seen.
    ///
    /// Exits with 1 where a planted one is gone or another one is still there, with 2 where one can't
    /// be played.
    Cases(scripts::CasesArgs),
    /// Lists the scenarios.
    List {
        /// Only this group, or this scenario.
        names: Vec<String>,
    },
}

#[derive(Args)]
struct SweepArgs {
    /// Scenarios or groups; all that are in no group unless given.
    names: Vec<String>,
    /// A file to read in place of the scenario's own input; - reads standard input.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The one number that all chance comes from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Children that share the work; all cores unless given. The report is the same for any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Faulted runs of a scenario at the most, new call sites first.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Absorbing a failed request is a finding too.
    #[arg(long)]
    strict: bool,
    /// How to come to each point. The report is the same for any.
    #[arg(long, value_enum, default_value_t = StrategyArg::Auto)]
    strategy: StrategyArg,
    /// Goes on where a killed sweep was.
    #[arg(long)]
    resume: bool,
    /// How to print the reports.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Args)]
struct ReplayArgs {
    /// The token, in quotes.
    token: String,
    /// The input that the token was made on, where it was not the scenario's own.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StrategyArg {
    /// The faster of the two, as a few points tell.
    Auto,
    /// Each point from the beginning, in workers.
    Rerun,
    /// Each point forked off one pass through the subject.
    Fork,
}

impl From<StrategyArg> for Strategy {
    fn from(way: StrategyArg) -> Strategy {
        match way {
            StrategyArg::Auto => Strategy::Auto,
            StrategyArg::Rerun => Strategy::Rerun,
            StrategyArg::Fork => Strategy::Fork,
        }
    }
}

/// Runs the command line over these scenarios.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     mallory::cli::main(&[mallory::Scenario::new("nothing", "asks for nothing", |sweep| {
///         sweep.run(|_| Ok::<_, mallory::Refused>(()))
///     })])
/// }
/// ```
#[must_use]
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    crate::script::case::in_command_line();
    let done = match Cli::parse().command {
        Command::Sweep(args) => sweep(scenarios, &args),
        Command::Explore(args) => explore::explore(scenarios, &args),
        Command::Loom(args) => explore::loom(scenarios, &args),
        Command::Replay(args) => replay(scenarios, &args),
        Command::Run(args) => scripts::run(scenarios, &args),
        Command::Minimise(args) => scripts::minimise(scenarios, &args),
        Command::New(args) => scripts::new(scenarios, &args),
        Command::Fmt(args) => scripts::fmt(scenarios, &args),
        Command::Cases(args) => scripts::cases(scenarios, &args),
        Command::List { names } => list(scenarios, &names),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn sweep(scenarios: &[Scenario], args: &SweepArgs) -> Result<u8, Error> {
    let selected = select(scenarios, &args.names, Scenario::can_sweep, "swept")?;
    let input = input_for(args.input.as_deref(), &selected)?;
    let folder = journal_folder();
    let start = |name: &str| {
        let sweep =
            Sweep::new(name.to_owned()).jobs_unless_set(args.jobs.map(usize::from), cores());
        args.seed.into_iter().fold(sweep, Sweep::seed)
    };
    let seed = start("seed").seed_value();
    table("sweep", &selected, args.format, seed, |scenario, bar| {
        let mut sweep = start(&scenario.name)
            .strategy(args.strategy.into())
            .journal(&folder, args.resume)
            .on_progress(bar.hearer());
        if let Some(limit) = args.limit {
            sweep = sweep.limit(limit);
        }
        if args.strict {
            sweep = sweep.strict();
        }
        scenario.run(sweep, own_input(scenario, input.as_ref()))
    })
}

fn replay(scenarios: &[Scenario], args: &ReplayArgs) -> Result<u8, Error> {
    let token: Token = args.token.parse()?;
    let scenario = scenarios.iter().find(|scenario| scenario.name == token.scenario());
    let scenario = scenario.ok_or_else(|| {
        Error::new(format!("there is no scenario `{}`", token.scenario()))
            .help("`list` shows them; was it renamed, or is a feature off?")
    })?;
    let input = input_for(args.input.as_deref(), &[scenario])?;
    let input = own_input(scenario, input.as_ref());
    let report = if token.explores() {
        scenario.explored(Explore::new(scenario.name.clone()).jobs(cores()).replay(token), input)
    } else {
        scenario.run(Sweep::new(scenario.name.clone()).replay(token), input)
    };
    match args.format {
        Format::Text if report.error().is_none() => print(&report.to_string())?,
        Format::Text => eprint!("{}", report.details()),
        Format::Json => print_json(&report, "replay")?,
    }
    Ok(report.exit_code())
}

fn list(scenarios: &[Scenario], names: &[String]) -> Result<u8, Error> {
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
        print(&format!("{:<width$}  {}{can}\n", scenario.name, scenario.about()))?;
    }
    Ok(0)
}

/// `target/mallory` of the build that this program belongs to, or of the current folder.
fn journal_folder() -> PathBuf {
    let by_program = std::env::current_exe().ok().and_then(|program| {
        let is_target = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
        program.ancestors().find(is_target).map(Path::to_owned)
    });
    by_program.unwrap_or_else(|| PathBuf::from("target")).join("mallory")
}
