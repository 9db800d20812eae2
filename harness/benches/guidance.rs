//! Schedules until the first that shows a bug of an error path: with the schedules near to what the
//! fault changes first, and without. The numbers are the same on every machine.

#[path = "../tests/explore/error_paths.rs"]
mod error_paths;

use error_paths::{ERROR_PATHS, ErrorPath};
use mallory::{Explore, Faults};

/// The most schedules of each search.
const SCHEDULES_MAX: u64 = 20_000;

/// The schedules with the fault until the first that shows the bug, or all that were run.
fn schedules_to_first(explore: Explore, program: ErrorPath) -> String {
    let explore = explore.shuttle().faults(Faults::Transient).in_process().stop_at_first();
    let report = explore.run(|heap| program(heap, true));
    let runs = report.coverage().runs;
    if report.findings().is_empty() { format!("– of {runs}") } else { runs.to_string() }
}

fn main() {
    println!("schedules with the fault until the first finding");
    println!("{:16} {:12} {:>10} {:>10}", "", "search", "unguided", "guided");
    for (name, program, preemptions) in ERROR_PATHS {
        let bounded = || Explore::new(name).preemptions(preemptions).schedules(SCHEDULES_MAX);
        let searches: [(&str, &dyn Fn() -> Explore); 4] = [
            ("bounded", &bounded),
            ("delays", &|| Explore::new(name).delays(2).schedules(SCHEDULES_MAX)),
            ("every order", &|| bounded().every_order()),
            ("default", &|| Explore::new(name)),
        ];
        for (search, explore) in searches {
            let without = schedules_to_first(explore().unguided(), program);
            let with = schedules_to_first(explore(), program);
            println!("{name:16} {search:12} {without:>10} {with:>10}");
        }
    }
}
