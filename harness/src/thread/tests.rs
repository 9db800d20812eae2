//! The twins of `std::sync` and `std::thread` under both model checkers, in every order there is.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering as Std};

use crate::rt;
use crate::rt::CurrentEngine;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex, OnceLock, RwLock, mpsc};
use crate::thread;

/// What came of a body in all orders of its threads.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    answers: BTreeSet<u64>,
    runs: usize,
    /// Whether no thread could go on in some order.
    stuck: bool,
}

type Body = fn() -> u64;

#[cfg(feature = "shuttle")]
fn shuttle(body: Body) -> Seen {
    let seen: &'static std::sync::Mutex<Seen> = Box::leak(Box::default());
    let run = move || {
        rt::begin(CurrentEngine::Shuttle);
        let answer = body();
        rt::end();
        let mut seen = seen.lock().expect("nobody panics with it");
        seen.answers.insert(answer);
        seen.runs += 1;
    };
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    let search = shuttle::scheduler::DfsScheduler::new(Some(200_000), false);
    let runner = shuttle::Runner::new(search, config);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runner.run(run)));
    rt::end();
    let mut seen = std::mem::take(&mut *seen.lock().expect("nobody panics with it"));
    seen.stuck = rt::stuck().is_some();
    assert!(ended.is_ok() || seen.stuck, "only a deadlock ends it early");
    seen
}

#[cfg(feature = "loom")]
fn loom(body: Body) -> Seen {
    let seen: &'static std::sync::Mutex<Seen> = Box::leak(Box::default());
    let run = move || {
        rt::begin(CurrentEngine::Loom);
        let answer = body();
        rt::end();
        let mut seen = seen.lock().expect("nobody panics with it");
        seen.answers.insert(answer);
        seen.runs += 1;
    };
    let checked = std::panic::catch_unwind(|| loom::model::Builder::new().check(run));
    rt::end();
    let mut seen = std::mem::take(&mut *seen.lock().expect("nobody panics with it"));
    seen.stuck = rt::stuck().is_some();
    assert!(checked.is_ok() || seen.stuck, "only a deadlock ends it early");
    seen
}

/// What all engines of this build see, which has to be the same.
fn everywhere(body: Body) -> Seen {
    let mut all: Vec<Seen> = Vec::new();
    #[cfg(feature = "shuttle")]
    all.push(shuttle(body));
    #[cfg(feature = "loom")]
    all.push(loom(body));
    let first = all.remove(0);
    for other in all {
        assert_eq!((&other.answers, other.stuck), (&first.answers, first.stuck));
    }
    first
}

fn answers(answers: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    answers.into_iter().collect()
}

#[test]
fn a_load_and_a_store_lose_an_addition_and_one_change_does_not() {
    fn apart() -> u64 {
        let count = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&count);
        let other = thread::spawn(move || {
            let found = its.load(Ordering::SeqCst);
            its.store(found + 1, Ordering::SeqCst);
        });
        let found = count.load(Ordering::SeqCst);
        count.store(found + 1, Ordering::SeqCst);
        other.join().expect("it doesn't panic");
        count.load(Ordering::SeqCst) as u64
    }
    fn at_once() -> u64 {
        let count = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&count);
        let other = thread::spawn(move || its.fetch_add(1, Ordering::SeqCst));
        count.fetch_add(1, Ordering::SeqCst);
        other.join().expect("it doesn't panic");
        count.load(Ordering::SeqCst) as u64
    }
    assert_eq!(everywhere(apart).answers, answers([1, 2]));
    assert_eq!(everywhere(at_once).answers, answers([2]));
}

#[test]
fn a_mutex_keeps_the_other_thread_out() {
    fn locked() -> u64 {
        let log = Arc::new(Mutex::new(Vec::new()));
        let its = Arc::clone(&log);
        let other = thread::spawn(move || {
            let mut log = its.lock().expect("nobody panics");
            log.push(1);
            log.push(2);
        });
        {
            let mut log = log.lock().expect("nobody panics");
            log.push(3);
            log.push(4);
        }
        other.join().expect("it doesn't panic");
        let log = log.lock().expect("nobody panics");
        log.iter().fold(0, |all, digit| all * 10 + digit)
    }
    assert_eq!(everywhere(locked).answers, answers([1234, 3412]));
}

