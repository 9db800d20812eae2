//! `explore` and `loom`: every failing request in every order of threads.

use std::path::PathBuf;

use clap::Args;

use crate::cli::input::{cores, input_for, own_input};
use crate::cli::output::{Format, table};
use crate::cli::select;
use crate::error::Error;
use crate::explore::builder::Explore;
use crate::host::Engine;
use crate::scenario::Scenario;

#[derive(Args)]
pub(crate) struct LoomArgs {
    /// Scenarios or groups; all that are in no group unless given.
    names: Vec<String>,
    /// Changes of threads, where the first could have gone on, in a schedule at the most.
    #[arg(long, value_name = "K", default_value_t = 2)]
    preemptions: u32,
    /// Schedules of each fault at the most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    schedules: Option<u64>,
    /// Faulted runs of a scenario at the most: a sample by the seed where there are more.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The one number that all chance comes from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Children that share the work; all cores unless given. The report is the same for any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// A file to read in place of the scenario's own input; - reads standard input.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Absorbing a failed request is a finding too.
    #[arg(long)]
    strict: bool,
    /// How to print the reports.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    common: LoomArgs,
    /// So many schedules of each fault by chance instead of all within the bound.
    #[arg(long, value_name = "N", conflicts_with = "pct")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    random: Option<u64>,
    /// So many schedules by random priorities that change twice.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pct: Option<u64>,
}

/// Priorities change so often, and once less: finds what needs three things in order.
const DEPTH: u32 = 3;

pub(crate) fn explore(scenarios: &[Scenario], args: &ExploreArgs) -> Result<u8, Error> {
    run(scenarios, &args.common, Engine::Shuttle, &|explore| match (args.random, args.pct) {
        (Some(schedules), _) => explore.random(schedules),
        (None, Some(schedules)) => explore.pct(DEPTH, schedules),
        (None, None) => explore,
    })
}

pub(crate) fn loom(scenarios: &[Scenario], args: &LoomArgs) -> Result<u8, Error> {
    run(scenarios, args, Engine::Loom, &|explore| explore)
}

fn run(
    scenarios: &[Scenario],
    args: &LoomArgs,
    engine: Engine,
    way: &dyn Fn(Explore) -> Explore,
) -> Result<u8, Error> {
    if !engine.is_available() {
        return Err(engine.missing());
    }
    let selected = select(scenarios, &args.names, Scenario::can_explore, "explored")?;
    let input = input_for(args.input.as_deref(), &selected)?;
    let start = |name: &str| {
        let explore = Explore::new(name.to_owned())
            .jobs_unless_set(args.jobs.map(usize::from), cores())
            .engine(engine)
            .preemptions(args.preemptions);
        args.seed.into_iter().fold(explore, Explore::seed)
    };
    let command = if engine == Engine::Loom { "loom" } else { "explore" };
    let seed = start("seed").seed_value();
    table(command, &selected, args.format, seed, |scenario, bar| {
        let mut explore = way(start(&scenario.name)).on_progress(bar.hearer());
        if let Some(schedules) = args.schedules {
            explore = explore.schedules(schedules);
        }
        if let Some(limit) = args.limit {
            explore = explore.limit(limit);
        }
        if args.strict {
            explore = explore.strict();
        }
        scenario.explored(explore, own_input(scenario, input.as_ref()))
    })
}
