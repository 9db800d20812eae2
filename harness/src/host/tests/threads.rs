//! Threads: parking, names, scopes, panics, thread-locals and numbers.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering as Std};

#[cfg(feature = "shuttle")]
use crate::host::tests::engines::on_shuttle;
use crate::host::tests::engines::{on_all_engines, results};
use crate::rt;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, mpsc};
use crate::thread;

#[test]
fn a_thread_that_parks_goes_on_once_it_is_woken_before_or_after() {
    fn parked() -> u64 {
        let count = Arc::new(AtomicUsize::new(0));
        let cloned = Arc::clone(&count);
        let first = thread::current();
        let other = thread::spawn(move || {
            thread::park();
            let found = cloned.load(Ordering::SeqCst);
            first.unpark();
            found as u64
        });
        count.store(1, Ordering::SeqCst);
        other.thread().unpark();
        thread::park();
        other.join().expect("no panic")
    }
    fn forgotten() -> u64 {
        thread::spawn(thread::park).join().map_or(0, |()| 1)
    }
    let seen = on_all_engines(parked);
    assert_eq!((seen.results, seen.deadlock), (results([1]), false));
    assert!(on_all_engines(forgotten).deadlock, "no thread unparks it");
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
        let other = builder().spawn(me).expect("the thread starts");
        let handle = other.thread().clone();
        let (name, id) = other.join().expect("no panic");
        assert_eq!((name.as_deref(), handle.name()), (Some("worker"), Some("worker")));
        assert_eq!(handle.id(), id);
        assert_ne!(id, thread::current().id());
        thread::scope(|scope| {
            let other = builder().spawn_scoped(scope, me).expect("the thread starts");
            assert_eq!(other.thread().name(), Some("worker"));
            assert_eq!(other.join().expect("no panic").0.as_deref(), Some("worker"));
        });
        1
    }
    assert_eq!(on_all_engines(named).results, results([1]));
    assert_eq!(named(), 1, "and outside of a model");
}

#[test]
fn scoped_threads_borrow_and_have_ended_after_the_scope() {
    fn scoped() -> u64 {
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| count.fetch_add(1, Ordering::SeqCst));
            let other = scope.spawn(|| count.fetch_add(1, Ordering::SeqCst));
            other.join().expect("no panic");
        });
        count.load(Ordering::SeqCst) as u64
    }
    assert_eq!(on_all_engines(scoped).results, results([2]));
    assert_eq!(scoped(), 2, "and outside of a model");
}

#[test]
fn a_panic_in_a_thread_is_an_error_for_whoever_joins_it() {
    fn joined() -> u64 {
        let other = thread::spawn(|| -> u64 { panic!("the thread's panic") });
        let failed = other.join().is_err();
        let (thread, message) = rt::first_panic().expect("the panic is noted");
        assert_eq!((thread, message.as_str()), (1, "the thread's panic"));
        u64::from(failed)
    }
    assert_eq!(on_all_engines(joined).results, results([1]));
}

crate::thread::thread_local!(static LOCAL: Cell<u64> = const { Cell::new(0) });

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
        LOCAL.set(1);
        let other = thread::spawn(|| {
            NOTED.with(|_| {});
            let before = LOCAL.get();
            LOCAL.set(before + 2);
            thread::yield_now();
            LOCAL.get()
        });
        thread::yield_now();
        let others = other.join().expect("no panic");
        assert!(DROPPED.load(Std::Relaxed), "a thread drops its thread-locals at its end");
        LOCAL.get() * 10 + others
    }
    assert_eq!(on_all_engines(local).results, results([12]));
}

#[test]
fn each_thread_knows_its_number_after_every_change() {
    fn numbered() -> u64 {
        let lock = Arc::new(Mutex::new(()));
        let check = |lock: &Mutex<()>, number: u16| {
            for _ in 0..2 {
                assert_eq!(rt::current_thread(), number);
                drop(lock.lock());
                assert_eq!(rt::current_thread(), number);
            }
            u64::from(rt::current_thread())
        };
        let start = || {
            let cloned = Arc::clone(&lock);
            thread::spawn(move || check(&cloned, rt::current_thread()))
        };
        let others = [start(), start()];
        check(&lock, 0);
        let mut all = 0;
        for other in others {
            all = all * 10 + other.join().expect("no panic");
        }
        all
    }
    assert_eq!(on_all_engines(numbered).results, results([12]));
}

#[test]
fn thread_locals_in_cells_are_set_replaced_and_taken() {
    crate::thread::thread_local!(static PLACE: RefCell<u64> = const { RefCell::new(1) });
    fn replaced() -> u64 {
        PLACE.set(1);
        let other = thread::spawn(|| {
            PLACE.set(5);
            PLACE.replace(6) * 10 + PLACE.take()
        });
        let others = other.join().expect("no panic");
        others * 10 + PLACE.replace(2)
    }
    assert_eq!(on_all_engines(replaced).results, results([561]));
    assert_eq!(replaced(), 561, "and outside of a model");
}

#[test]
fn a_run_never_knows_how_many_cores_the_machine_has() {
    fn cores() -> u64 {
        thread::available_parallelism().map_or(0, |cores| cores.get() as u64)
    }
    assert_eq!(on_all_engines(cores).results, results([2]));
    let real = std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64);
    assert_eq!(cores(), real, "but outside of a model it does");
}

#[cfg(feature = "shuttle")]
#[test]
fn what_an_abandoned_run_leaves_in_thread_locals_is_never_dropped() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    struct Noted;
    impl Drop for Noted {
        fn drop(&mut self) {
            DROPPED.store(true, Std::Relaxed);
        }
    }
    crate::thread::thread_local!(static NOTED: Noted = Noted);
    fn stuck() -> u64 {
        NOTED.with(|_| {});
        let lock = Mutex::new(());
        let _held = lock.lock();
        let _never = lock.lock();
        0
    }
    // The thread ends, and with it its thread-locals.
    let other = std::thread::spawn(|| on_shuttle(stuck).deadlock);
    assert!(other.join().expect("no panic"));
    assert!(!DROPPED.load(Std::Relaxed));
}

#[test]
fn a_result_that_nobody_can_get_is_dropped_while_the_thread_has_its_thread_locals() {
    crate::thread::thread_local!(static PLACE: Cell<u64> = const { Cell::new(0) });
    struct SendsLocal(mpsc::Sender<u64>);
    impl Drop for SendsLocal {
        fn drop(&mut self) {
            let _ = self.0.send(PLACE.get());
        }
    }
    fn sent(is_detached: bool) -> u64 {
        let (sender, receiver) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let other = thread::spawn(move || {
            PLACE.set(1);
            gone.recv().expect("it is sent");
            SendsLocal(sender)
        });
        let kept = (!is_detached).then_some(other);
        go.send(()).expect("there is a receiver");
        // The thread that joins the other one drops its result, and has a value of its own.
        PLACE.set(2);
        drop(kept.map(thread::JoinHandle::join));
        receiver.recv().expect("it is sent")
    }
    assert_eq!(on_all_engines(|| sent(true)).results, results([1]));
    assert_eq!(on_all_engines(|| sent(false)).results, results([2]));
    assert_eq!((sent(true), sent(false)), (1, 2), "and outside of a model");
}
