//! Mutexes, locks for readers and writers, condition variables, and values that are made once.

use std::sync::atomic::Ordering as Std;

#[cfg(not(feature = "shuttle"))]
use crate::host::tests::engines::Body;
#[cfg(feature = "shuttle")]
use crate::host::tests::engines::on_shuttle;
use crate::host::tests::engines::{on_all_engines, results};
use crate::rt;
use crate::sync::{Arc, Condvar, Mutex, Once, OnceLock, RwLock};
use crate::thread;

#[test]
fn a_mutex_keeps_the_other_thread_out() {
    fn locked() -> u64 {
        let log = Arc::new(Mutex::new(Vec::new()));
        let cloned = Arc::clone(&log);
        let other = thread::spawn(move || {
            let mut log = cloned.lock().expect("no poisoning");
            log.push(1);
            log.push(2);
        });
        {
            let mut log = log.lock().expect("no poisoning");
            log.push(3);
            log.push(4);
        }
        other.join().expect("no panic");
        let log = log.lock().expect("no poisoning");
        log.iter().fold(0, |all, digit| all * 10 + digit)
    }
    assert_eq!(on_all_engines(locked).results, results([1234, 3412]));
}

#[test]
fn two_locks_in_opposite_orders_are_a_deadlock_and_in_one_order_none() {
    fn pair(crossed: bool) -> u64 {
        let locks = Arc::new((Mutex::new(0_u64), Mutex::new(0_u64)));
        let cloned = Arc::clone(&locks);
        let other = thread::spawn(move || {
            let (first, second) =
                if crossed { (&cloned.1, &cloned.0) } else { (&cloned.0, &cloned.1) };
            let mut first = first.lock().expect("no poisoning");
            let mut second = second.lock().expect("no poisoning");
            *first += 1;
            *second += 1;
        });
        {
            let mut first = locks.0.lock().expect("no poisoning");
            let mut second = locks.1.lock().expect("no poisoning");
            *first += 1;
            *second += 1;
        }
        other.join().expect("no panic");
        let sum = *locks.0.lock().expect("no poisoning");
        sum + *locks.1.lock().expect("no poisoning")
    }
    assert!(on_all_engines(|| pair(true)).deadlock);
    let blocked = rt::deadlock().expect("the last run ended in a deadlock");
    let mut waits: Vec<(u16, Vec<u16>)> = Vec::new();
    for thread in &blocked {
        waits.push((thread.thread, thread.holders.iter().map(|(holder, _)| *holder).collect()));
    }
    assert_eq!(waits, [(0, vec![1]), (1, vec![0])], "each waits for what the other holds");
    let straight = on_all_engines(|| pair(false));
    assert_eq!((straight.results, straight.deadlock), (results([4]), false));
}

#[test]
fn readers_read_together_and_writers_write_alone() {
    fn beside(writes: bool) -> u64 {
        let shared = Arc::new(RwLock::new(0_u64));
        let cloned = Arc::clone(&shared);
        let other = thread::spawn(move || cloned.try_read().is_ok());
        if writes {
            *shared.write().expect("no poisoning") += 1;
        } else {
            drop(shared.read().expect("no poisoning"));
        }
        u64::from(other.join().expect("no panic"))
    }
    assert_eq!(on_all_engines(|| beside(false)).results, results([1]));
    // Loom does not switch threads while a lock is held and nothing else happens.
    #[cfg(feature = "shuttle")]
    assert_eq!(on_shuttle(|| beside(true)).results, results([0, 1]));
}

