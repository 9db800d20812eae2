//! What an exploration must not call clean: threads that nobody joins and that never end, statics that
//! keep their values, schedules that were left out.

use std::sync::atomic::{AtomicUsize as StdAtomicUsize, Ordering as StdOrdering};
use std::time::Duration;

use mallory::sync::atomic::{AtomicUsize, Ordering};
use mallory::sync::{Arc, Condvar, LazyLock, Mutex, Once, OnceLock};
use mallory::thread;
use mallory::{Explore, Heap, Kind, Report, Verdict};

type Outcome = Result<u64, mallory::Refused>;

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings().iter().map(|finding| finding.kind()).collect()
}

/// A way of choosing schedules.
type Strategy = fn(Explore) -> Explore;

const STRATEGIES: [Strategy; 6] = [
    |explore| explore,
    |explore| explore.preemptions(2),
    |explore| explore.delays(2),
    |explore| explore.unbounded(),
    |explore| explore.random(50),
    |explore| explore.pct(3, 50),
];

/// A thread that waits for a notification that never comes, and that nobody joins.
fn waits_for_ever(_: &Heap) -> Outcome {
    let name = "worker".to_owned();
    let waiting = move || {
        let (flag, changed) = (Mutex::new(()), Condvar::new());
        let mut guard = flag.lock().expect("no panic");
        loop {
            guard = changed.wait(guard).expect("no panic");
        }
    };
    drop(thread::Builder::new().name(name).spawn(waiting).expect("a thread"));
    Ok(1)
}

#[test]
fn a_thread_that_nobody_joins_and_that_waits_for_ever_is_a_deadlock() {
    for strategy in STRATEGIES {
        let report = strategy(Explore::new("waits").shuttle()).run(waits_for_ever);
        assert_eq!(kinds(&report), [Kind::Deadlock], "{report}");
        assert!(report.to_string().contains("T1 waits for a notification of o"), "{report}");
        let token = report.findings()[0].token().clone();
        let again = Explore::new("waits").shuttle().replay(token).run(waits_for_ever);
        assert!(again.row().contains("reproduced"), "{again}");
    }
    let report = Explore::new("waits").loom().run(waits_for_ever);
    assert_eq!(kinds(&report), [Kind::Deadlock], "{report}");
}

#[test]
fn a_daemon_may_wait_for_ever() {
    for strategy in STRATEGIES {
        let explore = strategy(Explore::new("waits").shuttle()).daemon("worker");
        let report = explore.run(waits_for_ever);
        report.assert_clean();
    }
    let other = Explore::new("waits").shuttle().daemon("another").run(waits_for_ever);
    assert_eq!(kinds(&other), [Kind::Deadlock], "{other}");
}

/// Two threads that nobody joins and that take two locks in opposite orders.
fn crossed(_: &Heap) -> Outcome {
    let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
    for first in [0, 1] {
        let locks = Arc::clone(&locks);
        drop(thread::spawn(move || {
            let _first = locks[first].lock();
            let _second = locks[1 - first].lock();
        }));
    }
    Ok(1)
}

#[test]
fn a_cycle_of_locks_of_threads_that_nobody_joins_is_a_deadlock() {
    for strategy in STRATEGIES {
        let report = strategy(Explore::new("crossed").shuttle()).run(crossed);
        assert_eq!(kinds(&report), [Kind::Deadlock], "{report}");
    }
}

#[test]
fn a_thread_that_nobody_joins_and_that_never_ends_is_no_progress() {
    let report = Explore::new("spins").shuttle().preemptions(0).run(|_| -> Outcome {
        drop(thread::spawn(|| {
            loop {
                thread::yield_now();
            }
        }));
        Ok(1)
    });
    assert_eq!(kinds(&report), [Kind::NoProgress], "{report}");
}

