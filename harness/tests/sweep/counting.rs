//! Which requests are counted and failed: a run without faults has to repeat itself, no request is
//! missed, and faults are injected into the subject only. The pitfalls are those of
//! `../PITFALLS.md`.
#![allow(unsafe_code, reason = "blocks are freed twice on purpose")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::ports::{Bump, Fickle};
use crate::common::shared::SharedCounter;
use crate::common::{Oom, Owned, kinds, layout, only, outcomes, the};
use allocator_api2::alloc::Allocator;
use mallory::plan::Op;
use mallory::{Heap, Kind, Options, Outcome, Plan, Port, Sweep};

/// Makes one more request if its block has moved, as code does that keeps pointers into it.
fn index_after_growth(heap: &Heap) -> Result<(), Oom> {
    let mut block = Owned::new(heap, 64)?;
    let before = block.start();
    block.resize(4096)?;
    if block.start() != before {
        Owned::new(heap, 16)?;
    }
    Ok(())
}

/// Pitfall 3: a growth in place shifts the later coordinates.
#[test]
fn growth_that_is_in_place_now_and_then_shifts_no_counts() {
    let report = Sweep::new("growth").port(|| Fickle).run(index_after_growth);
    assert_eq!(report.coverage().requests, 3);
    report.assert_clean();
    let as_the_port_likes = Options::new().ledger_only().moving(false);
    let report =
        Sweep::new("growth").port(|| Fickle).options(as_the_port_likes).run(index_after_growth);
    report.assert_clean();
    assert!(
        report.to_string().contains("a process of its own"),
        "the port does grow in place sometimes:\n{report}"
    );
}

/// Pitfall 4: the first run fills caches.
#[test]
fn a_warm_cache_is_primed_before_anything_is_counted() {
    static WARM: AtomicBool = AtomicBool::new(false);
    let report = Sweep::new("warm").run(|heap| {
        if !WARM.swap(true, Ordering::Relaxed) {
            Owned::new(heap, 1024)?;
        }
        Owned::new(heap, 16).map(drop)
    });
    assert_eq!(report.coverage().requests, 1);
    assert_eq!(report.coverage().runs, 2);
    report.assert_clean();
}

fn ask_for_another_size_each_time(heap: &Heap, runs: &SharedCounter) -> Result<(), Oom> {
    Owned::new(heap, 16)?;
    Owned::new(heap, 32 + runs.next() as usize)?;
    Ok(())
}

/// Pitfall 4: two runs with the same number of requests may still differ.
#[test]
fn runs_of_equal_length_that_differ_are_named_with_their_first_difference() {
    let runs = SharedCounter::new();
    let report = Sweep::new("traces").run(|heap| ask_for_another_size_each_time(heap, &runs));
    let text = only(&report).to_string();
    assert_eq!(only(&report).kind(), Kind::Nondeterminism);
    assert!(text.contains("differ at event 3"), "{text}");
    assert!(text.contains("bytes (align 8) in the first"), "{text}");
    assert!(text.contains("ask_for_another_size_each_time"), "{text}");
    assert_eq!(report.coverage().runs, 0, "such a subject is not swept");
}

/// Pitfall 5: random hash seeds change the order of requests, and nothing is held against that.
#[test]
fn a_random_hash_seed_is_no_finding() {
    let report = Sweep::new("random").run(|heap| {
        let sizes: HashMap<usize, usize> = (1..=24).map(|n| (n, n * 8)).collect();
        let blocks: Result<Vec<Owned>, _> =
            sizes.values().map(|size| Owned::new(heap, *size)).collect();
        blocks.map(drop)
    });
    report.assert_clean();
    assert_eq!(report.coverage().runs, 48, "{report}");
}

/// Pitfall 6: a request that is not reached is a finding, never a pass.
#[test]
fn a_request_that_never_comes_is_a_finding() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    // In this process, since state of the process is what the runs learn from.
    let report = Sweep::new("fewer").in_process().run(|heap| {
        let wanted = if RUNS.fetch_add(1, Ordering::Relaxed) < 8 { 10 } else { 5 };
        (0..wanted).try_for_each(|_| Owned::new(heap, 16).map(drop))
    });
    assert!(report.outcomes(Outcome::Unreached) > 0, "{report}");
    assert!(the(&report, Kind::Nondeterminism).to_string().contains("never came"), "{report}");
    assert_eq!(report.exit_code(), 1);
}

