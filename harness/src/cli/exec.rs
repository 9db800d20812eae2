//! `mallory exec`: sweeps an installed program.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::command_words::{EACH, name_of, quoted};
use crate::cli::exec_tree::exec_tree;
use crate::cli::input::cores;
use crate::cli::output::{Format, print, say};
use crate::cli::progress::Bar;
use crate::error::Error;
use crate::exec::config::{self, CommandConfig};
use crate::exec::inspect::{Inspected, inspect};
use crate::exec::order::{OUTPUT_MAX, Order};
use crate::exec::start::sweep;
use crate::sweep::settings::Progress;

/// How many requests of each call stack are made to fail by default.
const PER_SITE: u64 = 2;

#[derive(Args, Clone)]
pub(crate) struct ExecArgs {
    /// The program and its arguments, after `--`.
    #[arg(required = true, last = true, value_name = "PROGRAM")]
    words: Vec<OsString>,
    /// The file that each run reads as its standard input. Default: an empty one.
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// Sets a variable of the program's environment. Can be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// A folder of which each run gets a fresh copy to work in.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// A file that belongs to the result, besides standard output. Can be repeated.
    #[arg(long, value_name = "FILE")]
    compare: Vec<PathBuf>,
    /// A command that judges whether two results mean the same, where they differ: it is given two files,
    /// with what a run without a fault wrote and what this one did, and exits with 0 if they do.
    #[arg(long, value_name = "COMMAND")]
    compare_with: Option<String>,
    /// The seed of all random choices. Default: 0.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Child processes that share the work. Default: one per core. The report is the same for any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// The most faulted runs, those of new call sites first.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The most requests of each call stack that are made to fail: its first, its last, then the
    /// others. Default: 2.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    per_site: Option<u64>,
    /// Fails every request.
    #[arg(long, conflicts_with = "per_site")]
    all: bool,
    /// Makes other output and absorbed failures findings too.
    #[arg(long)]
    strict: bool,
    /// Only keeps the ledger: no guards around blocks, and freed ones are given out again.
    #[arg(long)]
    ledger: bool,
    /// Puts inaccessible pages around every block, and keeps freed ones inaccessible: a stray read is
    /// seen too, at its instruction. Takes several runs for one.
    #[arg(long, conflicts_with = "ledger")]
    guard: bool,
    /// Makes nothing fail: shows what the program does wrong by itself.
    #[arg(long)]
    no_faults: bool,
    /// Fails only requests whose call site passes through a function or a module (a program or a library)
    /// with this text in its name. Can be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fails no requests whose call site passes through one. Can be repeated.
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
    /// Also fails the requests that the C library makes by itself, and counts what goes wrong inside of
    /// it as findings.
    #[arg(long)]
    libc: bool,
    /// The most MiB that a run may write to its standard output or to another file. Default: 32.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..1 << 20))]
    max_output: Option<u64>,
    /// How many seconds a run may go without asking for memory before it counts as hung. Default: 30
    /// without a fault; with one 10, or 50 times the run without.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Also sweeps every program that this one starts, such as those of a shell script or of `make
    /// check`, each where it begins: with its arguments, its environment, its input and, for each
    /// run, a copy of its folder.
    #[arg(long, conflicts_with = "time")]
    trace_children: bool,
    /// Makes this many fault-free runs, and prints how many microseconds one takes.
    #[arg(long, value_name = "RUNS", hide = true)]
    time: Option<u64>,
    /// Replays this token instead.
    #[arg(long, value_name = "TOKEN")]
    replay: Option<String>,
    /// Continues a sweep that was killed.
    #[arg(long)]
    resume: bool,
}

/// Sweeps the program.
///
/// # Errors
/// A mistake in the flags, or a program that can't be swept.
pub(crate) fn exec(args: &ExecArgs, library: &[u8], format: Format) -> Result<u8, Error> {
    let program = args.words.first().cloned().unwrap_or_default();
    let file_name = Path::new(&program).file_name().unwrap_or_default();
    let config = config::of_command(file_name)?;
    let args = &with_config(args.clone(), &config);
    let variables = args.variables.iter().map(|text| variable(text)).collect::<Result<_, _>>()?;
    let inspected = inspect(&args.words, variables)?;
    let name = name_of(&program);
    if args.trace_children {
        let order = Order { allowances: config.allowances, journal: None, ..order(args, &name)? };
        return exec_tree(&args.words, &inspected, &order, library, format);
    }
    let Inspected { start, unwatched } = inspected;
    let order = Order { unwatched, allowances: config.allowances, ..order(args, &name)? };
    let bar = Bar::start(&name, "runs", std::io::stderr().is_terminal());
    let draw = bar.on_progress();
    let report = sweep(&start, library, &order, &mut |done, total| draw(Progress { done, total }))?;
    bar.finish_after(report.runs, EACH);
    match format {
        Format::Json if !report.is_error => print(&(report.json + "\n"))?,
        _ if report.is_error => say(&report.text),
        _ => print(&report.text)?,
    }
    Ok(report.exit_code)
}

