//! Atomics: which values threads can see.

#[cfg(feature = "loom")]
use crate::host::tests::engines::on_loom;
#[cfg(all(feature = "shuttle", feature = "loom"))]
use crate::host::tests::engines::on_shuttle;
use crate::host::tests::engines::{on_all_engines, results};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::thread;

#[test]
fn a_load_and_a_store_lose_an_addition_and_one_change_does_not() {
    fn apart() -> u64 {
        let count = Arc::new(AtomicUsize::new(0));
        let cloned = Arc::clone(&count);
        let other = thread::spawn(move || {
            let found = cloned.load(Ordering::SeqCst);
            cloned.store(found + 1, Ordering::SeqCst);
        });
        let found = count.load(Ordering::SeqCst);
        count.store(found + 1, Ordering::SeqCst);
        other.join().expect("no panic");
        count.load(Ordering::SeqCst) as u64
    }
    fn at_once() -> u64 {
        let count = Arc::new(AtomicUsize::new(0));
        let cloned = Arc::clone(&count);
        let other = thread::spawn(move || cloned.fetch_add(1, Ordering::SeqCst));
        count.fetch_add(1, Ordering::SeqCst);
        other.join().expect("no panic");
        count.load(Ordering::SeqCst) as u64
    }
    assert_eq!(on_all_engines(apart).results, results([1, 2]));
    assert_eq!(on_all_engines(at_once).results, results([2]));
}

#[cfg(feature = "loom")]
#[test]
fn only_loom_sees_a_publication_without_an_order() {
    fn published(order: Ordering) -> u64 {
        let place = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let cloned = Arc::clone(&place);
        let other = thread::spawn(move || {
            cloned.0.store(1, Ordering::Relaxed);
            cloned.1.store(1, order);
        });
        let ready =
            place.1.load(if order == Ordering::Relaxed { order } else { Ordering::Acquire });
        let value = place.0.load(Ordering::Relaxed);
        other.join().expect("no panic");
        (ready * 10 + value) as u64
    }
    assert_eq!(on_loom(|| published(Ordering::Relaxed)).results, results([0, 1, 10, 11]));
    assert_eq!(on_loom(|| published(Ordering::Release)).results, results([0, 1, 11]));
    #[cfg(feature = "shuttle")]
    assert_eq!(on_shuttle(|| published(Ordering::Relaxed)).results, results([0, 1, 11]));
}
