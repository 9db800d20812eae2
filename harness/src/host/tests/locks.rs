//! Mutexes, locks for readers and writers, condition variables, and values that are made once.

use std::sync::atomic::Ordering as Std;

#[cfg(not(feature = "shuttle"))]
use crate::host::tests::engines::Body;
#[cfg(feature = "shuttle")]
use crate::host::tests::engines::on_shuttle;
use crate::host::tests::engines::{on_all_engines, results};
use crate::rt;
use crate::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};
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
