//! The cost of sweeping a linked list of strings, compared with a bare loop over the same requests.
//!
//! `cargo bench -p mallory --bench sweep`. The bare loop fails each request in turn and checks nothing, so
//! it is the cost of a sweep that watches nothing. Both sides are measured in turn.

mod rows;

use std::alloc::Layout;
use std::cell::Cell;
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Instant;

use allocator_api2::alloc::{AllocError, Allocator, Global};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Faults, Heap, Options, Sweep};
use rows::median;

/// A list of strings: two requests for each entry.
struct Node<A: Allocator + Copy> {
    text: Vec<u8, A>,
    next: Option<Box<Node<A>, A>>,
}

/// Builds a list by `requests` requests, and returns the sum of its bytes.
fn list<A: Allocator + Copy>(heap: A, requests: u64) -> Result<u64, AllocError> {
    let mut head: Option<Box<Node<A>, A>> = None;
    let mut failed = false;
    for n in 0..requests / 2 {
        let mut text = Vec::new_in(heap);
        if text.try_reserve_exact(16 + n as usize % 48).is_err() {
            failed = true;
            break;
        }
        text.resize(8, n as u8);
        match Box::try_new_in(Node { text, next: None }, heap) {
            Ok(mut node) => {
                node.next = head.take();
                head = Some(node);
            }
            Err(AllocError) => {
                failed = true;
                break;
            }
        }
    }
    let mut sum = 0;
    while let Some(mut node) = head {
        sum += node.text.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        // Nodes are dropped one by one, since dropping a long list recursively overflows the stack.
        head = node.next.take();
    }
    if failed { Err(AllocError) } else { Ok(sum) }
}

/// The bare allocator, which refuses the request at which a countdown reaches zero.
struct Countdown(Cell<u64>);

#[allow(unsafe_code)]
// SAFETY: every call goes to `Global`, or is refused.
unsafe impl Allocator for Countdown {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let left = self.0.get();
        self.0.set(left.wrapping_sub(1));
        if left == 0 { Err(AllocError) } else { Global.allocate(layout) }
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { Global.deallocate(block, layout) }
    }
}

fn bare(requests: u64) -> f64 {
    let start = Instant::now();
    for nth in 0..requests {
        let heap = Countdown(Cell::new(nth));
        let _ = black_box(list(&heap, requests));
    }
    start.elapsed().as_secs_f64()
}

fn swept(requests: u64, jobs: usize, options: &Options) -> f64 {
    timed(requests, Sweep::new("list").quick().jobs(jobs), options)
}

/// The same with the guarded runs.
fn guarded(requests: u64) -> f64 {
    timed(requests, Sweep::new("list").jobs(1), &Options::new())
}

fn timed(requests: u64, sweep: Sweep, options: &Options) -> f64 {
    let start = Instant::now();
    let report = sweep
        .faults(Faults::Transient)
        .options(options.clone())
        .limit(requests)
        .run(|heap: &Heap| list(heap, requests));
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(report.coverage().runs, requests, "{report}");
    report.assert_clean();
    seconds
}

fn main() {
    println!("exhaustive sweep of a list of strings, every request failing once");
    println!(
        "{:<10} {:<28} {:>10} {:>14} {:>14}",
        "requests", "", "seconds", "µs per point", "× the loop"
    );
    for (requests, rounds) in [(4_000, 9), (16_000, 3)] {
        let sides: [(&str, &dyn Fn() -> f64); 6] = [
            ("the bare loop", &|| bare(requests)),
            ("ledger, one core", &|| swept(requests, 1, &Options::new().ledger_only())),
            ("ledger, two cores", &|| swept(requests, 2, &Options::new().ledger_only())),
            ("all detectors, one core", &|| swept(requests, 1, &Options::new())),
            ("all detectors, two cores", &|| swept(requests, 2, &Options::new())),
            ("and guarded, one core", &|| guarded(requests)),
        ];
        let mut times = vec![std::vec::Vec::new(); sides.len()];
        for _ in 0..rounds {
            for (side, (_, measure)) in sides.iter().enumerate() {
                times[side].push(measure());
            }
        }
        let medians: std::vec::Vec<f64> = times.into_iter().map(median).collect();
        for ((name, _), seconds) in sides.iter().zip(&medians) {
            println!(
                "{requests:<10} {name:<28} {seconds:>10.3} {:>14.1} {:>13.2}×",
                seconds * 1e6 / requests as f64,
                seconds / medians[0]
            );
        }
    }
}
