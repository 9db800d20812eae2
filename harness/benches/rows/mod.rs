//! Shared by the benchmarks: medians, and rates by CPU time, since other programs may use the machine as
//! well. The rows of a table are measured in turn, in several rounds, so that a slow moment of the machine
//! hits all of them.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::time::Instant;

use mallory::Report;

/// The CPU time of this thread in seconds; elapsed time if the system has no `/proc`.
pub(crate) fn seconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|stat| stat.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| start.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

/// The CPU time of ended child processes in seconds, in steps of 0.01; 0 if the system has no `/proc`.
pub(crate) fn seconds_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields follow the name in parentheses, which may contain spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// One row: its name, and a search that returns how many runs it made.
pub(crate) struct Row<'a>(pub(crate) &'static str, pub(crate) Box<dyn Fn() -> u64 + 'a>);

/// The median of some measurements.
///
/// # Panics
/// If there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whether this name contains all words of the command line.
pub(crate) fn is_wanted(name: &str) -> bool {
    std::env::args().skip(1).filter(|word| !word.starts_with('-')).all(|word| name.contains(&word))
}

/// Prints the rates of the rows: for each the best of several short rounds, and its ratio to the rate of
/// the row with the index that `to` returns.
pub(crate) fn rates(title: &str, rows: &[Row<'_>], to: impl Fn(usize) -> usize) {
    const ROUNDS: usize = 12;
    // Long enough for a clock with steps of some milliseconds.
    const ROUND_SECONDS: f64 = 0.05;
    let mut best = vec![0_f64; rows.len()];
    let mut runs_of_search = vec![0; rows.len()];
    for _ in 0..ROUNDS {
        for (at, Row(name, run)) in rows.iter().enumerate() {
            if !is_wanted(name) {
                continue;
            }
            let (start, mut runs) = (seconds(), 0);
            while seconds() - start < ROUND_SECONDS {
                runs_of_search[at] = run();
                runs += runs_of_search[at];
            }
            best[at] = best[at].max(runs as f64 / (seconds() - start));
        }
    }
    println!("{title}");
    println!("{:42} {:>12} {:>12} {:>8}", "", "a second", "in a search", "to it");
    for (at, Row(name, _)) in rows.iter().enumerate().filter(|(at, _)| best[*at] > 0.0) {
        let share = best[at] / best[to(at)];
        println!("{name:42} {:>12.0} {:>12} {share:>7.2}×", best[at], runs_of_search[at]);
    }
    println!();
}

/// The number of runs of a clean report.
///
/// # Panics
/// If the report isn't clean.
pub(crate) fn runs(report: &Report) -> u64 {
    assert!(report.error().is_none() && report.findings().is_empty(), "{report}");
    report.coverage().schedules + report.coverage().runs
}
