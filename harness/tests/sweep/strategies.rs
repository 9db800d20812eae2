//! Two strategies to reach a request, one report: the run is made again from the beginning, or a
//! child is forked off one pass.

use std::cell::Cell;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::common::{Oom, Owned, mistake};
use mallory::sweep::Strategy;
use mallory::system::{Guarantee, World};
use mallory::{Heap, Outcome, Report, Sweep, System};

/// Sweeps a subject with this strategy.
fn swept(
    strategy: Strategy,
    jobs: usize,
    subject: impl Fn(&Heap) -> Result<u64, Oom> + Sync,
) -> Report {
    Sweep::new("strategies")
        .strategy(strategy)
        .jobs(jobs)
        .patience(Duration::from_secs(1))
        .oom(|_: &Oom| true)
        .run(subject)
}

/// The reports of all strategies are the same, byte by byte. Returns that report.
#[track_caller]
fn the_same(subject: impl Fn(&Heap) -> Result<u64, Oom> + Sync + Copy) -> Report {
    let by_rerun = swept(Strategy::Rerun, 1, subject);
    assert_eq!(by_rerun.strategy(), Strategy::Rerun);
    for (strategy, jobs) in [
        (Strategy::Fork, 1),
        (Strategy::Fork, 2),
        (Strategy::Rerun, 2),
        (Strategy::Auto, 1),
        (Strategy::Auto, 2),
    ] {
        let other = swept(strategy, jobs, subject);
        assert_eq!(other.to_string(), by_rerun.to_string(), "{strategy:?}, {jobs} jobs");
        if strategy != Strategy::Auto {
            assert_eq!(other.strategy(), strategy, "the strategy that was asked for");
        }
    }
    by_rerun
}

/// Allocates `count` blocks and keeps all of them until the end.
fn keeps(heap: &Heap, count: usize) -> Result<u64, Oom> {
    let mut kept = Vec::new();
    for size in 1..=count {
        kept.push(Owned::new(heap, size)?);
    }
    Ok(kept.len() as u64)
}

#[test]
fn clean_code_is_clean_in_each_way() {
    the_same(|heap| keeps(heap, 40)).assert_clean();
}

#[test]
fn the_pass_is_made_once_and_not_for_each_point() {
    let of = |strategy| swept(strategy, 1, |heap| keeps(heap, 200)).effort();
    let (rerun, fork) = (of(Strategy::Rerun), of(Strategy::Fork));
    assert!(
        rerun > 200 * 200 / 2,
        "on average half of the requests, for each of two faults: {rerun}"
    );
    assert!(fork < 10 * 200, "two runs, and what follows each fault: {fork}");
}

/// Slow enough that both strategies are tried, on requests of the sweep itself.
#[test]
fn a_sweep_that_tries_both_ways_reports_the_same() {
    let slow = |heap: &Heap| {
        for size in 1..=20 {
            std::thread::sleep(Duration::from_millis(1));
            let block = Owned::new(heap, size)?;
            if size == 15 && Owned::new(heap, 100).is_err() {
                block.lose();
                return Err(Oom);
            }
        }
        Ok(0)
    };
    let by_rerun = swept(Strategy::Rerun, 2, slow);
    assert_eq!(by_rerun.findings().len(), 1, "{by_rerun}");
    let tried = swept(Strategy::Auto, 1, slow);
    assert_eq!(tried.to_string(), by_rerun.to_string());
    assert_eq!(tried.coverage().runs, by_rerun.coverage().runs);
}

#[test]
fn what_is_found_is_found_in_each_way() {
    let report = the_same(|heap| {
        let first = Owned::new(heap, 16)?;
        let Ok(second) = Owned::new(heap, 32) else {
            first.lose();
            return Err(Oom);
        };
        let result = if Owned::new(heap, 48).is_ok() { 1 } else { 2 };
        drop((first, second));
        Ok(result)
    });
    assert_eq!(report.findings().len(), 2, "a leak and a wrong result:\n{report}");
}

