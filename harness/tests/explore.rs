//! Faults × schedules: what needs an order of threads, a failed request, or both, is found; what is
//! right is clean, exhaustively.
#![cfg(feature = "shuttle")]

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec as HeapVec;
use mallory::{Explore, Heap, Kind};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

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
