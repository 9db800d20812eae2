//! Schedules a second and core: model checkers as they are, without any heap, beside ours with the
//! ledger, with all detectors, and with faults.

use std::time::Instant;

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

/// Seconds that this thread has had a core: other programs may use the machine as well. By the clock
/// where the system doesn't tell.
fn seconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| start.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

/// One row: what it is, and what makes some thousand runs of it and answers how many.
struct Row<'a>(&'static str, Box<dyn Fn() -> u64 + 'a>);

/// Rates of the rows, which take turns: the best of many short pieces each, since other programs may
/// use the machine. Rows whose names don't have the words of the command line in them are left out.
fn rates(title: &str, rows: &[Row<'_>]) -> Vec<f64> {
    const ROUNDS: usize = 12;
    println!("{title}");
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut best = vec![0_f64; rows.len()];
    for _ in 0..ROUNDS {
        for (Row(name, run), best) in rows.iter().zip(&mut best) {
            if words.iter().any(|word| !name.contains(word.as_str())) {
                continue;
            }
            // The system counts in steps of some milliseconds.
            const PIECE: f64 = 0.05;
            let (start, mut runs) = (seconds(), 0);
            while seconds() - start < PIECE {
                runs += run();
            }
            *best = best.max(runs as f64 / (seconds() - start));
        }
    }
    for (Row(name, _), best) in rows.iter().zip(&best).filter(|(_, best)| **best > 0.0) {
        println!("  {name:<42} {best:>10.0} /s");
    }
    best
}

fn runs(report: &Report) -> u64 {
    assert!(report.error().is_none() && report.findings().is_empty(), "{report}");
    report.coverage().schedules + report.coverage().runs
}

/// Two threads, and so many requests of each: twice as many faults, since each fails once and for
/// good.
fn boxes(heap: &Heap, requests: usize) -> Result<usize, TryReserveError> {
    let total = Arc::new(mallory::sync::Mutex::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (total, heap) = (Arc::clone(&total), heap.clone());
            mallory::thread::spawn(move || {
                for n in 0..requests {
                    let mut list = HeapVec::new_in(heap.clone());
                    list.try_reserve_exact(1)?;
                    list.push(n as u64);
                    *total.lock().expect("no panic") += list.len();
                }
                Ok::<(), TryReserveError>(())
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic")?;
    }
    let total = *total.lock().expect("no panic");
    Ok(total)
}

/// The subject without a heap, on loom's own types; how many orders there are.
#[cfg(feature = "loom")]
fn plain_loom(preemptions: usize) -> u64 {
    use loom::sync::{Arc, Mutex};
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let list = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let list = Arc::clone(&list);
                loom::thread::spawn(move || {
                    for n in 0..PUSHES {
                        list.lock().expect("no panic").push(thread * PUSHES + n);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(list.lock().expect("no panic").len() as u64, THREADS * PUSHES);
    });
    runs.load(std::sync::atomic::Ordering::Relaxed)
}

/// The same two sides under loom.
#[cfg(feature = "loom")]
fn by_loom() {
    const PREEMPTIONS: usize = 2;
    let explore = |options: Options, faults| {
        let explore = Explore::new("bench").loom().options(options).faults(faults).in_process();
        explore.preemptions(PREEMPTIONS as u32)
    };
    let rows = [
        Row("loom as it is", Box::new(|| plain_loom(PREEMPTIONS))),
        Row(
            "ours by loom, ledger",
            Box::new(|| runs(&explore(Options::new().ledger_only(), Faults::None).run(ours))),
        ),
        Row(
            "ours by loom, all detectors",
            Box::new(|| runs(&explore(Options::new(), Faults::None).run(ours))),
        ),
        Row(
            "ours by loom, ledger, with faults",
            Box::new(|| runs(&explore(Options::new().ledger_only(), Faults::Both).run(ours))),
        ),
    ];
    let best = rates("the same by loom, to two preemptions", &rows);
    println!("  ledger to loom: {:.2}", best[1] / best[0]);
}

fn main() {
    #[cfg(feature = "loom")]
    by_loom();
    const SCHEDULES: usize = 2_000;
    let explore = |options: Options, faults| {
        let explore = Explore::new("bench").shuttle().options(options).faults(faults).in_process();
        explore.preemptions(3).schedules(SCHEDULES as u64)
    };
    let ledger = || Options::new().ledger_only();
    let rows = [
        Row(
            "shuttle as it is, random",
            Box::new(|| Runner::new(RandomScheduler::new(SCHEDULES), quiet()).run(plain) as u64),
        ),
        Row(
            "shuttle as it is, depth first",
            Box::new(|| {
                Runner::new(DfsScheduler::new(Some(SCHEDULES), false), quiet()).run(plain) as u64
            }),
        ),
        Row("ours, ledger", Box::new(|| runs(&explore(ledger(), Faults::None).run(ours)))),
        Row(
            "ours, ledger, random",
            Box::new(|| runs(&explore(ledger(), Faults::None).random(SCHEDULES as u64).run(ours))),
        ),
        Row(
            "ours, ledger, no points at requests",
            Box::new(|| runs(&explore(ledger(), Faults::None).points(false).run(ours))),
        ),
        Row(
            "ours, all detectors",
            Box::new(|| runs(&explore(Options::new(), Faults::None).run(ours))),
        ),
        Row(
            "ours, ledger, with faults",
            Box::new(|| runs(&explore(ledger(), Faults::Both).schedules(200).run(ours))),
        ),
    ];
    let title = "schedules a second on one core: 2 threads x 4 lock-and-push";
    let best = rates(title, &rows);
    println!(
        "  ledger to shuttle: random {:.2}, searching {:.2}",
        best[3] / best[0],
        best[2] / best[1]
    );
    let start = seconds();
    let report = explore(ledger(), Faults::Both).schedules(500).run(|heap| boxes(heap, 50));
    let (made, took) = (runs(&report), seconds() - start);
    println!(
        "100 requests x 2 faults x 500 schedules, ledger: {made} runs in {took:.2} s of a core"
    );
}
