//! The cost of sweeping a JSON parser through the global allocator, with each strategy.
//!
//! `cargo bench -p mallory --bench strategies`. The cost of `rerun` grows with the square of the requests,
//! that of `fork` with their number. `rerun` of 50,000 requests takes minutes, so that row is only measured
//! with `-- --all`. `-- fork` measures the rows of that strategy only.

use std::time::Instant;

use mallory::sweep::Strategy;
use mallory::{Faults, GlobalHeap, Report, Sweep};

#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap::system();

/// A document that takes about `requests` requests to parse: an array of small objects.
fn document(requests: u64) -> String {
    // For each object: the node of its map, two keys and one string.
    let objects = requests / 4;
    let object = |n: u64| format!("{{\"id\":{n},\"name\":\"object number {n}\"}}");
    let objects: Vec<String> = (0..objects).map(object).collect();
    format!("[{}]", objects.join(","))
}

/// Parses a document and returns the sum of its ids.
fn parse(text: &str) -> Result<u64, serde_json::Error> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    let objects = value.as_array().map_or(&[][..], Vec::as_slice);
    Ok(objects.iter().filter_map(|object| object["id"].as_u64()).sum())
}

fn sweep(text: &str, strategy: Strategy, jobs: usize) -> (f64, Report) {
    let start = Instant::now();
    let report = Sweep::new("json")
        .global(&HEAP)
        .strategy(strategy)
        .jobs(jobs)
        .faults(Faults::Transient)
        .limit(u64::MAX)
        .run(|_| parse(text));
    (start.elapsed().as_secs_f64(), report)
}

fn main() {
    let all = std::env::args().any(|argument| argument == "--all");
    let only: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    println!("exhaustive sweep of a JSON parser, every request failing once, all detectors on");
    println!(
        "{:<10} {:<18} {:>10} {:>14} {:>18} {:>10}",
        "requests", "", "seconds", "µs per point", "requests executed", "exponent"
    );
    for jobs in [1, 2] {
        let strategies =
            [("rerun", Strategy::Rerun), ("fork", Strategy::Fork), ("auto", Strategy::Auto)];
        let mut before: [Option<(f64, f64)>; 3] = [None; 3];
        for size in [1_000, 10_000, 50_000] {
            let text = document(size);
            for (nth, (name, strategy)) in strategies.into_iter().enumerate() {
                if !is_wanted(name) || strategy == Strategy::Rerun && size > 10_000 && !all {
                    continue;
                }
                let (seconds, report) = sweep(&text, strategy, jobs);
                let coverage = report.coverage();
                assert!(coverage.complete && report.error().is_none(), "{report}");
                let requests = coverage.requests;
                let now = (requests as f64, seconds);
                let exponent = before[nth].replace(now).map_or(String::new(), |was| {
                    format!("{:.2}", (now.1 / was.1).ln() / (now.0 / was.0).ln())
                });
                let chosen = match report.strategy() {
                    Strategy::Fork => "forked",
                    _ => "rerun",
                };
                let name = if strategy == Strategy::Auto {
                    format!("auto: {chosen}")
                } else {
                    name.into()
                };
                println!(
                    "{requests:<10} {:<18} {seconds:>10.3} {:>14.1} {:>18} {exponent:>10}",
                    format!("{name}, {jobs} job{}", if jobs == 1 { "" } else { "s" }),
                    seconds * 1e6 / requests as f64,
                    report.effort(),
                );
            }
        }
    }
}