/// Std lets a reader wait behind a writer that waits. So a thread that reads while it reads may wait
/// for itself. A lock that no thread writes, and two locks, are no danger.
#[cfg(feature = "shuttle")]
#[test]
fn a_thread_that_reads_twice_waits_for_a_writer_that_waits_for_it() {
    fn reading(writes: bool, twice: bool) -> u64 {
        let shared = Arc::new((RwLock::new(1_u64), RwLock::new(2_u64)));
        let cloned = Arc::clone(&shared);
        let other = thread::spawn(move || {
            if writes {
                *cloned.0.write().expect("no poisoning") += 2;
            } else {
                drop(cloned.0.read().expect("no poisoning"));
            }
        });
        let sum = {
            let first = shared.0.read().expect("no poisoning");
            let lock = if twice { &shared.0 } else { &shared.1 };
            let second = lock.read().expect("no poisoning");
            *first + *second
        };
        other.join().expect("no panic");
        sum
    }
    let crossed = on_shuttle(|| reading(true, true));
    assert_eq!((crossed.results, crossed.deadlock), (results([2, 6]), true));
    let unwritten = on_shuttle(|| reading(false, true));
    assert_eq!((unwritten.results, unwritten.deadlock), (results([2]), false));
    let apart = on_shuttle(|| reading(true, false));
    assert_eq!((apart.results, apart.deadlock), (results([3, 5]), false));
    assert_eq!(reading(false, true), 2, "and outside of a model");
}

#[test]
fn a_notice_wakes_who_waits_and_a_lost_one_is_a_deadlock() {
    fn handed(checks: bool) -> u64 {
        let place = Arc::new((Mutex::new(0_u64), Condvar::new()));
        let cloned = Arc::clone(&place);
        let other = thread::spawn(move || {
            *cloned.0.lock().expect("no poisoning") = 7;
            cloned.1.notify_one();
        });
        let mut value = place.0.lock().expect("no poisoning");
        while checks && *value == 0 {
            value = place.1.wait(value).expect("no poisoning");
        }
        if !checks {
            value = place.1.wait(value).expect("no poisoning");
        }
        let found = *value;
        drop(value);
        other.join().expect("no panic");
        found
    }
    let checked = on_all_engines(|| handed(true));
    assert_eq!((checked.results, checked.deadlock), (results([7]), false));
    assert!(on_all_engines(|| handed(false)).deadlock);
}

#[test]
fn one_notice_wakes_either_of_two_and_not_both() {
    fn woken() -> u64 {
        let place = Arc::new((Mutex::new((0_u64, 0_u64)), Condvar::new()));
        let waiter = |digit: u64| {
            let cloned = Arc::clone(&place);
            thread::spawn(move || {
                let mut value = cloned.0.lock().expect("no poisoning");
                while value.0 == 0 {
                    value = cloned.1.wait(value).expect("no poisoning");
                }
                value.0 -= 1;
                value.1 = value.1 * 10 + digit;
            })
        };
        let waiters = [waiter(1), waiter(2)];
        place.0.lock().expect("no poisoning").0 = 2;
        place.1.notify_one();
        place.1.notify_one();
        for waiter in waiters {
            waiter.join().expect("no panic");
        }
        place.0.lock().expect("no poisoning").1
    }
    #[cfg(feature = "shuttle")]
    {
        let seen = on_shuttle(woken);
        assert_eq!((seen.results, seen.deadlock), (results([12, 21]), false), "{} runs", seen.runs);
    }
    #[cfg(not(feature = "shuttle"))]
    let _: Body = woken;
}

#[test]
fn a_value_is_made_once_whoever_comes_first() {
    static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn made() -> u64 {
        let place = Arc::new(OnceLock::new());
        let cloned = Arc::clone(&place);
        let make = |value: u64| {
            MADE.fetch_add(1, Std::Relaxed);
            value
        };
        let before = MADE.load(Std::Relaxed);
        let other = thread::spawn(move || *cloned.get_or_init(|| make(1)));
        let value = *place.get_or_init(|| make(2));
        assert_eq!(other.join().expect("no panic"), value);
        assert_eq!(MADE.load(Std::Relaxed), before + 1);
        value
    }
    assert_eq!(on_all_engines(made).results, results([1, 2]));
}

