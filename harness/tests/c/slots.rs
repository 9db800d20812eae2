//! Slots, for C libraries whose tables of functions have no context: the functions use the heap that
//! occupies the slot, and a user who confuses two slots is found.
#![allow(unsafe_code, reason = "C's functions are called")]

use std::ptr::null_mut;

use crate::common::kinds;
use mallory::c::InSlot;
use mallory::{Heap, Kind, Sweep};

mallory::c::c_slot! {
    /// One library.
    struct One;
}
mallory::c::c_slot! {
    /// Another, with a slot of its own.
    struct Other;
}

#[test]
fn a_slot_is_one_heaps_at_a_time_and_refuses_while_it_is_empty() {
    let (heap, second) = (Heap::new(), Heap::new());
    // SAFETY: blocks are freed through the slot that they came from.
    unsafe {
        assert!(One::malloc(8).is_null() && One::usable_size(null_mut()) == 0);
        let stay = One::slot().occupy(&heap).expect("it is empty");
        let error = One::slot().occupy(&second).expect_err("it is taken").to_string();
        assert!(error.contains("taken"), "{error}");
        let _other = Other::slot().occupy(&second).expect("it is another slot");
        let block = One::malloc(8);
        assert_eq!((heap.live_bytes(), second.live_bytes()), (8, 0));
        assert_eq!(One::usable_size(block), 8);
        let block = One::realloc(block, 24);
        assert_eq!((One::usable_size(block), Other::usable_size(block)), (24, 0));
        One::free(block);
        let block = One::realloc_int(One::malloc_int(5), 7);
        assert_eq!(One::usable_size_int(block), 7);
        assert!(One::malloc_int(-1).is_null() && One::realloc_int(block, -1).is_null());
        One::free(block);
        let zeroes = One::calloc(3, 5).cast::<[u8; 15]>();
        assert_eq!(*zeroes, [0; 15]);
        One::free(zeroes.cast());
        assert!(One::calloc(usize::MAX, 2).is_null());
        let mut page = null_mut();
        assert_eq!(One::posix_memalign(&raw mut page, 4096, 10), 0);
        assert!(page.addr().is_multiple_of(4096));
        One::free(page);
        let page = One::aligned_alloc(64, 10);
        assert!(page.addr().is_multiple_of(64) && One::aligned_alloc(24, 10).is_null());
        One::free(page);
        drop(stay);
        assert!(One::malloc(8).is_null());
        One::free(null_mut());
    }
    assert_eq!(heap.live_bytes(), 0);
}

mallory::c::c_slot! {
    /// A library whose blocks are freed through another one.
    struct Ours;
}
mallory::c::c_slot! {
    /// That other library.
    struct Theirs;
}

/// What the user of two libraries does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mix {
    Nothing,
    Frees,
    Grows,
    /// Frees a block when the library's heap has left its slot.
    Late,
}

#[test]
fn who_mixes_up_two_slots_is_found_and_who_keeps_them_apart_is_not() {
    let sweep = |mix: Mix| {
        Sweep::new("slots").oom(|_: &()| true).run(move |heap| {
            let stay = Ours::slot().occupy(heap).expect("it is empty");
            let _theirs = Theirs::slot().occupy(&heap.named("theirs")).expect("it is empty");
            // SAFETY: the heap refuses blocks that are not its own.
            unsafe {
                let (ours, theirs) = (Ours::malloc(24), Theirs::malloc(24));
                let done = !ours.is_null() && !theirs.is_null();
                match mix {
                    Mix::Frees => Theirs::free(ours),
                    Mix::Grows if !ours.is_null() => {
                        assert!(Theirs::realloc(ours, 48).is_null());
                        Ours::free(ours);
                    }
                    Mix::Late => {
                        drop(stay);
                        Ours::free(ours);
                    }
                    _ => Ours::free(ours),
                }
                Theirs::free(theirs);
                done.then_some(()).ok_or(())
            }
        })
    };
    sweep(Mix::Nothing).assert_clean();
    for (mix, kind) in [
        (Mix::Frees, Kind::CrossAllocatorFree),
        (Mix::Grows, Kind::CrossAllocatorFree),
        (Mix::Late, Kind::Leak),
    ] {
        let report = sweep(mix);
        assert_eq!(kinds(&report), [kind], "{report}");
    }
}
