//! How a run with a fault may end, and what each end is called. The pitfalls are those of
//! `../PITFALLS.md`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::common::{Oom, Owned, kinds, only, outcomes, the};
use allocator_api2::vec::Vec;
use mallory::{Faults, Finding, Heap, Kind, Outcome, Sweep};

/// A list that stays empty if there is no memory for it.
fn forgetful(heap: &Heap) -> Result<usize, Oom> {
    let mut list = Vec::new_in(heap.clone());
    if list.try_reserve(10).is_ok() {
        list.push(7_u8);
    }
    Ok(list.len())
}

/// A cache that the result does not depend on.
fn optional_cache(heap: &Heap) -> Result<usize, Oom> {
    let mut cache = Vec::new_in(heap.clone());
    if cache.try_reserve(10).is_ok() {
        cache.push(42_usize);
    }
    Ok(cache.first().copied().unwrap_or(42))
}

/// A cache that is declared optional by its caller and is not.
fn required_cache(heap: &Heap) -> Result<usize, Oom> {
    let mut cache: Vec<usize, Heap> = Vec::new_in(heap.clone());
    cache.try_reserve(10)?;
    Ok(42)
}

/// Pitfall 1: a swallowed failure.
#[test]
fn a_swallowed_failure_that_changes_the_result_is_silent_wrong() {
    let report = Sweep::new("swallowed").run(forgetful);
    let text = only(&report).to_string();
    assert_eq!(only(&report).kind(), Kind::SilentWrong);
    assert!(text.contains("- 1") && text.contains("+ 0"), "both results are shown: {text}");
    assert_eq!(outcomes(&report), [(Outcome::SilentWrong, 2)]);
}

/// Pitfall 1: an absorbed failure is a finding only if the sweep is strict.
#[test]
fn a_failure_that_changes_nothing_is_absorbed() {
    let report = Sweep::new("absorbed").run(optional_cache);
    assert_eq!(outcomes(&report), [(Outcome::Absorbed, 2)]);
    report.assert_clean();
    let strict = Sweep::new("absorbed").strict().run(optional_cache);
    assert_eq!(only(&strict).kind(), Kind::Absorbed);
    Sweep::new("absorbed").strict().benign("optional_cache").run(optional_cache).assert_clean();
}

/// Pitfall 1: declaring a site benign promises that the result stays the same.
#[test]
fn a_benign_site_owes_the_fault_free_result() {
    let other = Sweep::new("benign").benign("forgetful").run(forgetful);
    assert_eq!(only(&other).kind(), Kind::SilentWrong);
    let error = Sweep::new("benign").benign("required_cache").run(required_cache);
    assert_eq!(only(&error).kind(), Kind::WrongError);
}

#[derive(Debug)]
enum Failure {
    Oom,
    Io,
}

/// Returns one of its two failures as another error.
fn mistranslated(heap: &Heap) -> Result<(), Failure> {
    let _index = Owned::new(heap, 32).map_err(|_| Failure::Oom)?;
    let _page = Owned::new(heap, 64).map_err(|_| Failure::Io)?;
    Ok(())
}

