//! Atomics: which values threads can see.

#[cfg(feature = "loom")]
use crate::host::tests::engines::on_loom;
#[cfg(all(feature = "shuttle", feature = "loom"))]
use crate::host::tests::engines::on_shuttle;
use crate::host::tests::engines::{on_all_engines, results};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering, compiler_fence};
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

#[test]
fn atomics_have_stds_newer_and_older_changes() {
    fn changed() -> u64 {
        let flag = AtomicBool::new(true);
        assert!(flag.fetch_not(Ordering::SeqCst));
        assert!(!flag.fetch_nand(true, Ordering::SeqCst));
        assert!(flag.load(Ordering::SeqCst));
        let number = AtomicU8::new(250);
        let add = |value: u8| value.checked_add(3);
        assert_eq!(number.try_update(Ordering::SeqCst, Ordering::SeqCst, add), Ok(250));
        assert_eq!(number.try_update(Ordering::SeqCst, Ordering::SeqCst, add), Err(253));
        assert_eq!(number.update(Ordering::AcqRel, Ordering::Acquire, |value| value / 11), 253);
        #[allow(deprecated, reason = "std has it as well")]
        let swapped = |order| number.compare_and_swap(23, 24, order);
        assert_eq!((swapped(Ordering::AcqRel), swapped(Ordering::Release)), (23, 24));
        let mut numbers = [1_u16, 2, 3];
        let first = &raw mut numbers[0];
        let place = AtomicPtr::new(first);
        assert_eq!(place.fetch_ptr_add(2, Ordering::SeqCst), first);
        assert_eq!(place.fetch_byte_sub(2, Ordering::SeqCst), &raw mut numbers[2]);
        assert_eq!(place.fetch_ptr_sub(1, Ordering::SeqCst), &raw mut numbers[1]);
        assert_eq!(place.fetch_byte_add(2, Ordering::SeqCst), first);
        assert_eq!(place.fetch_ptr_sub(1, Ordering::SeqCst), &raw mut numbers[1]);
        assert_eq!(place.fetch_or(1, Ordering::SeqCst), first);
        assert_eq!(place.fetch_xor(1, Ordering::SeqCst).addr(), first.addr() | 1);
        assert_eq!(place.fetch_and(!1, Ordering::SeqCst), first);
        assert_eq!(format!("{place:p}"), format!("{first:p}"));
        compiler_fence(Ordering::SeqCst);
        u64::from(number.load(Ordering::SeqCst))
    }
    assert_eq!(on_all_engines(changed).results, results([24]));
    assert_eq!(changed(), 24, "and outside of a model");
}

#[test]
fn a_change_of_a_pointer_is_one_operation() {
    fn counted() -> u64 {
        let place = Arc::new(AtomicPtr::<u8>::default());
        let cloned = Arc::clone(&place);
        let other = thread::spawn(move || cloned.fetch_byte_add(1, Ordering::Relaxed).addr());
        place.fetch_byte_add(1, Ordering::Relaxed);
        other.join().expect("no panic");
        place.load(Ordering::Relaxed).addr() as u64
    }
    assert_eq!(on_all_engines(counted).results, results([2]));
}

#[test]
fn a_loop_that_spins_waits_for_the_other_thread() {
    fn awaited() -> u64 {
        let flag = Arc::new(AtomicBool::new(false));
        let cloned = Arc::clone(&flag);
        let other = thread::spawn(move || cloned.store(true, Ordering::Release));
        while !flag.load(Ordering::Acquire) {
            crate::hint::spin_loop();
        }
        other.join().expect("no panic");
        1
    }
    assert_eq!(on_all_engines(awaited).results, results([1]));
    assert_eq!(awaited(), 1, "and outside of a model");
}
