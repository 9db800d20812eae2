//! Faults × schedules: what needs an order of threads, a failed request, or both, is found; what is
//! right is clean, exhaustively.
#![cfg(feature = "shuttle")]

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec as HeapVec;
use mallory::sync::{Arc, Mutex};
use mallory::thread;
use mallory::{Explore, Heap, Kind};

fn push(list: &mut HeapVec<u64, Heap>, n: u64) -> Result<(), TryReserveError> {
    list.try_reserve_exact(1)?;
    list.push(n);
    Ok(())
}

/// Two threads push onto one list behind a lock.
fn pushes(heap: &Heap) -> Result<usize, TryReserveError> {
    let list = Arc::new(Mutex::new(HeapVec::new_in(heap.clone())));
    let threads: Vec<_> = (0..2)
        .map(|n| {
            let list = Arc::clone(&list);
            thread::spawn(move || push(&mut list.lock().expect("no panic"), n))
        })
        .collect();
    let ended: Vec<_> =
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    ended.into_iter().collect::<Result<Vec<()>, _>>()?;
    let length = list.lock().expect("no panic").len();
    Ok(length)
}

#[test]
fn a_right_one_is_clean_in_every_schedule() {
    let report = Explore::new("pushes").shuttle().run(pushes);
    println!("{report}");
    report.assert_clean();
}

#[test]
fn a_deadlock_is_found() {
    let report = Explore::new("embrace").shuttle().preemptions(1).run(|_| {
        let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
        let other = Arc::clone(&locks);
        let thread = thread::spawn(move || {
            let _one = other.1.lock().expect("no panic");
            let _two = other.0.lock().expect("no panic");
        });
        let one = locks.0.lock().expect("no panic");
        let two = locks.1.lock().expect("no panic");
        drop((two, one));
        thread.join().expect("no panic");
        Ok::<(), TryReserveError>(())
    });
    println!("{report}");
    assert_eq!(report.findings().len(), 1);
    assert_eq!(report.findings()[0].kind(), Kind::Deadlock);
}

/// Two owners of one block, whose count is read and written in two steps: where both read before
/// either writes, the block is nobody's to free.
fn miscounted(heap: &Heap) -> Result<(), TryReserveError> {
    use mallory::sync::atomic::{AtomicUsize, Ordering};
    let block = Arc::new(Mutex::new(None));
    let owners = Arc::new(AtomicUsize::new(2));
    let mut list = HeapVec::new_in(heap.clone());
    push(&mut list, 1)?;
    *block.lock().expect("no panic") = Some(std::mem::ManuallyDrop::new(list));
    let release = move || {
        let left = owners.load(Ordering::SeqCst) - 1;
        owners.store(left, Ordering::SeqCst);
        if left == 0
            && let Some(list) = block.lock().expect("no panic").take()
        {
            drop(std::mem::ManuallyDrop::into_inner(list));
        }
    };
    let other = thread::spawn(release.clone());
    release();
    other.join().expect("no panic");
    Ok(())
}

#[test]
fn a_leak_that_needs_a_preemption_is_found_and_replayed() {
    let explore = || Explore::new("miscounted").shuttle();
    let report = explore().run(miscounted);
    println!("{report}");
    let [finding] = report.findings() else { panic!("{report}") };
    assert_eq!(finding.kind(), Kind::Leak);
    let token = finding.token().to_string();
    assert!(token.contains("s=T"), "{token}");
    let again = explore().replay(token.parse().expect("a token")).run(miscounted);
    println!("{again}");
    assert!(again.row().contains("reproduced"), "{again}");
}