#[test]
fn two_locks_in_opposite_orders_are_a_deadlock_and_in_one_order_none() {
    fn pair(crossed: bool) -> u64 {
        let locks = Arc::new((Mutex::new(0_u64), Mutex::new(0_u64)));
        let its = Arc::clone(&locks);
        let other = thread::spawn(move || {
            let (first, second) = if crossed { (&its.1, &its.0) } else { (&its.0, &its.1) };
            let mut first = first.lock().expect("nobody panics");
            let mut second = second.lock().expect("nobody panics");
            *first += 1;
            *second += 1;
        });
        {
            let mut first = locks.0.lock().expect("nobody panics");
            let mut second = locks.1.lock().expect("nobody panics");
            *first += 1;
            *second += 1;
        }
        other.join().expect("it doesn't panic");
        let sum = *locks.0.lock().expect("nobody panics");
        sum + *locks.1.lock().expect("nobody panics")
    }
    assert!(everywhere(|| pair(true)).stuck);
    let blocked = rt::stuck().expect("the last run was stuck");
    let mut waits: Vec<(u16, Vec<u16>)> = Vec::new();
    for thread in &blocked {
        waits.push((thread.thread, thread.holders.iter().map(|(holder, _)| *holder).collect()));
    }
    assert_eq!(waits, [(0, vec![1]), (1, vec![0])], "each waits for what the other has");
    let straight = everywhere(|| pair(false));
    assert_eq!((straight.answers, straight.stuck), (answers([4]), false));
}

#[test]
fn readers_read_together_and_writers_write_alone() {
    fn beside(writes: bool) -> u64 {
        let shared = Arc::new(RwLock::new(0_u64));
        let its = Arc::clone(&shared);
        let other = thread::spawn(move || its.try_read().is_ok());
        if writes {
            *shared.write().expect("nobody panics") += 1;
        } else {
            drop(shared.read().expect("nobody panics"));
        }
        u64::from(other.join().expect("it doesn't panic"))
    }
    assert_eq!(everywhere(|| beside(false)).answers, answers([1]));
    // Loom does not change threads between the taking and the giving back of a lock.
    #[cfg(feature = "shuttle")]
    assert_eq!(shuttle(|| beside(true)).answers, answers([0, 1]));
}

#[test]
fn a_notice_wakes_who_waits_and_a_lost_one_is_a_deadlock() {
    fn handed(looks: bool) -> u64 {
        let place = Arc::new((Mutex::new(0_u64), Condvar::new()));
        let its = Arc::clone(&place);
        let other = thread::spawn(move || {
            *its.0.lock().expect("nobody panics") = 7;
            its.1.notify_one();
        });
        let mut value = place.0.lock().expect("nobody panics");
        while looks && *value == 0 {
            value = place.1.wait(value).expect("nobody panics");
        }
        if !looks {
            value = place.1.wait(value).expect("nobody panics");
        }
        let found = *value;
        drop(value);
        other.join().expect("it doesn't panic");
        found
    }
    let looked = everywhere(|| handed(true));
    assert_eq!((looked.answers, looked.stuck), (answers([7]), false));
    assert!(everywhere(|| handed(false)).stuck);
}

#[test]
fn one_notice_wakes_either_of_two_and_not_both() {
    fn woken() -> u64 {
        let place = Arc::new((Mutex::new((0_u64, 0_u64)), Condvar::new()));
        let waiter = |mine: u64| {
            let its = Arc::clone(&place);
            thread::spawn(move || {
                let mut value = its.0.lock().expect("nobody panics");
                while value.0 == 0 {
                    value = its.1.wait(value).expect("nobody panics");
                }
                value.0 -= 1;
                value.1 = value.1 * 10 + mine;
            })
        };
        let waiters = [waiter(1), waiter(2)];
        place.0.lock().expect("nobody panics").0 = 2;
        place.1.notify_one();
        place.1.notify_one();
        for waiter in waiters {
            waiter.join().expect("it doesn't panic");
        }
        place.0.lock().expect("nobody panics").1
    }
    #[cfg(feature = "shuttle")]
    {
        let seen = shuttle(woken);
        assert_eq!((seen.answers, seen.stuck), (answers([12, 21]), false), "{} runs", seen.runs);
    }
    #[cfg(not(feature = "shuttle"))]
    let _: Body = woken;
}

