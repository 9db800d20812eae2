//! Which runs a sweep makes, when it ends, and how observations are grouped into findings. The
//! pitfalls are those of `../PITFALLS.md`.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Oom, Owned, mistake, only, outcomes};
use mallory::{Heap, Kind, Outcome, Sweep};

/// Leaks a block at each of its hundreds of failures, always for the same reason.
fn loses_at_each(heap: &Heap) -> Result<(), Oom> {
    let kept = Owned::new(heap, 24)?;
    for _ in 0..200 {
        if Owned::new(heap, 16).is_err() {
            kept.lose();
            return Err(Oom);
        }
    }
    Ok(())
}

/// Pitfall 24: one cause at hundreds of requests.
#[test]
fn one_root_cause_is_one_finding_with_a_count_at_its_smallest_coordinate() {
    let report = Sweep::new("grouped").run(loses_at_each);
    let leak = only(&report);
    assert_eq!((leak.kind(), leak.count()), (Kind::Leak, 200));
    assert_eq!(leak.fault().map(|at| at.to_string()).as_deref(), Some("T0#2"));
    assert!(leak.to_string().contains("seen at 200 of 201 requests"), "{leak}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 402)]);
}

/// Leaks a block in one iteration of its loop only.
fn loses_at_one_turn(heap: &Heap) -> Result<(), Oom> {
    for iteration in 1..=50 {
        let kept = Owned::new(heap, 24)?;
        if Owned::new(heap, 16).is_err() {
            if iteration == 37 {
                kept.lose();
            }
            return Err(Oom);
        }
    }
    Ok(())
}

/// Pitfall 27: requests with the same call site may behave differently.
#[test]
fn equal_call_sites_are_put_together_for_printing_only() {
    let report = Sweep::new("turns").run(loses_at_one_turn);
    assert_eq!(report.coverage().sites, 1);
    assert_eq!(report.coverage().runs, 200);
    let leak = only(&report);
    assert_eq!((leak.kind(), leak.count()), (Kind::Leak, 1));
    assert_eq!(leak.fault().map(|at| at.ordinal), Some(74));
}

/// Absorbs the failure of its first request, and has a bug at the second.
fn succeeds_early(heap: &Heap) -> Result<(), Oom> {
    let _cache = Owned::new(heap, 16);
    let kept = Owned::new(heap, 24)?;
    if Owned::new(heap, 32).is_err() {
        kept.lose();
        return Err(Oom);
    }
    Ok(())
}

/// Pitfall 28: stopping as soon as the body succeeds.
#[test]
fn the_sweep_goes_on_after_a_run_that_succeeded() {
    let report = Sweep::new("early").run(succeeds_early);
    assert_eq!(report.outcomes(Outcome::Absorbed), 1);
    assert_eq!(report.coverage().runs, 6);
    assert_eq!(only(&report).kind(), Kind::Leak);
    assert_eq!(only(&report).fault().map(|at| at.ordinal), Some(3));
}

/// Pitfall 30: a body that fails although no fault was injected.
#[test]
fn a_body_that_fails_without_a_fault_is_the_callers_mistake() {
    let fails = Sweep::new("fails").run(|heap| {
        Owned::new(heap, 16)?;
        Err::<(), Oom>(Oom)
    });
    assert!(mistake(&fails).contains("fails without any fault: Oom"), "{fails}");
    let panics = Sweep::new("panics").run(|_| -> Result<(), Oom> { panic!("no such file") });
    assert!(mistake(&panics).contains("no such file"), "{panics}");
    for report in [fails, panics] {
        assert_eq!(outcomes(&report), [], "nothing is counted as handled");
        assert!(report.findings().is_empty());
    }
}

/// Pitfall 30: a body that fails in its second run.
#[test]
fn a_body_that_fails_now_and_then_is_no_handled_failure() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let report = Sweep::new("moody").run(|heap| {
        Owned::new(heap, 16)?;
        if RUNS.fetch_add(1, Ordering::Relaxed) == 1 { Err(Oom) } else { Ok(()) }
    });
    assert!(mistake(&report).contains("without any fault"), "{report}");
    assert_eq!(outcomes(&report), []);
}

/// A correct subject has a clean report, and `assert_clean` passes.
#[test]
fn the_near_miss_of_each_of_these_is_clean() {
    let clean = |heap: &Heap| {
        let _kept = Owned::new(heap, 24)?;
        (0..20).try_for_each(|_| Owned::new(heap, 16).map(drop))?;
        Ok::<_, Oom>(())
    };
    let report = Sweep::new("clean").run(clean);
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 42)]);
    assert_eq!(report.exit_code(), 0);
    report.assert_clean();
}
