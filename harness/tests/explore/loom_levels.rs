//! Explorations that are too large for loom: schedules with fewer preemptions are run to the end, faults
//! are drawn by the seed, and the verdict says that it is no whole search.

use crate::common::mistake;
use allocator_api2::boxed::Box;
use mallory::sync::Arc;
use mallory::sync::atomic::{AtomicUsize, Ordering};
use mallory::{Explore, Heap, Kind, Refused, Report, Verdict, thread};

fn block(heap: &Heap) -> Result<Box<u64, Heap>, Refused> {
    Box::try_new_in(7, heap.clone()).map_err(|_| Refused)
}

/// Two threads make requests and updates. The bug, with `loses`: if the first request of the second
/// thread fails between two updates of the first one, a block is lost.
fn many(heap: &Heap, loses: bool) -> Result<(), Refused> {
    let count = Arc::new(AtomicUsize::new(0));
    let (its, own) = (Arc::clone(&count), heap.clone());
    let other = thread::spawn(move || {
        let kept = block(&own)?;
        for _ in 0..3 {
            if block(&own).is_err() {
                if its.fetch_add(1, Ordering::AcqRel) == 1 && loses {
                    std::mem::forget(kept);
                }
                return Err(Refused);
            }
            its.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    });
    let mut mine = Ok(());
    for _ in 0..4 {
        mine = mine.and(block(heap).map(drop));
        count.fetch_add(1, Ordering::AcqRel);
    }
    other.join().expect("no panic").and(mine)
}

fn explore() -> Explore {
    Explore::new("many").loom().preemptions(3)
}

fn lines(report: &Report) -> String {
    let text = report.to_string();
    let notes = text.lines().filter(|line| !line.contains("  replay  ") && !line.contains(".rs:"));
    notes.collect::<Vec<&str>>().join("\n")
}

#[test]
fn a_search_that_is_cut_off_says_to_which_preemptions_it_is_complete() {
    let whole = explore().run(|heap| many(heap, false));
    whole.assert_clean();
    let report = explore().schedules(whole.coverage().schedules / 2).run(|heap| many(heap, false));
    assert_eq!((report.verdict(), report.exit_code()), (Verdict::Incomplete, 3), "{report}");
    insta::assert_snapshot!("cut_off", lines(&report));
    // One more than there are is no limit.
    let report = explore().schedules(whole.coverage().schedules + 1).run(|heap| many(heap, false));
    assert_eq!(report.to_string(), whole.to_string());
}

#[test]
fn a_limit_draws_faults_by_the_seed_and_runs_fewer_preemptions_first() {
    let of = |seed, jobs, loses| {
        explore().seed(seed).jobs(jobs).limit(60).run(move |heap| many(heap, loses))
    };
    let report = of(0, 1, false);
    assert_eq!((report.verdict(), report.exit_code()), (Verdict::Sampled, 0), "{report}");
    let coverage = report.coverage();
    assert!(coverage.runs <= 60 && coverage.runs > 30 && !coverage.complete, "{report}");
    report.assert_clean();
    insta::assert_snapshot!("sampled", lines(&report));
    assert_eq!(of(5, 1, false).to_string(), of(5, 3, false).to_string());
    let found = |seed| of(seed, 1, true).findings().len();
    assert!((0..4).map(found).sum::<usize>() > 0, "some sample shows the bug");
    let drawn = |seed| of(seed, 1, true).to_string().replace(&format!("seed {seed}"), "seed");
    assert!((1..8).any(|seed| drawn(seed) != drawn(0)), "another seed draws other faults");
}

#[test]
fn what_only_fewer_preemptions_show_is_found_where_the_search_is_cut_off() {
    let run = |heap: &Heap| many(heap, true);
    let whole = explore().run(run);
    assert_eq!(whole.findings().len(), 1, "{whole}");
    let cut = explore().schedules(whole.coverage().schedules / 2).run(run);
    assert_eq!(cut.findings().len(), 1, "{cut}");
    assert_eq!(cut.findings()[0].kind(), Kind::Leak, "{cut}");
    let token = cut.findings()[0].token().clone();
    assert!(explore().replay(token).run(run).row().contains("reproduced"), "{cut}");
}

#[test]
fn what_loom_would_ignore_is_refused() {
    let refusals = [
        (explore().every_order(), "in the order of operations that commute"),
        (explore().wakeups(1), "loom lets no wait end early"),
        (explore().cancellations(1), "loom drops no futures"),
        (explore().daemon("worker"), "only when all its threads have ended"),
        (explore().delays(1), "loom explores only all schedules"),
        (explore().pct(3, 10), "loom explores only all schedules"),
    ];
    for (explore, said) in refusals {
        let error = mistake(&explore.run(|heap| many(heap, false)));
        assert!(error.contains(said) && error.contains("use shuttle"), "{said}: {error}");
    }
    let asks_nothing = explore().preemptions(0).wakeups(0).cancellations(0).points(false);
    asks_nothing.run(|heap| many(heap, false)).assert_clean();
}
