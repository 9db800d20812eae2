//! Data races: each planted one is found, under shuttle and under loom, and its near miss is not.
#![allow(unsafe_code)]

use mallory::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use mallory::sync::cell::UnsafeCell;
use mallory::sync::{Arc, Mutex, mpsc};
use mallory::thread;
use mallory::{Explore, Heap, Kind, Refused, Report};
use std::hint::black_box;

/// A number that several threads may reach.
struct Shared {
    value: UnsafeCell<u64>,
    ready: AtomicBool,
    lock: Mutex<()>,
}

// SAFETY: what is shared wrongly here is what these tests are about; all threads run on one OS thread.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Arc<Shared> {
        let (value, ready) = (UnsafeCell::new(0), AtomicBool::new(false));
        Arc::new(Shared { value, ready, lock: Mutex::new(()) })
    }

    fn read(&self) -> u64 {
        // SAFETY: one thread runs at a time, and none is left while it reads.
        self.value.with(|value| unsafe { *value })
    }

    fn write(&self, new: u64) {
        // SAFETY: as above.
        self.value.with_mut(|value| unsafe { *value = new });
    }
}

/// One thread does `first`, another one `second`. Call chains are compared, so the compiler must neither
/// merge this function with others nor jump to what it calls last.
#[inline(never)]
fn both(first: impl FnOnce(&Shared) + Send + 'static, second: impl FnOnce(&Shared)) {
    let shared = Shared::new();
    let other = Arc::clone(&shared);
    let thread = thread::spawn(move || first(&other));
    second(&shared);
    thread.join().expect("no panic");
}

fn publish(store: Ordering, load: Ordering) -> Result<u64, Refused> {
    both(
        move |shared| {
            shared.write(1);
            shared.ready.store(true, store);
        },
        |shared| {
            if shared.ready.load(load) {
                shared.read();
            }
        },
    );
    black_box(Ok(0))
}

#[inline(never)]
fn locked(second: bool) -> Result<u64, Refused> {
    both(
        |shared| {
            let _guard = shared.lock.lock().expect("no panic");
            shared.write(1);
        },
        move |shared| {
            let _guard = second.then(|| shared.lock.lock().expect("no panic"));
            shared.write(2);
        },
    );
    black_box(Ok(0))
}

/// Initialises the value once, under a lock, after a look without it.
fn double_checked(load: Ordering) -> Result<u64, Refused> {
    let use_it = move |shared: &Shared| {
        if !shared.ready.load(load) {
            let _guard = shared.lock.lock().expect("no panic");
            if !shared.ready.load(Ordering::Relaxed) {
                shared.write(1);
                shared.ready.store(true, Ordering::Release);
            }
        }
        assert_eq!(shared.read(), 1);
    };
    both(use_it, use_it);
    black_box(Ok(0))
}

fn handed_over(waits: bool) -> Result<u64, Refused> {
    let (sender, receiver) = mpsc::channel();
    both(
        move |shared| {
            shared.write(1);
            let _ = sender.send(());
        },
        move |shared| {
            if waits {
                receiver.recv().expect("a value");
                shared.read();
            } else {
                shared.read();
                let _ = receiver.recv();
            }
        },
    );
    black_box(Ok(0))
}