#[test]
fn a_thread_waits_for_a_value_that_another_one_sets() {
    fn awaited(sets: bool) -> u64 {
        let place = Arc::new(OnceLock::new());
        let cloned = Arc::clone(&place);
        let other =
            thread::spawn(move || if sets { cloned.set(7_u64).map_or(0, |()| 1) } else { 0 });
        let value = *place.wait();
        assert_eq!(format!("{place:?}"), "OnceLock(7)");
        assert!(*place == OnceLock::from(7) && *place != OnceLock::new());
        value + other.join().expect("no panic")
    }
    let set = on_all_engines(|| awaited(true));
    assert_eq!((set.results, set.deadlock), (results([8]), false));
    assert!(on_all_engines(|| awaited(false)).deadlock, "nothing sets it");
    assert_eq!(awaited(true), 8, "and outside of a model");
}

#[test]
fn a_thread_waits_until_work_is_done_or_has_panicked() {
    fn awaited() -> u64 {
        let once = Arc::new(Once::new());
        let cloned = Arc::clone(&once);
        let other = thread::spawn(move || {
            cloned.wait();
            u64::from(cloned.is_completed())
        });
        once.call_once(|| {});
        other.join().expect("no panic")
    }
    fn poisoned(is_repeated: bool) -> u64 {
        let once = Arc::new(Once::new());
        let cloned = Arc::clone(&once);
        let waiter =
            thread::spawn(move || if is_repeated { cloned.wait_force() } else { cloned.wait() });
        let worker = Arc::clone(&once);
        let work = thread::spawn(move || worker.call_once(|| panic!("the work fails")));
        assert!(work.join().is_err());
        if is_repeated {
            once.call_once_force(|state| assert!(state.is_poisoned()));
        }
        u64::from(waiter.join().is_ok())
    }
    let seen = on_all_engines(awaited);
    assert_eq!((seen.results, seen.deadlock), (results([1]), false));
    assert_eq!(awaited(), 1, "and outside of a model");
    // Under loom a run ends with a thread that panics and then notifies others.
    #[cfg(feature = "shuttle")]
    {
        assert_eq!(on_shuttle(|| poisoned(false)).results, results([0]));
        assert_eq!(on_shuttle(|| poisoned(true)).results, results([1]));
    }
    assert_eq!((poisoned(false), poisoned(true)), (0, 1), "and outside of a model");
}

#[test]
fn locks_give_their_values_up_and_are_cured() {
    fn cured() -> u64 {
        let mut locks = (Mutex::new(1_u64), RwLock::new(2_u64));
        let broken = |lock: &Mutex<u64>| {
            let hold = || {
                let _guard = lock.lock();
                panic!("while it is held");
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(hold)).is_err()
        };
        assert!(broken(&locks.0) && locks.0.is_poisoned() && locks.0.get_mut().is_err());
        locks.0.clear_poison();
        *locks.0.get_mut().expect("it was cured") += 2;
        *locks.1.get_mut().expect("it was never poisoned") += 4;
        let first = locks.0.into_inner().expect("it was cured");
        first * 10 + locks.1.into_inner().expect("it was never poisoned")
    }
    assert_eq!(on_all_engines(cured).results, results([36]));
    assert_eq!(cured(), 36, "and outside of a model");
}

/// What std's types promise to `catch_unwind` and to other threads, ours promise as well.
#[test]
fn the_twins_have_the_auto_traits_of_stds_types() {
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    fn is_shared<T: Send + Sync>() {}
    type Plain = std::cell::Cell<u8>;
    unwinds::<(Mutex<Plain>, RwLock<Plain>, Condvar, Once)>();
    unwinds::<(crate::sync::Barrier, OnceLock<u8>, crate::sync::LazyLock<u8>)>();
    unwinds::<(crate::sync::atomic::AtomicUsize, crate::sync::atomic::AtomicPtr<u8>)>();
    is_shared::<(Mutex<Plain>, RwLock<u8>, Condvar, Once, crate::sync::Barrier, OnceLock<u8>)>();
    is_shared::<(crate::sync::atomic::AtomicPtr<Plain>, crate::sync::mpsc::Sender<Plain>)>();
    is_shared::<(thread::Thread, thread::JoinHandle<u8>, thread::Scope<'_, '_>)>();
}
