//! Heaps and real threads: a serial heap serves one thread, a parallel heap serves all of them.
#![allow(unsafe_code, reason = "blocks are freed on the wrong thread on purpose")]

use std::thread;

use crate::common::{Oom, Owned, Sent, kinds, layout, only};
use mallory::{Heap, Kind, Options, Outcome, Port, Sweep, SystemPort, Verdict};

/// Runs the work on a new thread.
fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(work).join().expect("the work does not panic"))
}

#[test]
fn a_serial_heap_refuses_the_request_of_another_thread() {
    let heap = Heap::new();
    assert!(elsewhere(|| heap.alloc(layout(16, 8)).is_err()));
    assert_eq!((heap.live_bytes(), heap.alloc(layout(16, 8)).is_ok()), (0, true));
    let report = Sweep::new("foreign").run(|heap| {
        Owned::new(heap, 8)?;
        assert!(elsewhere(|| heap.alloc(layout(16, 8)).is_err()));
        Ok::<_, Oom>(())
    });
    let text = only(&report).to_string();
    assert_eq!(only(&report).kind(), Kind::WrongThread);
    assert!(text.contains("alloc of 16 bytes (align 8) on heap `main`"), "{text}");
    assert_eq!(report.coverage().requests, 1, "the owner's coordinates stay as they are");
}

#[test]
fn a_free_on_another_thread_is_parked_and_is_no_leak_as_well() {
    let report = Sweep::new("foreign-free").run(|heap| {
        let block = Owned::new(heap, 24)?;
        let (start, layout) = (block.start().as_ptr() as usize, block.layout());
        block.lose();
        elsewhere(|| {
            let start = std::ptr::NonNull::new(start as *mut u8).expect("a block's address");
            // SAFETY: none, it is the wrong thread. The heap defers the call.
            unsafe { heap.free(start, layout) }
        });
        Ok::<_, Oom>(())
    });
    let text = only(&report).to_string();
    assert_eq!(only(&report).kind(), Kind::WrongThread);
    assert!(text.contains("1 block, 24 bytes (align 8), heap `main`"), "{text}");
}

#[test]
fn the_last_handle_of_a_heap_may_go_on_another_thread() {
    let report = Sweep::new("last-handle").run(|heap| {
        let left = heap.named("left");
        drop(Owned::new(&left, 24)?);
        elsewhere(move || drop(left));
        // Pushes the block of the dropped heap out of the quarantine.
        (0..2000).try_for_each(|_| Owned::new(heap, 16).map(drop))?;
        drop(Owned::new(&heap.named("left"), 24)?);
        Ok::<_, Oom>(())
    });
    report.assert_clean();
}

const THREADS: usize = 4;

/// Allocates, resizes, fills and frees blocks, and keeps one of `thread + 1` times 100 bytes.
fn churn(heap: &Heap, thread: usize, turns: usize) -> Result<Owned, Oom> {
    let kept = Owned::new(heap, 100 * (thread + 1))?;
    for turn in 0..turns {
        let mut block = Owned::new(heap, 1 + turn % 200)?;
        block.fill();
        block.resize(400 - turn % 200)?;
        assert!(block.is_filled(1 + turn % 200), "no other thread writes here");
        block.resize(turn % 50)?;
    }
    Ok(kept)
}

#[test]
fn a_parallel_heap_counts_the_bytes_of_all_threads() {
    let heap = Options::new().parallel().heap();
    let kept: Vec<Owned> = thread::scope(|scope| {
        let start = |thread| {
            let heap = &heap;
            scope.spawn(move || Sent(churn(heap, thread, 2000).expect("there is memory")))
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic").0).collect()
    });
    assert_eq!(heap.live_bytes(), 100 + 200 + 300 + 400);
    assert!(heap.peak_bytes() >= 1000);
    drop(kept);
    assert_eq!(heap.live_bytes(), 0);
}

fn in_threads(heap: &Heap, turns: usize) -> Result<(), Oom> {
    thread::scope(|scope| {
        let start = |thread| scope.spawn(move || churn(heap, thread, turns).map(drop));
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })
}

#[test]
fn real_threads_make_no_false_findings_and_the_verdict_is_sampled() {
    let report =
        Sweep::new("threads").options(Options::new().parallel()).run(|heap| in_threads(heap, 200));
    assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
    assert!(report.row().contains("sampled"), "{report}");
    report.assert_clean();
}

#[test]
fn a_parallel_heap_of_one_thread_is_swept_like_any_other() {
    let report = Sweep::new("alone")
        .options(Options::new().parallel())
        .run(|heap| (0..3).try_for_each(|_| Owned::new(heap, 16).map(drop)));
    assert_eq!(report.outcomes(Outcome::Propagated), 6);
    assert_eq!(report.verdict(), Verdict::Sampled);
}

#[test]
fn a_block_that_a_thread_loses_is_found() {
    let report = Sweep::new("lost").options(Options::new().parallel()).run(|heap| {
        elsewhere(|| Owned::new(heap, 24).map(|block| _ = block.lose()))?;
        Ok::<_, Oom>(())
    });
    assert!(kinds(&report).contains(&Kind::Leak), "{report}");
}

#[test]
fn a_confined_heap_serves_the_thread_that_made_it_and_no_other() {
    let report = Sweep::new("confined").options(Options::new().parallel()).run(|heap| {
        let mine = heap.confine("mine", SystemPort::new());
        let block = Owned::new(&mine, 24)?;
        assert!(elsewhere(|| mine.alloc(layout(16, 8)).is_err()));
        let (start, layout) = (block.start().as_ptr() as usize, block.layout());
        block.lose();
        elsewhere(|| {
            let start = std::ptr::NonNull::new(start as *mut u8).expect("a block's address");
            // SAFETY: none, it is the wrong thread. The heap leaves the block as it is.
            unsafe { mine.free(start, layout) }
        });
        elsewhere(|| Owned::new(heap, 8).map(drop))
    });
    assert_eq!(kinds(&report), [Kind::WrongThread; 2], "{report}");
}
