//! Real threads run in another order each time, but reports of them are the same.

use std::collections::{BTreeSet, TryReserveError};
use std::sync::{Condvar, Mutex, Once, mpsc};
use std::time::Duration;

use mallory::{Kind, Report, Verdict};

use crate::common::bytes;
use crate::sweep;

/// Two blocks. The first one is lost if the second one is refused.
fn loses(n: usize) -> Result<usize, TryReserveError> {
    let first = std::mem::ManuallyDrop::new(bytes(100 + n)?);
    let second = bytes(200 + n)?;
    Ok(std::mem::ManuallyDrop::into_inner(first).len() + second.len())
}

/// Starts three threads, joins them, and adds up what they return. The later a thread is started, the
/// sooner it makes its first request.
fn three() -> Result<usize, TryReserveError> {
    std::thread::scope(|scope| {
        let work = |n: usize| {
            std::thread::sleep(Duration::from_micros(300 * (3 - n) as u64));
            loses(n)
        };
        let threads: Vec<_> = (0..3).map(|n| scope.spawn(move || work(n))).collect();
        let results = threads.into_iter().map(|thread| thread.join().expect("it doesn't panic"));
        results.collect::<Vec<_>>().into_iter().sum()
    })
}

/// The reports of several sweeps, without what is equal.
fn reports(times: usize, sweep: impl Fn() -> Report) -> BTreeSet<String> {
    (0..times).map(|_| sweep().to_string()).collect()
}

#[test]
fn reports_of_joined_threads_are_equal() {
    let reports = reports(8, || sweep("three").jobs(2).run(|_| three()));
    let [report] = reports.iter().collect::<Vec<_>>()[..] else { panic!("{reports:#?}") };
    // All three lose a block at the same place; the thread that was started first stands for them.
    assert!(report.contains("T1.a1  allocated"), "{report}");
    assert!(report.contains("1 block, 100 bytes"), "{report}");
    assert!(report.contains("lost when T1#2 fails: 200 bytes"), "{report}");
    assert!(report.contains("seen at 3 of "), "{report}");
}

#[test]
fn a_leak_of_one_thread_is_told_with_that_threads_call_sites() {
    let report = sweep("three").run(|_| three());
    let leaks = report.findings().iter().filter(|finding| finding.kind() == Kind::Leak);
    for leak in leaks {
        let text = leak.to_string();
        let allocated = text.lines().find(|line| line.contains("allocated")).unwrap_or_default();
        assert!(allocated.contains("common::bytes"), "{text}");
    }
}

type Returned = Result<usize, TryReserveError>;

/// Two threads that live as long as the process. In each round each calls [`loses`] once.
struct Pool {
    /// The round, and the results of the present one.
    round: Mutex<(u64, [Option<Returned>; 2])>,
    changed: Condvar,
}

static POOL: Pool = Pool { round: Mutex::new((0, [None, None])), changed: Condvar::new() };

fn serve(n: usize) {
    let mut done = 0;
    loop {
        let mut round = POOL.round.lock().expect("nobody panics");
        while round.0 == done {
            round = POOL.changed.wait(round).expect("nobody panics");
        }
        done = round.0;
        drop(round);
        // The thread that was started first is slower.
        std::thread::sleep(Duration::from_micros(500 * (1 - n) as u64));
        let result = loses(n);
        POOL.round.lock().expect("nobody panics").1[n] = Some(result);
        POOL.changed.notify_all();
    }
}

fn play() -> Result<usize, TryReserveError> {
    static START: Once = Once::new();
    START.call_once(|| {
        std::thread::spawn(|| serve(0));
        std::thread::spawn(|| serve(1));
    });
    let mut round = POOL.round.lock().expect("nobody panics");
    *round = (round.0 + 1, [None, None]);
    POOL.changed.notify_all();
    while round.1.iter().any(Option::is_none) {
        round = POOL.changed.wait(round).expect("nobody panics");
    }
    let results = std::mem::take(&mut round.1);
    results.into_iter().flatten().sum()
}

#[test]
fn threads_of_a_pool_from_the_first_run_keep_their_numbers() {
    let reports = reports(4, || sweep("pool").run(|_| play()));
    let [report] = reports.iter().collect::<Vec<_>>()[..] else { panic!("{reports:#?}") };
    assert!(report.contains("T1.a1  allocated"), "{report}");
    assert!(report.contains("lost when T1#2 fails: 200 bytes"), "{report}");
    assert!(report.contains("seen at 2 of "), "{report}");
}

/// A thread that ends on its own once its channel is closed, which nobody waits for.
fn sums_elsewhere() -> Result<usize, TryReserveError> {
    let (sender, numbers) = mpsc::channel::<usize>();
    let started = std::thread::Builder::new().spawn(move || {
        let mut held = Vec::new();
        for n in numbers {
            if held.try_reserve(1).is_ok() {
                held.push(n);
            }
        }
        // It still holds its numbers when the subject has returned.
        std::thread::sleep(Duration::from_millis(2));
        drop(held);
    });
    drop(started);
    for n in 0..3 {
        let _ = sender.send(n);
    }
    bytes(100).map(|block| block.len())
}

#[test]
fn a_thread_that_outlives_its_run_and_ends_is_waited_for() {
    let reports = reports(6, || sweep("sums").run(|_| sums_elsewhere()));
    let [report] = reports.iter().collect::<Vec<_>>()[..] else { panic!("{reports:#?}") };
    assert!(!report.contains("leak "), "{report}");
    assert!(!report.contains("leaks unknown"), "{report}");
}

#[test]
fn nothing_of_a_thread_that_never_ends_is_a_leak() {
    let report = sweep("stays").limit(4).run(|_| {
        let block = bytes(300)?;
        std::thread::spawn(move || {
            loop {
                std::thread::park();
                std::hint::black_box(&block);
            }
        });
        bytes(10).map(|block| block.len())
    });
    let leaks = report.findings().iter().filter(|finding| finding.kind() == Kind::Leak);
    assert_eq!(leaks.count(), 0, "{report}");
    assert!(report.to_string().contains("leaks unknown: 1 thread of a run"), "{report}");
    assert_ne!(report.verdict(), Verdict::Clean, "{report}");
}
