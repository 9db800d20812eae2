//! The planted bugs that need threads, under real threads with faults by chance, and under the
//! search: how often the one meets them, and how long the other takes to find them.
//!
//! `cargo run --release --features shuttle --example real_threads [RUNS]`

use std::error::Error;
use std::time::{Duration, Instant};

use mallory::{Explore, Heap, Options, Plan, Sweep};
use mallory_scenarios::planted::racy::{PAIRS, Pair, Seen};

/// Runs of a bug in one sweep, which is one child and one seed.
const BATCH: u64 = 1_000;

/// How many batches had a finding, and what they took.
fn really(pair: &Pair, runs: u64) -> (u64, Duration) {
    let start = Instant::now();
    let batches = (1..=runs.div_ceil(BATCH)).filter(|seed| {
        // One request in four fails.
        let plan = Plan::seeded(1, 4);
        let sweep = Sweep::new(pair.name).options(Options::new().parallel()).seed(*seed).plan(plan);
        // A deadlock of real threads is told by the clock only.
        let sweep = sweep.patience(Duration::from_secs(1));
        let report = sweep.run(|heap: &Heap| {
            for _ in 0..BATCH {
                let _ = (pair.planted)(heap);
            }
            Ok::<_, mallory::Refused>(())
        });
        !report.findings().is_empty()
    });
    (batches.count() as u64, start.elapsed())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runs = std::env::args().nth(1).map_or(Ok(100_000), |runs| runs.parse())?;
    println!("{:<18} {:>10} {:>12} {:>9}   {:>10} {:>9}", "", "runs by", "batches of", "", "", "");
    println!(
        "{:<18} {:>10} {:>12} {:>9}   {:>10} {:>9}",
        "bug", "threads", "1,000 hit", "seconds", "findings", "seconds"
    );
    for pair in PAIRS.iter().filter(|pair| pair.seen == Seen::ByShuttle) {
        let (hit, took) = really(pair, runs);
        let start = Instant::now();
        let report = Explore::new(pair.name).shuttle().oom(|_| true).run(pair.planted);
        println!(
            "{:<18} {:>10} {:>12} {:>9.1}   {:>10} {:>9.3}",
            pair.name,
            runs,
            hit,
            took.as_secs_f64(),
            report.findings().len(),
            start.elapsed().as_secs_f64(),
        );
    }
    Ok(())
}
