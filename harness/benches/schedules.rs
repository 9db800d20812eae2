//! Schedules a second and core: model checkers as they are, without any heap, beside ours with the
//! ledger, with all detectors, and with faults.

use std::time::{Duration, Instant};

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec as HeapVec;
use mallory::{Explore, Faults, Heap, Options, Report};
use shuttle::scheduler::{DfsScheduler, RandomScheduler};
use shuttle::sync::{Arc, Mutex};
use shuttle::{Config, Runner, thread};

const THREADS: u64 = 2;
const PUSHES: u64 = 4;

fn quiet() -> Config {
    let mut config = Config::new();
    config.silence_warnings = true;
    config
}

/// The subject without a heap.
fn plain() {
    let list = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let list = Arc::clone(&list);
            thread::spawn(move || {
                for n in 0..PUSHES {
                    list.lock().expect("no panic").push(thread * PUSHES + n);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(list.lock().expect("no panic").len() as u64, THREADS * PUSHES);
}

/// The same on a heap.
fn ours(heap: &Heap) -> Result<usize, TryReserveError> {
    let list = Arc::new(mallory::sync::Mutex::new(HeapVec::new_in(heap.clone())));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let list = Arc::clone(&list);
            mallory::thread::spawn(move || {
                for n in 0..PUSHES {
                    let mut list = list.lock().expect("no panic");
                    list.try_reserve(1)?;
                    list.push(thread * PUSHES + n);
                }
                Ok::<(), TryReserveError>(())
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic")?;
    }
    let length = list.lock().expect("no panic").len();
    Ok(length)
}

/// Runs a second, as the best of three tries.
fn rate(what: &str, run: impl Fn() -> u64) -> f64 {
    let mut best = 0_f64;
    for _ in 0..3 {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed() < Duration::from_millis(300) {
            done += run();
        }
        best = best.max(done as f64 / start.elapsed().as_secs_f64());
    }
    println!("{what:<44} {best:>10.0} /s");
    best
}

fn runs(report: &Report) -> u64 {
    assert!(report.error().is_none() && report.findings().is_empty(), "{report}");
    report.coverage().schedules + report.coverage().runs
}

fn main() {
    const SCHEDULES: usize = 5_000;
    println!("2 threads x 4 lock-and-push, schedules a second on one core");
    let random = rate("shuttle as it is, random", || {
        Runner::new(RandomScheduler::new(SCHEDULES), quiet()).run(plain) as u64
    });
    let dfs = rate("shuttle as it is, depth first", || {
        Runner::new(DfsScheduler::new(Some(SCHEDULES), false), quiet()).run(plain) as u64
    });
    let explore = |name: &str, options: Options, faults| {
        let explore = Explore::new(name).shuttle().options(options).faults(faults).in_process();
        explore.preemptions(3).schedules(SCHEDULES as u64)
    };
    let ledger = rate("ours, ledger", || {
        runs(&explore("ledger", Options::new().ledger_only(), Faults::None).run(ours))
    });
    let by_chance = rate("ours, ledger, random", || {
        let options = Options::new().ledger_only();
        runs(&explore("random", options, Faults::None).random(SCHEDULES as u64).run(ours))
    });
    rate("ours, all detectors", || runs(&explore("all", Options::new(), Faults::None).run(ours)));
    rate("ours, ledger, with faults", || {
        runs(&explore("faults", Options::new().ledger_only(), Faults::Both).run(ours))
    });
    println!("ledger / shuttle: random {:.2}, searching {:.2}", by_chance / random, ledger / dfs);
}
