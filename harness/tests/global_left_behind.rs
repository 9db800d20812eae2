//! Threads of a subject under the global allocator that outlive it: what they give back after its
//! end still finds its way.

use std::convert::Infallible;
use std::time::Duration;

use mallory::{Faults, Kind, Sweep};

#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();

/// Nobody waits for the thread, which frees its blocks one by one while the run ends and after.
fn leave_behind() -> usize {
    let blocks: Vec<Box<usize>> = (0..2_000).map(Box::new).collect();
    let count = blocks.len();
    std::thread::spawn(move || {
        for block in blocks {
            drop(block);
            std::thread::yield_now();
        }
    });
    count
}

#[test]
fn frees_of_a_thread_that_outlives_the_subject_are_in_order() {
    let sweep = Sweep::new("left-behind").global(&HEAP).faults(Faults::Transient).limit(1);
    let report = sweep.run(|_| {
        let count = leave_behind();
        std::thread::sleep(Duration::from_micros(200));
        Ok::<_, Infallible>(count)
    });
    assert!(report.error().is_none(), "{report}");
    // What the thread still holds when the run ends may look lost, and the request that fails is an
    // infallible one; nothing worse may be seen.
    let expected = [Kind::Leak, Kind::Abort];
    let worse = report.findings().iter().filter(|finding| !expected.contains(&finding.kind()));
    assert_eq!(worse.count(), 0, "{report}");
}
