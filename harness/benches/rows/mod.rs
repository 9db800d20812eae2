//! Rows that take turns: rates by the time that a thread has had a core, since other programs may
//! use the machine as well.
#![allow(dead_code, reason = "each benchmark takes what it needs")]

use std::time::Instant;

use mallory::Report;

/// Seconds that this thread has had a core; by the clock where the system doesn't tell.
pub(crate) fn seconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| start.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

/// Seconds that children that have ended had a core, in steps of hundredths; 0 where the system
/// doesn't tell.
pub(crate) fn seconds_of_children() -> f64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // What follows the name, which may have spaces in it.
    let fields = told.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// One row: what it is, and what makes a search and answers how many runs that was.
pub(crate) struct Row<'a>(pub(crate) &'static str, pub(crate) Box<dyn Fn() -> u64 + 'a>);

/// Whether the words of the command line are all in this name, or there are none.
pub(crate) fn is_wanted(name: &str) -> bool {
    std::env::args().skip(1).filter(|word| !word.starts_with('-')).all(|word| name.contains(&word))
}

/// Rates of the rows, which take turns: the best of many short pieces each. Beside each its share of
/// the row that `to` says.
pub(crate) fn rates(title: &str, rows: &[Row<'_>], to: impl Fn(usize) -> usize) {
    const ROUNDS: usize = 12;
    // The system counts in steps of some milliseconds.
    const PIECE: f64 = 0.05;
    let mut best = vec![0_f64; rows.len()];
    let mut each = vec![0; rows.len()];
    for _ in 0..ROUNDS {
        for (at, Row(name, run)) in rows.iter().enumerate() {
            if !is_wanted(name) {
                continue;
            }
            let (start, mut runs) = (seconds(), 0);
            while seconds() - start < PIECE {
                each[at] = run();
                runs += each[at];
            }
            best[at] = best[at].max(runs as f64 / (seconds() - start));
        }
    }
    println!("{title}");
    println!("{:42} {:>12} {:>12} {:>8}", "", "a second", "in a search", "to it");
    for (at, Row(name, _)) in rows.iter().enumerate().filter(|(at, _)| best[*at] > 0.0) {
        let share = best[at] / best[to(at)];
        println!("{name:42} {:>12.0} {:>12} {share:>7.2}×", best[at], each[at]);
    }
    println!();
}

/// How many runs a clean report is about.
///
/// # Panics
/// Where it is none.
pub(crate) fn runs(report: &Report) -> u64 {
    assert!(report.error().is_none() && report.findings().is_empty(), "{report}");
    report.coverage().schedules + report.coverage().runs
}