/// The options, completed by what the project has committed: the command line comes first.
fn with_config(mut args: ExecArgs, config: &CommandConfig) -> ExecArgs {
    args.stdin = args.stdin.or_else(|| config.stdin.clone());
    args.dir = args.dir.or_else(|| config.dir.clone());
    args.limit = args.limit.or(config.limit);
    args.timeout = args.timeout.or(config.timeout);
    args.max_output = args.max_output.or(config.max_output);
    args.compare_with = args.compare_with.or_else(|| config.compare_with.clone());
    args.strict |= config.strict;
    args.guard |= config.guard;
    args.libc |= config.libc;
    args.compare.extend(config.compare.iter().cloned());
    args.only.extend(config.only.iter().cloned());
    args.skip.extend(config.skip.iter().cloned());
    let committed = config.env.iter().map(|(name, value)| format!("{name}={value}"));
    // A later one replaces one before it.
    args.variables.splice(0..0, committed);
    args
}

/// What the library is asked for.
fn order(args: &ExecArgs, name: &str) -> Result<Order, Error> {
    let here = std::env::current_dir().unwrap_or_default();
    let absolute = |path: &Path| here.join(path).to_string_lossy().into_owned();
    let existing = |path: &PathBuf| match path.exists() {
        true => Ok(absolute(path)),
        false => Err(Error::new("there is no such file").at(path.display().to_string())),
    };
    Ok(Order {
        name: name.to_owned(),
        seed: args.seed.unwrap_or(0),
        jobs: args.jobs.map_or_else(cores, usize::from),
        limit: args.limit,
        per_stack: (!args.all).then_some(args.per_site.unwrap_or(PER_SITE)),
        asks_per_stack: args.all || args.per_site.is_some(),
        strict: args.strict,
        ledger: args.ledger,
        guard: args.guard,
        no_faults: args.no_faults,
        replay: args.replay.clone(),
        rerun: rerun(args),
        journal: Some((absolute(&journal_folder()), args.resume)),
        stdin: args.stdin.as_ref().map(existing).transpose()?,
        folder: args.dir.as_ref().map(existing).transpose()?,
        compared: args.compare.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        judge: args.compare_with.clone(),
        timed: args.time,
        patience: args.timeout.map(|seconds| seconds * 1000),
        output_max: args.max_output.map_or(OUTPUT_MAX, |megabytes| megabytes << 20),
        only: args.only.clone(),
        skip: args.skip.clone(),
        c_library: args.libc,
        ..Order::default()
    })
}

/// The folder of journals: in that of this program's build or, where it is installed, among the user's
/// caches. The current folder may have nothing to do with Rust.
fn journal_folder() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let caches = folder("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.or_else(|| Some(PathBuf::from(folder("HOME")?).join(".cache")));
    let place = super::build_folder().or(caches).unwrap_or_else(|| PathBuf::from("target"));
    place.join("mallory")
}

/// The command that replays a token, before and after the token.
fn rerun(args: &ExecArgs) -> (String, String) {
    let mut before = "mallory exec".to_owned();
    before.push_str(if args.guard { " --guard" } else { "" });
    before.push_str(if args.trace_children { " --trace-children" } else { "" });
    let mut add = |name: &str, value: &str| {
        before.push_str(&format!(" {name} {}", quoted(value)));
    };
    if let Some(stdin) = &args.stdin {
        add("--stdin", &stdin.to_string_lossy());
    }
    for variable in &args.variables {
        add("--env", variable);
    }
    if let Some(dir) = &args.dir {
        add("--dir", &dir.to_string_lossy());
    }
    for path in &args.compare {
        add("--compare", &path.to_string_lossy());
    }
    if let Some(judge) = &args.compare_with {
        add("--compare-with", judge);
    }
    if let Some(megabytes) = args.max_output {
        add("--max-output", &megabytes.to_string());
    }
    let words = args.words.iter().map(|word| quoted(&word.to_string_lossy()));
    (before, format!("-- {}", words.collect::<Vec<_>>().join(" ")))
}

fn variable(text: &str) -> Result<(OsString, OsString), Error> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Error::new(format!("expected NAME=VALUE, found `{text}`")).at("--env"))?;
    Ok((name.into(), value.into()))
}
