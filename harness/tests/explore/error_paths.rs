//! Programs whose bug needs a failed request and a preemption in or near to what a thread does after
//! the failure, among many other scheduling points. Beside each bug the same program without it.
//!
//! Also the subjects of `benches/guidance.rs`, which counts the schedules until the bug shows.

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec as HeapVec;
use mallory::Heap;
use mallory::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use mallory::sync::{Arc, Mutex};
use mallory::thread;

/// A program, with its bug if so wanted.
pub(crate) type ErrorPath = fn(&Heap, bool) -> Result<(), TryReserveError>;

/// The programs: the name, the program, and the preemptions that its bug needs.
pub(crate) const ERROR_PATHS: [(&str, ErrorPath, u32); 5] = [
    ("early-unlock", early_unlock, 1),
    ("late-mark", late_mark, 1),
    ("stale-check", stale_check, 1),
    ("hand-over", hand_over, 2),
    ("two-stages", two_stages, 3),
];

/// How long the threads work before and after what matters.
const ROUNDS: usize = 8;

/// What the threads do beside: counters and a list, which all of them use.
#[derive(Default)]
struct Work {
    done: [AtomicUsize; 2],
    list: Mutex<Vec<usize>>,
}

impl Work {
    fn rounds(&self, rounds: usize) {
        for round in 0..rounds {
            self.done[round % 2].fetch_add(1, SeqCst);
            self.list.lock().expect("no panic").push(round);
        }
    }
}

/// One request, the failure of which is returned.
fn request(heap: &Heap) -> Result<(), TryReserveError> {
    HeapVec::<u64, Heap>::new_in(heap.clone()).try_reserve_exact(4)
}

/// Two threads beside each other: the first works, the second makes the request. Returns what the
/// second one returns.
fn beside<S: Send + Sync + 'static>(
    heap: &Heap,
    state: S,
    first: impl FnOnce(&S) + Send + 'static,
    second: impl FnOnce(&S, &Heap) -> Result<(), TryReserveError> + Send + 'static,
) -> Result<(), TryReserveError> {
    let state = Arc::new(state);
    let (own, its, heap) = (Arc::clone(&state), state, heap.clone());
    let one = thread::spawn(move || first(&own));
    let other = thread::spawn(move || second(&its, &heap));
    one.join().expect("the invariant holds");
    other.join().expect("the invariant holds")
}

/// An account of two halves that are to be equal whenever its lock is free. After a failure the bug
/// gives the lock up before it takes the change back.
fn early_unlock(heap: &Heap, has_bug: bool) -> Result<(), TryReserveError> {
    let state = (Work::default(), Mutex::new((0, 0)));
    let check = |halves: &Mutex<(u32, u32)>| {
        let (one, other) = *halves.lock().expect("no panic");
        assert_eq!(one, other, "the halves are equal while the lock is free");
    };
    let first = move |(work, halves): &(Work, Mutex<(u32, u32)>)| {
        work.rounds(ROUNDS / 2);
        check(halves);
        work.rounds(ROUNDS / 2);
        check(halves);
    };
    beside(heap, state, first, move |(work, halves), heap| {
        work.rounds(ROUNDS);
        let mut changed = halves.lock().expect("no panic");
        changed.0 += 1;
        let done = request(heap);
        if done.is_ok() {
            changed.1 += 1;
        } else if has_bug {
            drop(changed);
            halves.lock().expect("no panic").0 -= 1;
        } else {
            changed.0 -= 1;
        }
        work.rounds(ROUNDS);
        done
    })
}