/// A lost update of a number that a static keeps.
fn counts_in_a_static(_: &Heap) -> Outcome {
    static COUNT: OnceLock<AtomicUsize> = OnceLock::new();
    static LAZY: LazyLock<Mutex<u64>> = LazyLock::new(|| Mutex::new(0));
    static ONCE: Once = Once::new();
    let count = || COUNT.get_or_init(|| AtomicUsize::new(0));
    let add = move || {
        ONCE.call_once(|| *LAZY.lock().expect("no panic") += 1);
        count().store(count().load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    };
    let other = thread::spawn(add);
    add();
    other.join().expect("no panic");
    assert_eq!(*LAZY.lock().expect("no panic"), 1, "the work of a run is done once");
    Ok(count().load(Ordering::SeqCst) as u64)
}

#[test]
fn statics_are_made_anew_in_each_run() {
    let shown = |report: Report| {
        assert!(report.error().is_none() && kinds(&report).is_empty(), "{report}");
        assert!(report.to_string().contains("2 different results"), "{report}");
    };
    shown(Explore::new("static").shuttle().run(counts_in_a_static));
    shown(Explore::new("static").loom().run(counts_in_a_static));
}

#[test]
fn what_lazy_static_declares_is_made_anew_as_well() {
    mallory::sync::lazy_static! {
        /// The names of a run.
        static ref NAMES: Mutex<Vec<&'static str>> = Mutex::new(vec!["first"]);
    }
    let report = Explore::new("lazy").shuttle().run(|_| -> Outcome {
        let other = thread::spawn(|| NAMES.lock().expect("no panic").push("second"));
        other.join().expect("no panic");
        Ok(NAMES.lock().expect("no panic").len() as u64)
    });
    report.assert_clean();
    assert!(!report.to_string().contains("different results"), "{report}");
}

#[test]
fn the_first_thread_drops_its_thread_locals_in_each_run() {
    static ALIVE: StdAtomicUsize = StdAtomicUsize::new(0);
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, StdOrdering::Relaxed);
        }
    }
    mallory::thread::thread_local! {
        static LOCAL: Counted = {
            ALIVE.fetch_add(1, StdOrdering::Relaxed);
            Counted
        };
    }
    let report = Explore::new("local").shuttle().run(|_| -> Outcome {
        assert_eq!(ALIVE.load(StdOrdering::Relaxed), 0, "an earlier run's value is alive");
        LOCAL.with(|_| {});
        let other = thread::spawn(|| LOCAL.with(|_| {}));
        other.join().expect("no panic");
        Ok(0)
    });
    report.assert_clean();
}

/// Fails if one thread sleeps three times before the other one does anything.
fn impatient(_: &Heap) -> Outcome {
    let answer = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&answer);
    let other = thread::spawn(move || its.store(1, Ordering::SeqCst));
    for _ in 0..3 {
        if answer.load(Ordering::SeqCst) == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(answer.load(Ordering::SeqCst), 1, "no answer in time");
    other.join().expect("no panic");
    Ok(1)
}

#[test]
fn a_thread_may_sleep_often_while_another_one_gets_nowhere() {
    let found = |explore: Explore| kinds(&explore.shuttle().run(impatient));
    assert_eq!(found(Explore::new("impatient").preemptions(3)), [Kind::Panic]);
    assert_eq!(found(Explore::new("impatient").random(200)), [Kind::Panic]);
    assert_eq!(found(Explore::new("impatient")), [Kind::Panic]);
    assert_eq!(found(Explore::new("impatient").preemptions(2)), [], "each costs a preemption");
}

#[test]
fn time_passes_when_every_thread_sleeps_in_the_order_of_the_ends() {
    let report = Explore::new("sleepers").shuttle().preemptions(0).run(|_| -> Outcome {
        let start = mallory::time::Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = [30, 10, 20]
            .map(|milliseconds| {
                let order = Arc::clone(&order);
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(milliseconds));
                    order.lock().expect("no panic").push(milliseconds);
                })
            })
            .into_iter()
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(*order.lock().expect("no panic"), [10, 20, 30]);
        assert_eq!(start.elapsed(), Duration::from_millis(30));
        Ok(0)
    });
    report.assert_clean();
}

/// Takes a wake-up for a notification.
fn trusts_the_notification(_: &Heap) -> Outcome {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let other = Arc::clone(&shared);
    let waiter = thread::spawn(move || {
        let (ready, changed) = &*other;
        let mut guard = ready.lock().expect("no panic");
        if !*guard {
            guard = changed.wait(guard).expect("no panic");
        }
        assert!(*guard, "woken for nothing");
    });
    *shared.0.lock().expect("no panic") = true;
    shared.1.notify_one();
    waiter.join().expect("no panic");
    Ok(1)
}

#[test]
fn a_wait_may_end_without_a_notification() {
    let explore = || Explore::new("trusts").shuttle();
    for explore in [explore(), explore().preemptions(2), explore().delays(2), explore().random(100)]
    {
        let report = explore.run(trusts_the_notification);
        assert_eq!(kinds(&report), [Kind::Panic], "{report}");
    }
    let without = explore().preemptions(2).wakeups(0).run(trusts_the_notification);
    without.assert_clean();
}

