//! The commands `explore` and `loom`: every request fails in turn, in every schedule up to a bound.

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
    /// Scenarios or groups. Default: every scenario that is in no group.
    names: Vec<String>,
    /// Runs all schedules with at most K preemptions, and no others: switches away from a thread that
    /// could continue. Default: all with two, and others from searches that reach further (loom: 2).
    #[arg(long, value_name = "K")]
    preemptions: Option<u32>,
    /// Runs all schedules.
    #[arg(long, conflicts_with = "preemptions")]
    unbounded: bool,
    /// The most schedules of each fault. If there are more, the verdict is "incomplete". Loom then runs as
    /// many again with fewer preemptions, and says up to how many all were run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    schedules: Option<u64>,
    /// The most faulted runs of a scenario. If there are more, a random sample is run (loom: of the
    /// faults, each in schedules with few preemptions first).
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The seed of all random choices. Default: 0.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Child processes that share the work. Default: one per core. The report is the same for any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// A file that replaces the scenario's own input; - reads standard input.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Makes absorbing a failed request a finding too.
    #[arg(long)]
    strict: bool,
    /// Ends each search, without a fault and of each fault, with its first finding.
    #[arg(long)]
    stop_at_first: bool,
}

#[derive(Args)]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    common: LoomArgs,
    /// Runs all schedules with at most K deviations from the default one, in which each thread runs
    /// until it has to wait. Reaches further than --preemptions where there are many threads.
    #[arg(long, value_name = "K", conflicts_with_all = ["preemptions", "unbounded"])]
    delays: Option<u32>,
    /// The most waits of a run that end spuriously, or since time passes while others could go on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    wakeups: u32,
    /// Drops at most N futures of tasks per run, at each await that is reached.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cancellations: u32,
    /// Lets threads with this name wait for ever. Without it that is a deadlock.
    #[arg(long, value_name = "NAME")]
    daemon: Vec<String>,
    /// Runs schedules as well that differ only in the order of operations that commute.
    #[arg(long)]
    every_order: bool,
    /// Runs this many random schedules of each fault instead of all within the bound.
    #[arg(long, value_name = "N", conflicts_with = "pct")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    random: Option<u64>,
    /// Runs this many schedules of each fault by random thread priorities that change twice (PCT).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pct: Option<u64>,
}

/// The depth of PCT: it finds bugs that need three events in order, by two changes of priority.
const PCT_DEPTH: u32 = 3;

pub(crate) fn explore(
    scenarios: &[Scenario],
    args: &ExploreArgs,
    format: Format,
) -> Result<u8, Error> {
    run(scenarios, &args.common, format, Engine::Shuttle, &|explore| {
        let explore = explore.wakeups(args.wakeups).cancellations(args.cancellations);
        let explore = args.daemon.iter().fold(explore, Explore::daemon);
        let explore = if args.every_order { explore.every_order() } else { explore };
        match (args.random, args.pct, args.delays) {
            (Some(schedules), _, _) => explore.random(schedules),
            (None, Some(schedules), _) => explore.pct(PCT_DEPTH, schedules),
            (None, None, Some(delays)) => explore.delays(delays),
            (None, None, None) => explore,
        }
    })
}

pub(crate) fn loom(scenarios: &[Scenario], args: &LoomArgs, format: Format) -> Result<u8, Error> {
    run(scenarios, args, format, Engine::Loom, &|explore| explore)
}

fn run(
    scenarios: &[Scenario],
    args: &LoomArgs,
    format: Format,
    engine: Engine,
    choose: &dyn Fn(Explore) -> Explore,
) -> Result<u8, Error> {
    if !engine.is_available() {
        return Err(engine.missing());
    }
    let selected = select(scenarios, &args.names, Scenario::can_explore, "explored")?;
    let input = input_for(args.input.as_deref(), &selected)?;
    let start = |name: &str| {
        let explore = Explore::new(name.to_owned())
            .jobs_unless_set(args.jobs.map(usize::from), cores())
            .engine(engine);
        let explore = args.preemptions.into_iter().fold(explore, Explore::preemptions);
        let explore = if args.unbounded { explore.unbounded() } else { explore };
        args.seed.into_iter().fold(explore, Explore::seed)
    };
    let command = if engine == Engine::Loom { "loom" } else { "explore" };
    let seed = start("seed").seed_value();
    table(command, &selected, format, seed, |scenario, bar| {
        let mut explore = choose(start(&scenario.name)).on_progress(bar.on_progress());
        if let Some(schedules) = args.schedules {
            explore = explore.schedules(schedules);
        }
        if let Some(limit) = args.limit {
            explore = explore.limit(limit);
        }
        if args.strict {
            explore = explore.strict();
        }
        if args.stop_at_first {
            explore = explore.stop_at_first();
        }
        scenario.explored(explore, own_input(scenario, input.as_ref()))
    })
}
