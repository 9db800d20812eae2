//! More requests × schedules than the limit allows: a seeded sample is run instead. The report says
//! so, and planted bugs are still found.

use crate::common::kinds;
use allocator_api2::boxed::Box;
use mallory::sync::{Arc, Mutex};
use mallory::{Explore, Heap, Kind, Refused, Report, Verdict, thread};

type Block = Box<u64, Heap>;

fn block(heap: &Heap) -> Result<Block, Refused> {
    Box::try_new_in(7, heap.clone()).map_err(|_| Refused)
}

type Spare = Mutex<Option<Block>>;

/// Stores a spare block; returns it if there is one already.
fn leave(spare: &Spare, block: Block) -> Option<Block> {
    let mut place = spare.lock().expect("no panic");
    if place.is_some() {
        return Some(block);
    }
    *place = Some(block);
    None
}

/// The bug: between the check and the store the other thread may have stored its block.
fn leave_unlocked(spare: &Spare, block: Block) -> Option<Block> {
    if spare.lock().expect("no panic").is_some() {
        return Some(block);
    }
    // The block that is replaced is not freed.
    std::mem::forget(spare.lock().expect("no panic").replace(block));
    None
}

/// Two threads make many requests and share a spare block. After a failed request it is stored by
/// `leave_failed`.
fn many(heap: &Heap, leave_failed: fn(&Spare, Block) -> Option<Block>) -> Result<(), Refused> {
    let spare = Arc::new(Spare::new(None));
    let work = {
        let (heap, spare) = (heap.clone(), Arc::clone(&spare));
        move |rounds: u32| -> Result<(), Refused> {
            for _ in 0..rounds {
                let first = block(&heap)?;
                match block(&heap) {
                    Ok(_) => {}
                    Err(refused) => {
                        drop(leave_failed(&spare, first));
                        return Err(refused);
                    }
                }
            }
            drop(leave(&spare, block(&heap)?));
            Ok(())
        }
    };
    let other = thread::spawn({
        let work = work.clone();
        move || work(4)
    });
    let mine = work(4);
    let its = other.join().expect("no panic");
    mine.and(its)
}

const RUNS: u64 = 1_000;

fn explore() -> Explore {
    Explore::new("many").shuttle().preemptions(2).every_order().limit(RUNS)
}

fn is_a_sample(report: &Report) {
    let coverage = report.coverage();
    assert!(coverage.runs > RUNS / 2 && coverage.runs <= RUNS, "{report}");
    assert!(coverage.runs_total > 10 * RUNS && !coverage.complete, "{report}");
    assert!(report.to_string().contains(&format!("a sample by seed {}: ", report.seed())));
    assert!(report.row().contains(" of "), "{report}");
}

#[test]
fn what_is_right_is_sampled_and_says_how_much_of_it() {
    let report = explore().run(|heap| many(heap, leave));
    report.assert_clean();
    assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
    is_a_sample(&report);
    assert!(report.row().contains("✓ sampled"), "{report}");
}

#[test]
fn a_planted_bug_is_found_by_the_sample_made_small_and_replayed() {
    let report = explore().run(|heap| many(heap, leave_unlocked));
    let kinds = kinds(&report);
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == Kind::Leak), "{report}");
    is_a_sample(&report);
    for finding in report.findings() {
        let token = finding.token().to_string();
        assert!(token.contains(" f=T") && token.matches('>').count() <= 2, "{token}");
        let again = explore().replay(finding.token().clone());
        let again = again.run(|heap| many(heap, leave_unlocked));
        assert!(again.row().contains("reproduced"), "{again}");
    }
}

#[test]
fn a_seed_draws_the_same_for_any_number_of_jobs_and_another_one_others() {
    let of = |seed, jobs| {
        let explore = explore().seed(seed).jobs(jobs);
        explore.run(|heap| many(heap, leave_unlocked)).to_string()
    };
    assert_eq!(of(5, 1), of(5, 3));
    assert_ne!(of(5, 1), of(6, 1).replace("seed 6", "seed 5"));
}

#[test]
fn a_limit_below_the_number_of_faults_takes_some_of_them() {
    let report = explore().limit(30).run(|heap| many(heap, leave));
    assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
    assert!(report.coverage().runs <= 30 && report.coverage().runs > 20, "{report}");
    assert!(report.to_string().contains("3 of 36 faults"), "{report}");
}

/// The other thread makes a third request only if it is faster than this one.
fn quicker(heap: &Heap) -> Result<(), Refused> {
    let flag = Arc::new(Mutex::new(false));
    let (its, own) = (Arc::clone(&flag), heap.clone());
    let other = thread::spawn(move || {
        let _blocks = (block(&own)?, block(&own)?);
        if !*its.lock().expect("no panic") {
            drop(block(&own)?);
        }
        Ok(())
    });
    *flag.lock().expect("no panic") = true;
    let mine = block(heap).map(drop);
    other.join().expect("no panic").and(mine)
}

#[test]
fn a_request_that_no_schedule_of_the_sample_makes_is_no_finding() {
    for seed in 0..8 {
        let report = Explore::new("quicker").shuttle().seed(seed).limit(8).run(quicker);
        assert!(report.findings().is_empty(), "{report}");
        assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
        assert!(report.outcomes(mallory::Outcome::Unreached) <= report.coverage().runs);
    }
    Explore::new("quicker").shuttle().run(quicker).assert_clean();
}

#[test]
fn what_the_limit_allows_is_no_sample() {
    let report = explore().preemptions(0).run(|heap| many(heap, leave));
    report.assert_clean();
    assert_eq!(report.verdict(), Verdict::Clean, "{report}");
    assert!(report.coverage().complete, "{report}");
}