#[test]
fn parking_may_end_for_nothing_too() {
    let report = Explore::new("parks").shuttle().run(|_| -> Outcome {
        let flag = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&flag);
        let sleeper = thread::spawn(move || {
            if its.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
            assert_eq!(its.load(Ordering::SeqCst), 1, "woken for nothing");
        });
        flag.store(1, Ordering::SeqCst);
        sleeper.thread().unpark();
        sleeper.join().expect("no panic");
        Ok(1)
    });
    assert_eq!(kinds(&report), [Kind::Panic], "{report}");
}

/// Gives up after a time, although the answer comes at last.
fn gives_up(_: &Heap) -> Outcome {
    let (sender, receiver) = mallory::sync::mpsc::channel();
    let other = thread::spawn(move || sender.send(7));
    let answer = receiver.recv_timeout(Duration::from_millis(5));
    let _ = other.join().expect("no panic");
    answer.map_err(|_| mallory::Refused)
}

#[test]
fn a_time_may_be_up_before_the_answer_comes() {
    let explore = || Explore::new("gives-up").shuttle().preemptions(1);
    let report = explore().run(gives_up);
    assert_eq!(kinds(&report), [Kind::WrongError], "{report}");
    explore().wakeups(0).run(gives_up).assert_clean();
}

/// Three threads that each change a number twice.
fn many_orders(_: &Heap) -> Outcome {
    let number = Arc::new(AtomicUsize::new(1));
    let threads: Vec<_> = (1..=3)
        .map(|factor| {
            let number = Arc::clone(&number);
            thread::spawn(move || {
                for _ in 0..2 {
                    number.fetch_add(factor, Ordering::SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    Ok(number.load(Ordering::SeqCst) as u64)
}

#[test]
fn a_search_that_its_limit_cut_off_is_incomplete() {
    for explore in [Explore::new("many"), Explore::new("many").preemptions(2)] {
        let report = explore.shuttle().schedules(5).run(many_orders);
        assert_eq!(report.verdict(), Verdict::Incomplete, "{report}");
        assert_eq!(report.exit_code(), 3, "{report}");
    }
    let whole = Explore::new("many").shuttle().unbounded().run(many_orders);
    assert_eq!(whole.verdict(), Verdict::Clean, "{whole}");
    assert!(whole.to_string().contains("exhaustive, there is no other"), "{whole}");
}

#[test]
fn a_bug_in_the_first_schedule_is_a_finding() {
    for (fails, kind) in [(true, Kind::Panic), (false, Kind::WrongError)] {
        let explore = || Explore::new("first_schedule").shuttle().preemptions(1);
        let body = |_: &Heap| -> Outcome {
            thread::spawn(|| {}).join().expect("no panic");
            assert!(!fails, "it always fails");
            Err(mallory::Refused)
        };
        let report = explore().run(body);
        assert_eq!(kinds(&report), [kind], "{report}");
        assert_eq!(report.exit_code(), 1, "{report}");
        let token = report.findings()[0].token().clone();
        assert!(token.to_string().contains("s=-"), "{token}");
        let again = explore().replay(token).run(body);
        assert!(again.row().contains("reproduced"), "{again}");
    }
}

#[test]
fn a_search_ends_with_its_first_finding_if_that_is_wanted() {
    let all = Explore::new("trusts").shuttle().preemptions(2).run(trusts_the_notification);
    let explore = Explore::new("trusts").shuttle().preemptions(2).stop_at_first();
    let report = explore.run(trusts_the_notification);
    assert_eq!(kinds(&report), [Kind::Panic], "{report}");
    assert!(report.coverage().schedules < all.coverage().schedules, "{report}");
    assert!(report.to_string().contains("ended with the first finding"), "{report}");
}

#[test]
fn two_hundred_threads_are_explored() {
    let report = Explore::new("crowd").shuttle().delays(1).schedules(500).run(|_| -> Outcome {
        let sum = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..200)
            .map(|_| {
                let sum = Arc::clone(&sum);
                thread::spawn(move || sum.fetch_add(1, Ordering::SeqCst))
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        assert_eq!(joined.count(), 200);
        Ok(sum.load(Ordering::SeqCst) as u64)
    });
    assert!(kinds(&report).is_empty() && report.error().is_none(), "{report}");
    assert!(report.to_string().contains("201 threads"), "{report}");
}