#[test]
fn a_value_is_made_once_whoever_comes_first() {
    static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn made() -> u64 {
        let place = Arc::new(OnceLock::new());
        let its = Arc::clone(&place);
        let make = |value: u64| {
            MADE.fetch_add(1, Std::Relaxed);
            value
        };
        let before = MADE.load(Std::Relaxed);
        let other = thread::spawn(move || *its.get_or_init(|| make(1)));
        let mine = *place.get_or_init(|| make(2));
        let its = other.join().expect("it doesn't panic");
        assert_eq!(mine, its);
        assert_eq!(MADE.load(Std::Relaxed), before + 1);
        mine
    }
    assert_eq!(everywhere(made).answers, answers([1, 2]));
}

#[test]
fn a_channel_hands_over_and_ends_with_its_last_sender() {
    fn sent() -> u64 {
        let (sender, receiver) = mpsc::channel();
        let other = thread::spawn(move || {
            sender.send(1).expect("somebody receives");
            sender.send(2).expect("somebody receives");
        });
        let sum: u64 = receiver.iter().fold(0, |all, digit| all * 10 + digit);
        other.join().expect("it doesn't panic");
        sum
    }
    let seen = everywhere(sent);
    assert_eq!((seen.answers, seen.stuck), (answers([12]), false));
}

#[test]
fn a_channel_with_a_bound_lets_a_sender_wait() {
    fn bounded(bound: usize) -> u64 {
        let (sender, receiver) = mpsc::sync_channel(bound);
        let ahead = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&ahead);
        let other = thread::spawn(move || {
            for value in 1..=2 {
                sender.send(value).expect("somebody receives");
                its.fetch_add(1, Ordering::SeqCst);
            }
        });
        // How many it had sent before any was taken.
        let before = ahead.load(Ordering::SeqCst) as u64;
        let sum: u64 = receiver.iter().fold(0, |all, digit| all * 10 + digit);
        other.join().expect("it doesn't panic");
        assert_eq!(sum, 12);
        before
    }
    assert_eq!(everywhere(|| bounded(0)).answers, answers([0]));
    assert_eq!(everywhere(|| bounded(1)).answers, answers([0, 1]));
    assert_eq!(everywhere(|| bounded(2)).answers, answers([0, 1, 2]));
    assert_eq!(bounded(0), 0, "and outside of a model");
}

#[test]
fn a_sender_that_waits_gets_its_value_back_where_nobody_receives_any_more() {
    fn left() -> u64 {
        let (sender, receiver) = mpsc::sync_channel::<u64>(0);
        let other = thread::spawn(move || sender.send(7).expect_err("nobody receives").0);
        drop(receiver);
        other.join().expect("it doesn't panic")
    }
    let seen = everywhere(left);
    assert_eq!((seen.answers, seen.stuck), (answers([7]), false));
    let (sender, receiver) = mpsc::sync_channel(1);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Err(mpsc::TrySendError::Full(2)));
    let time = std::time::Duration::from_millis(1);
    assert_eq!(receiver.recv_timeout(time), Ok(1));
    assert_eq!(receiver.recv_timeout(time), Err(mpsc::RecvTimeoutError::Timeout));
    drop(receiver);
    assert_eq!(sender.try_send(3), Err(mpsc::TrySendError::Disconnected(3)));
}

#[test]
fn a_thread_that_parks_goes_on_once_it_is_woken_before_or_after() {
    fn parked() -> u64 {
        let count = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&count);
        let first = thread::current();
        let other = thread::spawn(move || {
            thread::park();
            let found = its.load(Ordering::SeqCst);
            first.unpark();
            found as u64
        });
        count.store(1, Ordering::SeqCst);
        other.thread().unpark();
        thread::park();
        other.join().expect("it doesn't panic")
    }
    fn forgotten() -> u64 {
        thread::spawn(thread::park).join().map_or(0, |()| 1)
    }
    let seen = everywhere(parked);
    assert_eq!((seen.answers, seen.stuck), (answers([1]), false));
    assert!(everywhere(forgotten).stuck, "nobody wakes it");
    assert_eq!(parked(), 1, "and outside of a model");
}