/// Pitfall 2: out of memory that is returned as another error.
#[test]
fn an_error_that_is_not_out_of_memory_is_a_finding_once_errors_are_classified() {
    let is_oom = |failure: &Failure| matches!(failure, Failure::Oom);
    let report = Sweep::new("translated").oom(is_oom).run(mistranslated);
    assert_eq!(only(&report).kind(), Kind::WrongError);
    assert!(report.to_string().contains("not out of memory: Io"), "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2), (Outcome::WrongError, 2)]);
    let unclassified = Sweep::new("translated").run(mistranslated);
    assert_eq!(outcomes(&unclassified), [(Outcome::Propagated, 4)]);
    assert!(unclassified.to_string().contains("errors unclassified"), "{unclassified}");
}

/// Undoes its work after a failure, which needs memory itself.
fn rollback_that_asks(heap: &Heap) -> Result<(), Oom> {
    let work = Owned::new(heap, 32)?;
    if Owned::new(heap, 64).is_err() {
        let Ok(_log) = Owned::new(heap, 16) else {
            work.lose();
            return Err(Oom);
        };
        return Err(Oom);
    }
    Ok(())
}

/// Continues after a failed write, and so commits the second half without the first.
fn partial_commit(heap: &Heap) -> Result<usize, Oom> {
    let first = Owned::new(heap, 32);
    let second = Owned::new(heap, 64)?;
    Ok(first.map_or(0, |first| first.layout().size()) + second.layout().size())
}

/// Pitfall 9: failing once and failing for good find different bugs.
#[test]
fn transient_and_persistent_faults_each_find_what_the_other_misses() {
    let by = |faults, subject: fn(&Heap) -> Result<usize, Oom>| {
        kinds(&Sweep::new("modes").faults(faults).run(subject))
    };
    let rollback = |heap: &Heap| rollback_that_asks(heap).map(|()| 0);
    assert_eq!(by(Faults::Transient, rollback), []);
    assert_eq!(by(Faults::Persistent, rollback), [Kind::Leak]);
    assert_eq!(by(Faults::Both, rollback), [Kind::Leak]);
    assert_eq!(by(Faults::Transient, partial_commit), [Kind::SilentWrong]);
    assert_eq!(by(Faults::Persistent, partial_commit), []);
    assert_eq!(by(Faults::Both, partial_commit), [Kind::SilentWrong]);
}

/// Pitfall 10: retrying for ever.
#[test]
fn an_endless_loop_of_requests_is_no_progress() {
    let report = Sweep::new("retry").run(|heap| {
        while Owned::new(heap, 16).is_err() {}
        Ok::<_, Oom>(())
    });
    assert_eq!(only(&report).kind(), Kind::NoProgress);
    assert_eq!(outcomes(&report), [(Outcome::Absorbed, 1), (Outcome::Hung, 1)]);
}

/// Pitfall 10: a loop that continues when there is memory again.
#[test]
fn a_loop_that_memory_does_not_end_is_no_progress_and_ends_all_the_same() {
    let report = Sweep::new("for-ever").faults(Faults::Transient).run(|heap| {
        if Owned::new(heap, 16).is_err() {
            loop {
                let _again = Owned::new(heap, 16);
            }
        }
        Ok::<_, Oom>(())
    });
    assert_eq!(only(&report).kind(), Kind::NoProgress);
    assert_eq!(outcomes(&report), [(Outcome::Hung, 1)]);
}

/// Pitfalls 10 and 23: hanging without a request, which only a clock can notice.
#[test]
fn standing_still_is_no_progress() {
    let sweep = Sweep::new("still").faults(Faults::Transient).patience(Duration::from_secs(1));
    let report = sweep.run(|heap| {
        if Owned::new(heap, 16).is_err() {
            loop {
                std::thread::park();
            }
        }
        Ok::<_, Oom>(())
    });
    assert_eq!(only(&report).kind(), Kind::NoProgress);
    assert_eq!(outcomes(&report), [(Outcome::Hung, 1)]);
}

/// Formats its error in memory of the heap, and relies on getting it.
fn message_on_the_heap(heap: &Heap) -> Result<(), Oom> {
    Owned::new(heap, 32).map(drop).map_err(|_| {
        let mut message = Owned::new(heap, 64).expect("memory for a message");
        message.fill();
        Oom
    })
}

/// Pitfall 11: reporting an error needs memory itself.
#[test]
fn an_error_message_on_the_heap_is_a_fault_point_like_any_other() {
    let report = Sweep::new("message").run(message_on_the_heap);
    assert_eq!(only(&report).kind(), Kind::Panic);
    assert!(only(&report).to_string().contains("memory for a message"), "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 1), (Outcome::Panicked, 1)]);
}

/// Pitfall 11: what the harness formats costs the subject no request.
#[test]
fn a_large_result_is_rendered_outside_of_the_heap() {
    let report = Sweep::new("large").run(|heap| {
        Owned::new(heap, 16)?;
        let mut text = String::new();
        (0..10_000).for_each(|n| write!(text, "{n} ").expect("a String takes it"));
        Ok::<_, Oom>(text)
    });
    assert_eq!(report.coverage().requests, 1);
    report.assert_clean();
}

/// Assumes that a failed growth has freed the block.
fn lost_by_growth(heap: &Heap) -> Result<(), Oom> {
    let mut block = Owned::new(heap, 32)?;
    if block.resize(64).is_err() {
        block.lose();
        return Err(Oom);
    }
    Ok(())
}

/// Relies on a failed growth leaving the block as it was.
fn kept_by_growth(heap: &Heap) -> Result<(), Oom> {
    let mut block = Owned::new(heap, 32)?;
    block.fill();
    let grown = block.resize(64);
    assert!(block.is_filled(32), "a growth keeps the contents, whether it succeeds or fails");
    Ok(grown?)
}

/// Pitfall 12: a failed growth leaves the old block alive.
#[test]
fn a_block_that_failed_to_grow_is_valid_still_and_not_to_be_lost() {
    let report = Sweep::new("growth").run(lost_by_growth);
    assert_eq!(only(&report).kind(), Kind::Leak);
    assert!(report.to_string().contains("(grow)"), "{report}");
    for moving in [true, false] {
        let options = mallory::Options::new().ledger_only().moving(moving);
        Sweep::new("growth").options(options).run(kept_by_growth).assert_clean();
    }
    Sweep::new("growth").run(kept_by_growth).assert_clean();
}

/// Pitfall 13: shrinking can fail.
#[test]
fn a_failed_shrink_is_a_kind_of_its_own() {
    let shrink = |heap: &Heap| {
        let mut list = Vec::new_in(heap.clone());
        list.try_reserve(100)?;
        list.push(1_u8);
        list.shrink_to_fit();
        Ok::<_, Oom>(list.len())
    };
    let report = Sweep::new("shrink").run(shrink);
    assert_eq!(only(&report).kind(), Kind::Abort);
    assert!(report.to_string().contains("(shrink)"), "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2), (Outcome::Aborted, 2)]);
    let plan = mallory::Plan::nth(1).op(mallory::plan::Op::Shrink);
    let only_shrinks = Sweep::new("shrink").plan(plan).run(shrink);
    assert_eq!(outcomes(&only_shrinks), [(Outcome::Aborted, 1)]);
}

/// Allocates when it is dropped, and relies on getting the memory.
struct Flushing<'a>(&'a Heap);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        Owned::new(self.0, 48).expect("memory to flush with");
    }
}

