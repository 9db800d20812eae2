//! Schedules per second and core: plain shuttle and loom without a heap, compared with Mallory with the
//! ledger, with all detectors, and with faults; and faults × schedules on one core and on two.
//! `scenarios/benches/schedules.rs` does the same for an intern table.

mod rows;

use std::time::Instant;

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec as HeapVec;
use mallory::{Explore, Faults, Heap, Options};
use rows::{Row, is_wanted, rates, runs, seconds, seconds_of_children};
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

/// The subject on a heap.
fn with_heap(heap: &Heap) -> Result<usize, TryReserveError> {
    push_all(heap, |_| ())
}

/// The subject on a heap, where each thread's accesses to the list are checked for data races.
fn with_watched_list(heap: &Heap) -> Result<usize, TryReserveError> {
    heap.track_races();
    let watched = heap.clone();
    push_all(heap, move |list| watched.note_write(list.as_ptr()))
}

/// Each thread calls `before_push` while it holds the lock.
fn push_all(
    heap: &Heap,
    before_push: impl Fn(&HeapVec<u64, Heap>) + Clone + Send + 'static,
) -> Result<usize, TryReserveError> {
    let list = Arc::new(mallory::sync::Mutex::new(HeapVec::new_in(heap.clone())));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (list, before_push) = (Arc::clone(&list), before_push.clone());
            mallory::thread::spawn(move || {
                for n in 0..PUSHES {
                    let mut list = list.lock().expect("no panic");
                    list.try_reserve(1)?;
                    before_push(&list);
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

/// Two threads with `requests` requests each. Each request is two faults: once, and for good.
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

/// Explores the subject without a heap, on loom's own types. Returns the number of schedules.
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

/// Measures both sides under loom.
#[cfg(feature = "loom")]
fn measure_loom() {
    // With two there are only 30 schedules, and starting up would dominate.
    const PREEMPTIONS: usize = 6;
    let explore = |options: Options, faults| {
        let explore = Explore::new("bench").loom().options(options).faults(faults).in_process();
        explore.preemptions(PREEMPTIONS as u32)
    };
    let rows = [
        Row("loom as it is", Box::new(|| plain_loom(PREEMPTIONS))),
        Row(
            "ours by loom, ledger",
            Box::new(|| runs(&explore(Options::new().ledger_only(), Faults::None).run(with_heap))),
        ),
        Row(
            "ours by loom, all detectors",
            Box::new(|| runs(&explore(Options::new(), Faults::None).run(with_heap))),
        ),
        Row(
            "ours by loom, ledger, with faults",
            Box::new(|| runs(&explore(Options::new().ledger_only(), Faults::Both).run(with_heap))),
        ),
    ];
    rates("the same by loom, to six preemptions", &rows, |_| 0);
}

fn main() {
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
        Row("ours, ledger", Box::new(|| runs(&explore(ledger(), Faults::None).run(with_heap)))),
        Row(
            "ours, ledger, random",
            Box::new(|| {
                runs(&explore(ledger(), Faults::None).random(SCHEDULES as u64).run(with_heap))
            }),
        ),
        Row(
            "ours, ledger, every order",
            Box::new(|| runs(&explore(ledger(), Faults::None).every_order().run(with_heap))),
        ),
        Row(
            "ours, ledger, no points at requests",
            Box::new(|| runs(&explore(ledger(), Faults::None).points(false).run(with_heap))),
        ),
        Row(
            "ours, all detectors",
            Box::new(|| runs(&explore(Options::new(), Faults::None).run(with_heap))),
        ),
        Row(
            "ours, ledger, with faults",
            Box::new(|| runs(&explore(ledger(), Faults::Both).schedules(200).run(with_heap))),
        ),
    ];
    let title = "schedules a second on one core: 2 threads x 4 lock-and-push";
    // Random schedules are compared with random ones, and searches with the depth-first search.
    rates(title, &rows, |row| usize::from(row != 0 && row != 3));
    #[cfg(feature = "loom")]
    measure_loom();
    let random = || explore(ledger(), Faults::None).random(SCHEDULES as u64);
    let rows = [
        Row("ours, random, unwatched", Box::new(|| runs(&random().run(with_heap)))),
        Row("ours, random, watched for races", Box::new(|| runs(&random().run(with_watched_list)))),
    ];
    rates("what watching blocks for data races costs", &rows, |_| 0);
    if is_wanted("faults x schedules") {
        measure_product();
    }
}

/// Measures a product of faults and schedules, in process and with workers.
fn measure_product() {
    println!("100 requests x 2 faults x 500 schedules, ledger: seconds");
    println!("{:42} {:>12} {:>12} {:>8}", "", "CPU", "elapsed", "to one");
    let explore = || {
        let explore = Explore::new("bench").shuttle().faults(Faults::Both).preemptions(3);
        explore.options(Options::new().ledger_only()).schedules(500)
    };
    let ways: [(&str, &dyn Fn() -> Explore); 3] = [
        ("in process", &|| explore().in_process()),
        ("one worker", &|| explore().jobs(1)),
        ("two workers", &|| explore().jobs(2)),
    ];
    const ROUNDS: usize = 5;
    let mut best = [(f64::MAX, f64::MAX, 0); 3];
    for _ in 0..ROUNDS {
        for ((_, explore), (cpu, elapsed, made)) in ways.iter().zip(&mut best) {
            let (start, begun) = (seconds() + seconds_of_children(), Instant::now());
            *made = runs(&explore().run(|heap| boxes(heap, 50)));
            *elapsed = elapsed.min(begun.elapsed().as_secs_f64());
            *cpu = cpu.min(seconds() + seconds_of_children() - start);
        }
    }
    for ((name, _), (cpu, elapsed, made)) in ways.iter().zip(best) {
        let share = best[1].1 / elapsed;
        println!("{name:42} {cpu:>12.2} {elapsed:>12.2} {share:>7.2}×   {made} runs");
    }
}