#[test]
fn threads_have_the_names_they_are_given_and_are_told_apart() {
    fn named() -> u64 {
        let me = || {
            let current = thread::current();
            (current.name().map(str::to_owned), current.id())
        };
        let builder = || thread::Builder::new().name("worker".to_owned()).stack_size(1 << 16);
        let other = builder().spawn(me).expect("there is room");
        let handle = other.thread().clone();
        let (name, id) = other.join().expect("it doesn't panic");
        assert_eq!((name.as_deref(), handle.name()), (Some("worker"), Some("worker")));
        assert_eq!(handle.id(), id);
        assert_ne!(id, thread::current().id());
        thread::scope(|scope| {
            let other = builder().spawn_scoped(scope, me).expect("there is room");
            assert_eq!(other.thread().name(), Some("worker"));
            assert_eq!(other.join().expect("it doesn't panic").0.as_deref(), Some("worker"));
        });
        1
    }
    assert_eq!(everywhere(named).answers, answers([1]));
    assert_eq!(named(), 1, "and outside of a model");
}

#[test]
fn scoped_threads_borrow_and_have_ended_after_the_scope() {
    fn scoped() -> u64 {
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| count.fetch_add(1, Ordering::SeqCst));
            let other = scope.spawn(|| count.fetch_add(1, Ordering::SeqCst));
            other.join().expect("it doesn't panic");
        });
        count.load(Ordering::SeqCst) as u64
    }
    assert_eq!(everywhere(scoped).answers, answers([2]));
    assert_eq!(scoped(), 2, "and outside of a model");
}

#[test]
fn a_panic_in_a_thread_is_an_error_for_whoever_joins_it() {
    fn joined() -> u64 {
        let other = thread::spawn(|| -> u64 { panic!("one of its own") });
        let failed = other.join().is_err();
        let (thread, said) = rt::panicked().expect("it is noted");
        assert_eq!((thread, said.as_str()), (1, "one of its own"));
        u64::from(failed)
    }
    assert_eq!(everywhere(joined).answers, answers([1]));
}

crate::thread::thread_local!(static MINE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });

#[test]
fn a_thread_local_is_the_logical_threads_and_goes_with_it() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    struct Noted;
    impl Drop for Noted {
        fn drop(&mut self) {
            DROPPED.store(true, Std::Relaxed);
        }
    }
    crate::thread::thread_local!(static NOTED: Noted = Noted);
    fn local() -> u64 {
        DROPPED.store(false, Std::Relaxed);
        MINE.set(1);
        let other = thread::spawn(|| {
            NOTED.with(|_| {});
            let before = MINE.get();
            MINE.set(before + 2);
            thread::yield_now();
            MINE.get()
        });
        thread::yield_now();
        let its = other.join().expect("it doesn't panic");
        assert!(DROPPED.load(Std::Relaxed), "a thread's locals end with it");
        MINE.get() * 10 + its
    }
    assert_eq!(everywhere(local).answers, answers([12]));
}

#[test]
fn each_thread_knows_its_number_after_every_change() {
    fn numbered() -> u64 {
        let lock = Arc::new(Mutex::new(()));
        let check = |lock: &Mutex<()>, number: u16| {
            for _ in 0..2 {
                assert_eq!(rt::logical(), number);
                drop(lock.lock());
                assert_eq!(rt::logical(), number);
            }
            u64::from(rt::logical())
        };
        let start = || {
            let its = Arc::clone(&lock);
            thread::spawn(move || check(&its, rt::logical()))
        };
        let others = [start(), start()];
        check(&lock, 0);
        let mut all = 0;
        for other in others {
            all = all * 10 + other.join().expect("it doesn't panic");
        }
        all
    }
    assert_eq!(everywhere(numbered).answers, answers([12]));
}

#[cfg(feature = "loom")]
#[test]
fn only_loom_sees_a_publication_without_an_order() {
    fn published(order: Ordering) -> u64 {
        let place = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let its = Arc::clone(&place);
        let other = thread::spawn(move || {
            its.0.store(1, Ordering::Relaxed);
            its.1.store(1, order);
        });
        let ready =
            place.1.load(if order == Ordering::Relaxed { order } else { Ordering::Acquire });
        let value = place.0.load(Ordering::Relaxed);
        other.join().expect("it doesn't panic");
        (ready * 10 + value) as u64
    }
    assert_eq!(loom(|| published(Ordering::Relaxed)).answers, answers([0, 1, 10, 11]));
    assert_eq!(loom(|| published(Ordering::Release)).answers, answers([0, 1, 11]));
    #[cfg(feature = "shuttle")]
    assert_eq!(shuttle(|| published(Ordering::Relaxed)).answers, answers([0, 1, 11]));
}