/// Pitfall 7: off by one.
#[test]
fn the_first_and_the_last_request_fail_and_the_one_after_does_not() {
    const REQUESTS: u64 = 5;
    let five = |heap: &Heap| (0..REQUESTS).try_for_each(|_| Owned::new(heap, 16).map(drop));
    for nth in 1..=REQUESTS {
        let report = Sweep::new("ends").plan(Plan::nth(nth)).run(five);
        assert_eq!(outcomes(&report), [(Outcome::Propagated, 1)], "request {nth}");
    }
    let beyond = Sweep::new("ends").plan(Plan::nth(REQUESTS + 1)).run(five);
    assert_eq!(beyond.coverage().runs, 0);
    let report = Sweep::new("ends").run(five);
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2 * REQUESTS)]);
}

/// Each kind of request once, through `Port` and through `Allocator`.
fn one_of_each(heap: &Heap) -> Result<(), Oom> {
    drop(Owned::zeroed(heap, 24)?);
    drop(Owned::new(heap, 0)?);
    drop(Owned::aligned(heap, 8, 4096)?);
    let mut block = Owned::new(heap, 16)?;
    block.resize(160)?;
    block.resize(48)?;
    block.change(layout(48, 64))?;
    block.resize(0)?;
    let bytes = Allocator::allocate(heap, layout(8, 8)).map_err(|_| Oom)?.cast();
    // SAFETY: the block is alive and has the layout given; it is freed once, with its last layout.
    unsafe {
        let grown = Allocator::grow_zeroed(heap, bytes, layout(8, 8), layout(80, 8));
        let size = if grown.is_ok() { 80 } else { 8 };
        let last = grown.as_ref().map_or(bytes, |grown| grown.cast());
        Allocator::deallocate(heap, last, layout(size, 8));
        grown.map(drop).map_err(|_| Oom)
    }
}

/// Pitfall 8: operations that are not counted.
#[test]
fn every_kind_of_request_is_counted_and_swept() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let heap = Heap::new();
    heap.arm(Plan::when(move |request| {
        let mut calls = seen.lock().expect("nobody panics with it");
        assert_eq!(request.at.ordinal, calls.len() as u64 + 1);
        calls.push((request.op, request.size, request.align));
        false
    }));
    one_of_each(&heap).expect("there is memory");
    let expected = [
        (Op::AllocZeroed, 24, 8),
        (Op::Alloc, 0, 8),
        (Op::Alloc, 8, 4096),
        (Op::Alloc, 16, 8),
        (Op::Grow, 160, 8),
        (Op::Shrink, 48, 8),
        (Op::Grow, 48, 64),
        (Op::Shrink, 0, 64),
        (Op::Alloc, 8, 8),
        (Op::Grow, 80, 8),
    ];
    assert_eq!(*calls.lock().expect("nobody panics with it"), expected);
    let report = Sweep::new("operations").run(one_of_each);
    assert_eq!(report.coverage().requests, expected.len() as u64);
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2 * expected.len() as u64)]);
    report.assert_clean();
}

/// Pitfall 16: unwinding out of an allocator is undefined behaviour.
#[test]
fn a_plan_that_panics_refuses_nothing_and_unwinds_nowhere() {
    let plan = Plan::when(|request| panic!("no decision on {}", request.at));
    let report = Sweep::new("panicking-plan").plan(plan).run(one_of_each);
    assert_eq!(report.coverage().runs, 0, "no request was refused");
    report.assert_clean();
}

/// Pitfall 17: memory that is kept for the next use, outside the heap, is no leak.
#[test]
fn a_thread_local_that_stays_is_no_leak() {
    thread_local!(static KEPT: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) });
    let report = Sweep::new("kept").run(|heap| {
        KEPT.with_borrow_mut(|kept| kept.push(1));
        Owned::new(heap, 16).map(drop)
    });
    report.assert_clean();
}

