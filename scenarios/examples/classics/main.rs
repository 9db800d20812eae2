//! Prints the table of `CLASSICS.md`: for each program of the literature how many schedules each
//! search runs until it shows the bug, beside plain shuttle, which runs the same programs over its own
//! locks and threads.
//!
//! The times of the default search go to standard error, for one core.

#[path = "../../src/concurrent/join.rs"]
mod join;
mod plain;
#[path = "../../src/concurrent/classics/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "plain shuttle needs the programs, not the rest")]
mod programs;
mod concurrent {
    pub(crate) use crate::join;
}
mod sync {
    pub(crate) use shuttle::sync::*;
}
mod thread {
    pub(crate) use shuttle::thread::*;
}

use std::time::Instant;

use mallory::Explore;
use mallory_scenarios::concurrent::classics::{CLASSICS, Classic, on_heap};

/// The most schedules of each search.
const SCHEDULES_MAX: u64 = 10_000;

/// How a search is chosen.
type Choose = fn(Explore) -> Explore;

const SEARCHES: [(&str, Choose); 5] = [
    ("default", |explore| explore),
    ("preemptions", |explore| explore.preemptions(3).schedules(SCHEDULES_MAX)),
    ("delays", |explore| explore.delays(3).schedules(SCHEDULES_MAX)),
    ("PCT", |explore| explore.pct(3, SCHEDULES_MAX)),
    ("random", |explore| explore.random(SCHEDULES_MAX)),
];

/// The schedules until the first that shows the bug, if one does.
fn schedules_to_first(classic: &Classic, choose: Choose) -> Option<u64> {
    let explore = choose(Explore::new(classic.name).shuttle().stop_at_first());
    let report = explore.run(on_heap(classic.bug));
    (!report.findings().is_empty()).then(|| report.coverage().schedules)
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    println!(
        "| program | threads | default | preemptions | delays | PCT | random | shuttle's PCT | shuttle's random |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for classic in CLASSICS.into_iter().filter(|classic| is_wanted(classic.name)) {
        let mut row = format!("| {} | {} |", classic.name, classic.threads);
        let mut add = |schedules: Option<u64>| match schedules {
            Some(schedules) => row += &format!(" {schedules} |"),
            None => row += " – |",
        };
        for (name, choose) in SEARCHES {
            let started = Instant::now();
            add(schedules_to_first(&classic, choose));
            let seconds = started.elapsed().as_secs_f64();
            if name == "default" || seconds > 5.0 {
                eprintln!("{:28} {name:12} {seconds:.2} s", classic.name);
            }
        }
        add(plain::schedules_to_first(classic.name, plain::Strategy::Pct, SCHEDULES_MAX));
        add(plain::schedules_to_first(classic.name, plain::Strategy::Random, SCHEDULES_MAX));
        println!("{row}");
    }
}
