//! The planted bugs that need threads, on real threads and by the search: how many of many real
//! runs hit each bug, and how many runs the search needs to find it.
//!
//! `cargo run --release --features shuttle,loom --example real_threads [RUNS]`
//!
//! A real run is what random testing does: the system's threads on all cores and, if the bug needs
//! one, a failed request that is chosen at random. Runs are made in a child process, because a run
//! that never ends has to be killed after a timeout.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mallory::{Explore, Heap, Options, Plan};
use mallory_scenarios::planted::racy::{PAIRS, RacyPair, SeenBy};

/// A run that takes this long is deadlocked: others take less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(3);

/// A plan that makes the nth request fail, whichever thread makes it, and the counter of requests.
fn failing(nth: u64) -> (Plan, &'static AtomicU64) {
    let requests: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    (Plan::when(move |_| requests.fetch_add(1, Ordering::Relaxed) + 1 == nth), requests)
}

/// One run with real threads, in which the nth request fails: returns whether it hit the bug, and
/// how many requests there were.
fn run(pair: &RacyPair, nth: u64) -> (bool, u64) {
    let heap: Heap = Options::new().parallel().heap();
    let (plan, requests) = failing(nth);
    heap.arm(plan);
    let _ = (pair.planted)(&heap);
    (heap.found() > 0 || heap.live_bytes() > 0, requests.load(Ordering::Relaxed))
}

/// Makes the runs from one number to another, and prints `RUNS HITS` before each.
fn child(name: &str, from: u64, to: u64) -> Result<(), Box<dyn Error>> {
    let pair = PAIRS.iter().find(|pair| pair.name == name).ok_or("there is no such bug")?;
    let (_, requests) = run(pair, 0);
    let mut out = std::io::stdout().lock();
    let mut hits = 0;
    for number in from..to {
        // splitmix64 of the run's number.
        let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        random = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let nth = if pair.needs_fault { 1 + (random ^ (random >> 31)) % requests } else { 0 };
        // Standard output is flushed line by line, so the last line names the current run.
        writeln!(out, "{number} {hits}")?;
        hits += u64::from(run(pair, nth).0);
    }
    writeln!(out, "{to} {hits}")?;
    Ok(())
}

/// A child's progress: its current run, and its hits so far.
type Progress = (u64, u64);

/// Starts a child, and a thread that receives its progress.
fn start(name: &str, from: u64, to: u64) -> Result<(Child, Receiver<Progress>), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["child", name, &from.to_string(), &to.to_string()]).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let out = BufReader::new(child.stdout.take().ok_or("the child has no output")?);
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let progress = line.split_once(' ').map(|(run, hits)| (run.parse(), hits.parse()));
            if let Some((Ok(run), Ok(hits))) = progress
                && sender.send((run, hits)).is_err()
            {
                return;
            }
        }
    });
    Ok((child, receiver))
}

/// How many runs hit the bug, and how long all of them took.
fn on_real_threads(pair: &RacyPair, runs: u64) -> Result<(u64, Duration), Box<dyn Error>> {
    let begun = Instant::now();
    let (mut from, mut hits) = (0, 0);
    while from < runs {
        let (mut child, receiver) = start(pair.name, from, runs)?;
        let (mut at, mut of_child) = (from, 0);
        let is_deadlocked = loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok((run, hits)) => (at, of_child) = (run, hits),
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => break true,
            }
        };
        hits += of_child;
        from = at;
        if is_deadlocked {
            // It is deadlocked in the run that it reported last.
            child.kill()?;
            (hits, from) = (hits + 1, at + 1);
        }
        let ended = child.wait()?;
        if !is_deadlocked && (!ended.success() || at < runs) {
            return Err(format!("{}: a child died: {ended}", pair.name).into());
        }
        eprintln!("{}: {from} of {runs} runs, {hits} of them hit it", pair.name);
    }
    Ok((hits, begun.elapsed()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, name, from, to] = args.as_slice()
        && command == "child"
    {
        return child(name, from.parse()?, to.parse()?);
    }
    let runs = args.first().map_or(Ok(100_000), |runs| runs.parse())?;
    println!("{:<18} {:>24} {:>9}   {:>14} {:>9}", "", "hit by real threads", "", "search", "");
    println!("{:<18} {:>24} {:>9}   {:>14} {:>9}", "bug", "of runs", "seconds", "runs", "seconds");
    for pair in &PAIRS {
        let (hits, took) = on_real_threads(pair, runs)?;
        let begun = Instant::now();
        let explore = Explore::new(pair.name).oom(|_| true);
        let explore = match pair.seen_by {
            SeenBy::Shuttle => explore.shuttle(),
            SeenBy::Loom => explore.loom(),
        };
        let report = explore.run(pair.planted);
        if report.findings().is_empty() {
            return Err(format!("the search finds nothing: {report}").into());
        }
        let coverage = report.coverage();
        println!(
            "{:<18} {:>24} {:>9.1}   {:>14} {:>9.3}",
            pair.name,
            format!("{hits} of {runs}"),
            took.as_secs_f64(),
            coverage.schedules + coverage.runs,
            begun.elapsed().as_secs_f64(),
        );
    }
    Ok(())
}