/// Pitfall 18: byte totals that add up hide a leaked block.
#[test]
fn a_lost_block_is_found_though_the_bytes_add_up() {
    let report = Sweep::new("totals").run(|heap| {
        let kept = Owned::new(heap, 64)?;
        let twice = Owned::new(heap, 64)?;
        let Ok(third) = Owned::new(heap, 16) else {
            kept.lose();
            let (start, layout) = (twice.start(), twice.layout());
            drop(twice);
            // SAFETY: none, it is freed the second time. The heap refuses it.
            unsafe { heap.free(start, layout) };
            return Err(Oom);
        };
        drop(third);
        Ok(())
    });
    assert_eq!(kinds(&report), [Kind::Leak, Kind::DoubleFree], "{report}");
}

/// Allocates from the heap when it is formatted and when it is dropped.
struct Busy(Heap);

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = Owned::new(&self.0, 128).is_ok();
        write!(f, "memory: {memory}")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        Owned::new(&self.0, 256).expect("no fault is injected when the result is dropped");
    }
}

/// Pitfall 19: what the harness does with a result is not part of the subject.
#[test]
fn injection_ends_with_the_body() {
    let report = Sweep::new("body").run(|heap| {
        Owned::new(heap, 16)?;
        Ok::<_, Oom>(Busy(heap.clone()))
    });
    assert_eq!(report.coverage().requests, 1, "{report}");
    report.assert_clean();
}

fn through_an_arena(heap: &Heap) -> Result<(), Oom> {
    let arena = heap.wrap("arena", Bump::new(heap));
    (0..3).try_for_each(|_| Owned::new(&arena, 16).map(drop))?;
    Ok(())
}

/// Pitfall 25: an arena hides requests.
#[test]
fn an_arena_is_failed_at_its_blocks_and_at_the_port_below() {
    let hidden = Sweep::new("hidden").run(|heap| {
        let arena = Bump::new(heap);
        (0..3).try_for_each(|_| arena.alloc(layout(16, 8)).map(drop))
    });
    assert_eq!(hidden.coverage().requests, 1, "the chunk below is a request in any case");
    hidden.assert_clean();
    let report = Sweep::new("arena").run(through_an_arena);
    assert_eq!(report.coverage().requests, 4, "the chunk, and each of the arena's blocks");
    report.assert_clean();
    let below = Sweep::new("arena").plan(Plan::nth(1).heap("main")).run(through_an_arena);
    assert_eq!(outcomes(&below), [(Outcome::Propagated, 1)]);
    let third = Plan::nth(3).heap("arena");
    let above = Sweep::new("arena").plan(third).run(through_an_arena);
    assert_eq!(outcomes(&above), [(Outcome::Propagated, 1)]);
}

/// Pitfall 25: without the arena every block is a request to the port.
#[test]
fn the_kill_switch_is_passed_on_to_memory_parts() {
    let report = Sweep::new("bypass").options(Options::new().bypass(true)).run(|heap| {
        assert!(heap.bypass());
        (0..3).try_for_each(|_| Owned::new(heap, 16).map(drop))
    });
    assert_eq!(report.coverage().requests, 3);
    report.assert_clean();
}

/// Pitfall 29: faults in the set-up repeat what other sweeps have shown.
#[test]
fn the_set_up_is_not_swept() {
    let report = Sweep::new("set-up")
        .observe(|blocks: &Vec<Owned>| blocks.len())
        .setup(|heap| (0..5).map(|_| Owned::new(heap, 16)).collect::<Result<Vec<Owned>, _>>())
        .operation(|blocks| {
            let heap = blocks[0].heap();
            let block = Owned::new(&heap, 32)?;
            blocks.push(block);
            Ok(())
        });
    assert_eq!(report.coverage().requests, 1);
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2)]);
    report.assert_clean();
}

/// Pitfall 29: a large set-up is no lack of progress.
#[test]
fn a_large_set_up_does_not_count_as_progress_not_made() {
    let report = Sweep::new("large-set-up")
        .observe(|_: &Heap| ())
        .setup(|heap| {
            (0..5000).try_for_each(|_| Owned::new(heap, 16).map(drop))?;
            Ok(heap.clone())
        })
        .operation(|heap| Owned::new(heap, 32).map(drop));
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2)]);
    report.assert_clean();
}