/// A buffer that is closed after a failure. The bug marks it as closed only after it has taken the
/// contents out.
fn late_mark(heap: &Heap, has_bug: bool) -> Result<(), TryReserveError> {
    struct Buffer {
        work: Work,
        is_closed: AtomicBool,
        contents: Mutex<Option<u32>>,
    }
    let (work, is_closed) = (Work::default(), AtomicBool::new(false));
    let state = Buffer { work, is_closed, contents: Mutex::new(Some(1)) };
    let first = |buffer: &Buffer| {
        buffer.work.rounds(ROUNDS);
        let contents = buffer.contents.lock().expect("no panic");
        let is_right = buffer.is_closed.load(SeqCst) || contents.is_some();
        drop(contents);
        assert!(is_right, "an open buffer has contents");
        buffer.work.rounds(ROUNDS);
    };
    beside(heap, state, first, move |buffer, heap| {
        buffer.work.rounds(ROUNDS);
        let done = request(heap);
        if done.is_err() {
            if !has_bug {
                buffer.is_closed.store(true, SeqCst);
            }
            buffer.contents.lock().expect("no panic").take();
            buffer.is_closed.store(true, SeqCst);
        }
        buffer.work.rounds(ROUNDS);
        done
    })
}

/// A reader that looks whether the contents are still there and then takes them for granted, while a
/// failure of the other thread takes them away. The preemption that shows it is the reader's.
fn stale_check(heap: &Heap, has_bug: bool) -> Result<(), TryReserveError> {
    struct Cell {
        work: Work,
        is_there: AtomicBool,
        contents: Mutex<Option<u32>>,
    }
    let (work, is_there) = (Work::default(), AtomicBool::new(true));
    let state = Cell { work, is_there, contents: Mutex::new(Some(1)) };
    let first = move |cell: &Cell| {
        cell.work.rounds(ROUNDS);
        if cell.is_there.load(SeqCst) {
            let contents = *cell.contents.lock().expect("no panic");
            assert!(contents.is_some() || !has_bug, "what was there is still there");
        }
        cell.work.rounds(ROUNDS);
    };
    beside(heap, state, first, |cell, heap| {
        let done = request(heap);
        if done.is_err() {
            cell.is_there.store(false, SeqCst);
            cell.contents.lock().expect("no panic").take();
        }
        cell.work.rounds(ROUNDS);
        done
    })
}

/// A job that is offered to the other thread after a failure, and withdrawn if nobody takes it. The
/// bug takes and withdraws it by looking first, so that both may happen.
fn hand_over(heap: &Heap, has_bug: bool) -> Result<(), TryReserveError> {
    #[derive(Default)]
    struct Offer {
        work: Work,
        is_open: AtomicBool,
        is_withdrawn: AtomicBool,
    }
    let take = move |offer: &Offer| match has_bug {
        true => offer.is_open.load(SeqCst),
        false => offer.is_open.swap(false, SeqCst),
    };
    let first = move |offer: &Offer| {
        offer.work.rounds(ROUNDS);
        if take(offer) {
            assert!(!offer.is_withdrawn.load(SeqCst), "what was taken is not withdrawn");
        }
        offer.work.rounds(ROUNDS);
    };
    beside(heap, Offer::default(), first, move |offer, heap| {
        offer.work.rounds(ROUNDS);
        let done = request(heap);
        if done.is_err() {
            offer.is_open.store(true, SeqCst);
            if take(offer) {
                offer.is_open.store(false, SeqCst);
                offer.is_withdrawn.store(true, SeqCst);
            }
        }
        offer.work.rounds(ROUNDS);
        done
    })
}

/// A clean-up in stages after a failure. The bug of its reader is to look twice, and to see one stage
/// and then the next one.
fn two_stages(heap: &Heap, has_bug: bool) -> Result<(), TryReserveError> {
    #[derive(Default)]
    struct CleanUp {
        work: Work,
        stage: AtomicUsize,
    }
    let first = move |clean_up: &CleanUp| {
        clean_up.work.rounds(ROUNDS);
        let stage = clean_up.stage.load(SeqCst);
        if stage == 1 && has_bug {
            assert_ne!(clean_up.stage.load(SeqCst), 2, "the stage is still the same");
        }
        clean_up.work.rounds(ROUNDS);
    };
    beside(heap, CleanUp::default(), first, |clean_up, heap| {
        clean_up.work.rounds(ROUNDS);
        let done = request(heap);
        if done.is_err() {
            for stage in [1, 2, 0] {
                clean_up.stage.store(stage, SeqCst);
            }
        }
        clean_up.work.rounds(ROUNDS);
        done
    })
}
