//! The system port's counters under real threads. CI also runs this test under ThreadSanitizer.
#![allow(unsafe_code, reason = "blocks are allocated and freed by hand")]

use std::alloc::Layout;

use mallory::{Port, SystemPort};

#[test]
fn real_threads_leave_nothing_outstanding_and_a_peak_between_one_and_all() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 500;
    static PORT: SystemPort = SystemPort::new();
    let work = |size: u64| {
        let layout = Layout::from_size_align(size as usize, 8).expect("a layout");
        for _ in 0..ROUNDS {
            let block = PORT.alloc(layout).expect("there is memory");
            assert!(PORT.peak() >= size, "the thread's own bytes are counted at once");
            // SAFETY: the block was just returned for this layout, and is freed once.
            unsafe { PORT.free(block.cast(), layout) };
        }
    };
    let sizes = (1..=THREADS).map(|nth| nth * 64);
    let threads: Vec<_> =
        sizes.clone().map(|size| std::thread::spawn(move || work(size))).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let (most, all) = (THREADS * 64, sizes.sum::<u64>());
    assert_eq!(PORT.bytes_outstanding(), 0);
    assert!((most..=all).contains(&PORT.peak()), "{} of {all}", PORT.peak());
    assert_eq!(PORT.failures_total(), 0);
}
