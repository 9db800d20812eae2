//! Schedules of the intern table per second and core: on a model checker's own types and the global
//! allocator, compared with the scenario `concurrent/intern` with the ledger, with all detectors,
//! and with faults.

mod plain;
#[path = "../../harness/benches/rows/mod.rs"]
mod rows;

use mallory::{Explore, Faults, Options, Refused};
use mallory_scenarios::concurrent::intern::two;
use rows::{Row, rates, runs};

fn ours(explore: Explore, options: Options, faults: Faults) -> u64 {
    let explore = explore.options(options).faults(faults).in_process();
    runs(&explore.oom(|_: &Refused| true).run(two))
}

/// The three rows that run our scenario, with these names.
fn three<'a>(names: [&'static str; 3], explore: &'a dyn Fn() -> Explore) -> Vec<Row<'a>> {
    let ledger = || Options::new().ledger_only();
    vec![
        Row(names[0], Box::new(move || ours(explore(), ledger(), Faults::None))),
        Row(names[1], Box::new(move || ours(explore(), Options::new(), Faults::None))),
        Row(names[2], Box::new(move || ours(explore(), ledger(), Faults::Both))),
    ]
}

/// How many schedules each search runs.
const SCHEDULES: usize = 2_000;

#[cfg(feature = "shuttle")]
fn by_shuttle() {
    use shuttle::scheduler::{DfsScheduler, RandomScheduler};
    use shuttle::{Config, Runner};
    let quiet = || {
        let mut config = Config::new();
        config.silence_warnings = true;
        config
    };
    let plain = plain::by_shuttle::two;
    let explore = || Explore::new("bench").shuttle().preemptions(3).schedules(SCHEDULES as u64);
    let random = || explore().random(SCHEDULES as u64);
    let mut rows = vec![
        Row(
            "shuttle as it is, random",
            Box::new(move || {
                Runner::new(RandomScheduler::new(SCHEDULES), quiet()).run(plain) as u64
            }),
        ),
        Row(
            "shuttle as it is, depth first",
            Box::new(move || {
                Runner::new(DfsScheduler::new(Some(SCHEDULES), false), quiet()).run(plain) as u64
            }),
        ),
        Row(
            "ours, ledger, random",
            Box::new(|| ours(random(), Options::new().ledger_only(), Faults::None)),
        ),
    ];
    let names = ["ours, ledger", "ours, all detectors", "ours, ledger, with faults"];
    rows.extend(three(names, &explore));
    let title = "schedules of the intern table a second, on one core";
    rates(title, &rows, |row| usize::from(!matches!(row, 0 | 2)));
}

#[cfg(feature = "loom")]
fn by_loom() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    // With two preemptions there are only 39 schedules, so start-up would dominate.
    const PREEMPTIONS: usize = 8;
    let plain = || {
        let made = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&made);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        (builder.checkpoint_interval, builder.max_permutations) = (SCHEDULES, Some(SCHEDULES));
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            plain::by_loom::two();
        });
        made.load(Ordering::Relaxed)
    };
    let explore = || {
        let explore = Explore::new("bench").loom().preemptions(PREEMPTIONS as u32);
        explore.schedules(SCHEDULES as u64)
    };
    let mut rows = vec![Row("loom as it is", Box::new(plain))];
    let names = [
        "ours by loom, ledger",
        "ours by loom, all detectors",
        "ours by loom, ledger, with faults",
    ];
    rows.extend(three(names, &explore));
    rates("the same by loom, to eight preemptions", &rows, |_| 0);
}

fn main() {
    #[cfg(feature = "shuttle")]
    by_shuttle();
    #[cfg(feature = "loom")]
    by_loom();
}
