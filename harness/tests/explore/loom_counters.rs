//! The system port's counters in every order of two threads, by loom: the source file of the library
//! itself, compiled with modelled atomics. And two counters with a race, which loom finds.

use allocator_api2::collections::TryReserveError;
use mallory::sync::Arc;
use mallory::sync::atomic::{AtomicU64, Ordering};
use mallory::{Explore, Report, thread};

#[path = "../../src/port/counters.rs"]
mod counters;

type Counters = counters::Counters<AtomicU64>;

impl counters::Atomic for AtomicU64 {
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_add(value, order)
    }

    fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_sub(value, order)
    }

    fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_max(value, order)
    }
}

/// Two threads hold 8 and 5 bytes, at the same time or one after the other, and the counters are
/// checked at the end.
fn checked(add: fn(&Counters, usize), remove: fn(&Counters, usize)) -> Report {
    Explore::new("counters").loom().preemptions(4).run(move |_| {
        let counters = Arc::new(Counters::default());
        let its = Arc::clone(&counters);
        let other = thread::spawn(move || {
            add(&its, 8);
            its.refuse();
            remove(&its, 8);
        });
        add(&counters, 5);
        counters.refuse();
        remove(&counters, 5);
        other.join().expect("no panic");
        assert_eq!(counters.outstanding.load(Ordering::Relaxed), 0, "all bytes were freed");
        assert_eq!(counters.failures.load(Ordering::Relaxed), 2, "each refusal is counted");
        let peak = counters.peak.load(Ordering::Relaxed);
        assert!(peak == 8 || peak == 13, "the peak was {peak}");
        Ok::<(), TryReserveError>(())
    })
}

#[test]
fn the_counters_are_right_in_every_order() {
    let report = checked(Counters::add, Counters::remove);
    println!("{report}");
    report.assert_clean();
    assert!(report.to_string().contains("exhaustive to 4 preemptions"), "{report}");
}

#[test]
fn a_peak_that_is_looked_at_and_then_raised_loses_one() {
    let nearly = |counters: &Counters, bytes: usize| {
        let now = counters.outstanding.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if counters.peak.load(Ordering::Relaxed) < now {
            counters.peak.store(now, Ordering::Relaxed);
        }
    };
    // Already in the first order that loom tries.
    let report = checked(nearly, Counters::remove);
    println!("{report}");
    assert!(report.to_string().contains("the peak was 5"), "{report}");
}

#[test]
fn a_sum_in_two_steps_forgets_an_addition() {
    let nearly = |counters: &Counters, bytes: usize| {
        let before = counters.outstanding.load(Ordering::Relaxed);
        counters.outstanding.store(before.wrapping_sub(bytes as u64), Ordering::Relaxed);
    };
    let report = checked(Counters::add, nearly);
    println!("{report}");
    assert_eq!(report.findings().len(), 1, "{report}");
}