#[test]
fn every_death_is_told_in_each_way() {
    let report = the_same(|heap| {
        if Owned::new(heap, 16).is_err() {
            std::process::abort();
        }
        if Owned::new(heap, 32).is_err() {
            std::process::exit(7);
        }
        if Owned::new(heap, 48).is_err() {
            panic!("no memory");
        }
        if Owned::new(heap, 64).is_err() {
            // One instruction, so that each sample of it has the same line.
            #[allow(clippy::empty_loop, reason = "the subject is to hang here")]
            loop {}
        }
        if Owned::new(heap, 80).is_err() {
            while Owned::new(heap, 8).is_err() {}
        }
        Ok(0)
    });
    for outcome in [Outcome::Aborted, Outcome::Exited, Outcome::Panicked, Outcome::Hung] {
        assert!(report.outcomes(outcome) >= 2, "{outcome:?}\n{report}");
    }
}

/// Sweeps a subject that cannot be forked: by itself the sweep reruns it, and asked to fork it refuses.
/// Returns the refusal.
#[track_caller]
fn refused(subject: impl Fn(&Heap) -> Result<u64, Oom> + Sync + Copy) -> String {
    let by_default = swept(Strategy::Auto, 1, subject);
    by_default.assert_clean();
    assert_eq!(by_default.strategy(), Strategy::Rerun);
    mistake(&swept(Strategy::Fork, 1, subject))
}

#[test]
fn a_subject_with_a_thread_beside_it_is_not_forked() {
    let said = refused(|heap| {
        let (go, wait) = channel::<()>();
        let thread = std::thread::spawn(move || wait.recv().is_ok());
        let result = keeps(heap, 60);
        drop(go);
        let _ = thread.join();
        result
    });
    assert!(said.contains("it has 2 threads") && said.contains("choose rerun"), "{said}");
    // A thread that has ended does not count.
    the_same(|heap| {
        let _ = std::thread::spawn(|| ()).join();
        keeps(heap, 10)
    });
}

#[test]
fn a_subject_that_holds_something_open_for_writing_is_not_forked() {
    let said = refused(|heap| {
        let _file = tempfile::tempfile().expect("a file");
        keeps(heap, 60)
    });
    assert!(said.contains("it holds a descriptor open for writing"), "{said}");
    the_same(|heap| {
        let _file = std::fs::File::open("/dev/null").expect("it can be read");
        keeps(heap, 10)
    });
    the_same(|heap| {
        drop(tempfile::tempfile().expect("a file"));
        keeps(heap, 10)
    });
}

/// A system that may create a file.
struct Filing<const KEEPS: bool>;

impl<const KEEPS: bool> System for Filing<KEEPS> {
    const NAME: &'static str = "filing";
    type Op = ();
    type Reply = ();
    type Error = Oom;
    type Model = ();

    fn open(heap: &Heap, world: &World<'_>) -> Result<Self, Oom> {
        Owned::new(heap, 8)?;
        if KEEPS {
            std::fs::write(world.scratch.join("file"), "text").map_err(|_| Oom)?;
        }
        Ok(Filing)
    }

    fn apply(&mut self, _op: &(), _world: &World<'_>) -> Result<(), Oom> {
        Ok(())
    }

    fn is_oom(_error: &Oom) -> bool {
        true
    }

    fn guarantee(_op: &()) -> Guarantee {
        Guarantee::Retryable
    }

    fn snapshot(&self) {}

    fn model(_model: &mut (), _op: &(), _world: &World<'_>) -> impl std::fmt::Debug {}
}

#[test]
fn a_system_that_keeps_files_is_not_forked() {
    let fork = |name: &str| Sweep::new(name).strategy(Strategy::Fork);
    fork("fileless").script::<Filing<false>>(&[()]).assert_clean();
    let said = mistake(&fork("filing").script::<Filing<true>>(&[()]));
    assert!(said.contains("it keeps files in its scratch directory"), "{said}");
}

#[test]
fn a_limit_and_its_order_hold_in_each_way() {
    let limited = |strategy| {
        let sweep = Sweep::new("limited").strategy(strategy).limit(13).oom(|_: &Oom| true);
        sweep.run(|heap| keeps(heap, 30)).to_string()
    };
    assert_eq!(limited(Strategy::Fork), limited(Strategy::Rerun));
}

#[test]
fn what_the_caller_holds_is_never_touched() {
    let runs = Cell::new(0_u64);
    let report = Sweep::new("local").strategy(Strategy::Fork).run_local(|heap| {
        runs.set(runs.get() + 1);
        keeps(heap, 5)
    });
    report.assert_clean();
    assert_eq!(runs.get(), 0, "all runs are made in children");
}
