//! Children and what belongs to the whole process: signal handlers, descriptors and memory. The tests
//! change these, so each runs in a process of its own.
#![allow(unsafe_code, reason = "signal handlers are replaced on purpose")]

use std::time::Duration;

use crate::common::again::alone;
use crate::common::{Oom, Owned, outcomes, the};
use mallory::sweep::Strategy;
use mallory::{Faults, Heap, Kind, Outcome, Report, Sweep};

fn sweep(end: fn()) -> Report {
    let patience = Duration::from_secs(5);
    Sweep::new("dies").faults(Faults::Transient).patience(patience).run(move |heap| {
        drop(Owned::new(heap, 16)?);
        if let Err(refused) = Owned::new(heap, 32) {
            end();
            return Err(Oom::from(refused));
        }
        Ok(())
    })
}

#[test]
fn a_process_keeps_what_is_its_own() {
    alone(a_process_keeps_what_is_its_own, || {
        two_thousand_children_leave_nothing_behind();
        a_handler_of_the_process_comes_after_ours();
        ends_that_are_not_reported_are_no_hang_and_no_pass();
    });
}

/// The number of descriptors that this process has open, and of the pages that it holds.
fn open_and_pages() -> (usize, u64) {
    let open = std::fs::read_dir("/proc/self/fd").expect("there").count();
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("there");
    let pages = sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    (open, pages.expect("a number"))
}

fn two_thousand_children_leave_nothing_behind() {
    let pages = children_leave_nothing_behind(1000, Strategy::Auto, 1);
    assert!(pages < 2048, "{pages} pages more");
}

/// The C library keeps the memory of a sweep's tables for the next one, so the same sweep is made once
/// before. Rerunning costs the square of the requests, hence many small sweeps.
#[test]
fn nightly_a_hundred_thousand_children_leave_nothing_behind() {
    alone(nightly_a_hundred_thousand_children_leave_nothing_behind, || {
        for (strategy, requests, sweeps) in
            [(Strategy::Fork, 50_000, 1), (Strategy::Rerun, 1000, 50)]
        {
            children_leave_nothing_behind(requests, strategy, 1);
            let pages = children_leave_nothing_behind(requests, strategy, sweeps);
            assert!(pages < 1024, "{pages} pages more by {strategy:?}");
        }
    });
}

/// Makes sweeps in which each fault ends a child, two for each request. Returns the number of pages by
/// which this process has grown.
fn children_leave_nothing_behind(requests: u64, strategy: Strategy, sweeps: usize) -> u64 {
    let many = || {
        let sweep = Sweep::new("many").strategy(strategy).limit(u64::MAX);
        let report = sweep.run(|heap: &Heap| {
            for _ in 0..requests {
                if Owned::new(heap, 16).is_err() {
                    std::process::exit(1);
                }
            }
            Ok::<_, Oom>(())
        });
        assert_eq!(outcomes(&report), [(Outcome::Exited, 2 * requests)]);
        assert_eq!(the(&report, Kind::Exit).count(), requests, "{report}");
    };
    // The first sweep also allocates what the program keeps.
    assert_eq!(sweep(|| std::process::exit(1)).outcomes(Outcome::Exited), 1);
    let (open, pages) = open_and_pages();
    (0..sweeps).for_each(|_| many());
    let (open_after, pages_after) = open_and_pages();
    assert_eq!(open_after, open, "descriptors are left open");
    // SAFETY: polls for any child without waiting.
    let left = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    assert_eq!(left, -1, "a child is left");
    pages_after.saturating_sub(pages)
}

/// A signal handler of the program is still called.
fn a_handler_of_the_process_comes_after_ours() {
    extern "C" fn leave(_: i32) {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(9) };
    }
    // SAFETY: sets a handler that only ends the process; only children of the sweep below abort.
    let before = unsafe { libc::signal(libc::SIGABRT, leave as *const () as libc::sighandler_t) };
    let report = sweep(|| std::process::abort());
    // SAFETY: restores the handler.
    unsafe { libc::signal(libc::SIGABRT, before) };
    assert!(the(&report, Kind::Exit).to_string().contains("exit code 9"), "{report}");
}

/// A process that ignores SIGCHLD does not learn how its children ended.
fn ends_that_are_not_reported_are_no_hang_and_no_pass() {
    // SAFETY: sets one of the standard actions.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let report = sweep(|| std::process::exit(0));
    // SAFETY: restores the handler.
    unsafe { libc::signal(libc::SIGCHLD, before) };
    assert_eq!(report.outcomes(Outcome::Exited), 1, "{report}");
    assert!(report.to_string().contains("how is unknown"), "{report}");
}