/// Pitfall 14: memory that is allocated in `Drop`.
#[test]
fn a_request_in_drop_is_failed_too() {
    let report = Sweep::new("drop").run(|heap| {
        let _guard = Flushing(heap);
        Ok::<_, Oom>(())
    });
    assert_eq!(only(&report).kind(), Kind::Panic);
    assert!(only(&report).to_string().contains("memory to flush with"), "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Panicked, 2)]);
}

/// Pitfall 15: `handle_alloc_error` aborts, which nothing can catch.
#[test]
fn an_abort_is_classified_and_the_test_process_lives() {
    let report = Sweep::new("push").run(|heap| {
        let mut list = Vec::new_in(heap.clone());
        (0..10_u64).for_each(|n| list.push(n));
        Ok::<_, Oom>(list.len())
    });
    let abort = only(&report);
    assert_eq!((abort.kind(), abort.count()), (Kind::Abort, report.coverage().requests));
    assert_eq!(outcomes(&report), [(Outcome::Aborted, report.coverage().runs)]);
}

/// Pitfall 20: destructors allocate while a panic unwinds, and a second panic would end the process
/// and hide the first.
#[test]
fn a_panic_is_not_hidden_by_faults_while_it_unwinds() {
    let report = Sweep::new("unwinding").faults(Faults::Persistent).run(|heap| {
        let _guard = Flushing(heap);
        let _block = Owned::new(heap, 16).expect("the first panic");
        Ok::<_, Oom>(())
    });
    let first = |finding: &&Finding| finding.to_string().contains("the first panic");
    assert_eq!(report.findings().iter().filter(first).count(), 1, "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Panicked, 2)]);
}

/// Pitfall 26: a wrapper that reports success when the program below it dies.
#[cfg(unix)]
#[test]
fn every_way_to_die_is_told_from_the_others_and_never_a_pass() {
    let dies = |end: fn()| {
        Sweep::new("dies").run(move |heap| {
            if Owned::new(heap, 16).is_err() {
                end();
            }
            Ok::<_, Oom>(())
        })
    };
    #[allow(unsafe_code, reason = "a signal is sent on purpose")]
    fn raise() {
        // SAFETY: sends a signal to this process, which ends it.
        unsafe { libc::raise(libc::SIGILL) };
    }
    type End = (fn(), Kind, Outcome, &'static str);
    let ends: [End; 5] = [
        (raise, Kind::Crash, Outcome::Crashed, "SIGILL"),
        (|| std::process::abort(), Kind::Abort, Outcome::Aborted, "SIGABRT"),
        (|| std::process::exit(0), Kind::Exit, Outcome::Exited, "exit code 0"),
        (|| std::process::exit(7), Kind::Exit, Outcome::Exited, "exit code 7"),
        (|| panic!("no memory"), Kind::Panic, Outcome::Panicked, "no memory"),
    ];
    for (end, kind, outcome, said) in ends {
        let report = dies(end);
        assert!(the(&report, kind).to_string().contains(said), "{report}");
        assert_eq!(outcomes(&report), [(outcome, 2)]);
        assert_eq!(report.exit_code(), 1);
    }
}

/// Pitfall 26, without any fault.
#[test]
fn dying_without_a_fault_is_a_finding_before_any_sweep() {
    let exit = Sweep::new("exit").run(|_| -> Result<(), Oom> { std::process::exit(0) });
    assert_eq!(only(&exit).kind(), Kind::Exit);
    assert_eq!((exit.exit_code(), exit.coverage().runs), (1, 0));
    let abort = Sweep::new("abort").run(|_| -> Result<(), Oom> { std::process::abort() });
    assert_eq!(only(&abort).kind(), Kind::Abort);
    assert!(only(&abort).to_string().contains("seen without any fault"), "{abort}");
}