fn races(report: &Report) -> usize {
    assert!(report.error().is_none(), "{report}");
    let races = report.findings().iter().filter(|finding| finding.kind() == Kind::DataRace);
    assert_eq!(races.clone().count(), report.findings().len(), "only races: {report}");
    races.count()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Engine {
    Shuttle,
    Loom,
}

fn explored(engine: Engine, subject: impl Fn(&Heap) -> Result<u64, Refused> + Sync) -> Report {
    let explore = Explore::new("race").preemptions(2);
    let explore = if engine == Engine::Loom { explore.loom() } else { explore.shuttle() };
    explore.run(subject)
}

#[test]
fn each_planted_race_is_found_and_its_near_miss_is_not() {
    use Ordering::{Acquire, Relaxed, Release};
    type Pair = (&'static str, fn() -> Result<u64, Refused>, fn() -> Result<u64, Refused>);
    let pairs: [Pair; 5] = [
        ("publication", || publish(Relaxed, Acquire), || publish(Release, Acquire)),
        ("publication, seen", || publish(Release, Relaxed), || publish(Release, Acquire)),
        ("one side locks", || locked(false), || locked(true)),
        ("double-checked", || double_checked(Relaxed), || double_checked(Acquire)),
        ("channel", || handed_over(false), || handed_over(true)),
    ];
    for (name, planted, near_miss) in pairs {
        for engine in [Engine::Shuttle, Engine::Loom] {
            let report = explored(engine, |_| planted());
            assert!(races(&report) > 0, "{name} under {engine:?}: {report}");
            let report = explored(engine, |_| near_miss());
            assert_eq!(races(&report), 0, "{name} under {engine:?}: {report}");
        }
    }
}

#[test]
fn a_race_is_reported_with_both_sides_and_what_is_missing() {
    let report = explored(Engine::Shuttle, |_| locked(false));
    let text = report.to_string();
    let lines = text.lines().filter(|line| !line.contains("  replay  "));
    insta::assert_snapshot!("one_side_locks", lines.collect::<Vec<&str>>().join("\n"));
    let report = explored(Engine::Shuttle, |_| publish(Ordering::Relaxed, Ordering::Acquire));
    assert!(
        report.to_string().contains("store it with Release and load it with Acquire"),
        "{report}"
    );
    let token = report.findings()[0].token().clone();
    let again = Explore::new("race").shuttle().replay(token);
    let again = again.run(|_| publish(Ordering::Relaxed, Ordering::Acquire));
    assert!(again.row().contains("reproduced"), "{again}");
}

/// An object on the heap that two threads use, and of which one gives up the memory.
fn freed_early(heap: &Heap, waits: bool) -> Result<u64, Refused> {
    use allocator_api2::boxed::Box;
    heap.track_races();
    let count = Box::try_new_in(AtomicUsize::new(0), heap.clone()).map_err(|_| Refused)?;
    let address = Box::into_raw_with_allocator(count).0 as usize;
    let user = thread::spawn(move || {
        let count = address as *const AtomicUsize;
        // SAFETY: freed blocks of a heap stay mapped while its run lasts.
        unsafe { (*count).fetch_add(1, Ordering::SeqCst) }
    });
    if waits {
        user.join().expect("no panic");
        // SAFETY: the block was allocated above, and nobody uses it any more.
        drop(unsafe { Box::from_raw_in(address as *mut AtomicUsize, heap.clone()) });
        return Ok(1);
    }
    // SAFETY: the block was allocated above; that a thread may still use it is what this is about.
    drop(unsafe { Box::from_raw_in(address as *mut AtomicUsize, heap.clone()) });
    user.join().expect("no panic");
    Ok(1)
}

#[test]
fn a_free_that_nothing_orders_with_a_use_is_a_race() {
    let report = explored(Engine::Shuttle, |heap| freed_early(heap, false));
    assert!(races(&report) > 0, "{report}");
    let text = report.to_string();
    assert!(text.contains("frees a block") && text.contains("uses a block"), "{report}");
    assert_eq!(races(&explored(Engine::Shuttle, |heap| freed_early(heap, true))), 0);
}

#[test]
fn what_a_subject_says_of_its_accesses_is_compared() {
    let subject = |heap: &Heap, is_locked: bool| -> Result<u64, Refused> {
        use allocator_api2::vec::Vec;
        heap.track_races();
        let mut bytes: Vec<u8, Heap> = Vec::new_in(heap.clone());
        bytes.try_reserve_exact(8).map_err(|_| Refused)?;
        // A block is watched where it has moved to as well.
        bytes.try_reserve_exact(64).map_err(|_| Refused)?;
        let (lock, start) = (Arc::new(Mutex::new(())), bytes.as_ptr() as usize);
        let (other, its_heap) = (Arc::clone(&lock), heap.clone());
        let access = move |heap: &Heap, lock: &Mutex<()>| {
            let _guard = is_locked.then(|| lock.lock().expect("no panic"));
            heap.note_write((start + 3) as *const u8);
        };
        let thread = thread::spawn(move || access(&its_heap, &other));
        access(heap, &lock);
        thread.join().expect("no panic");
        Ok(1)
    };
    assert!(races(&explored(Engine::Shuttle, |heap| subject(heap, false))) > 0);
    assert_eq!(races(&explored(Engine::Shuttle, |heap| subject(heap, true))), 0);
}
