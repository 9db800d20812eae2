//! Requests that only the first run of a process makes: they fill statics, and are failed in
//! processes that have not run the subject before.

use std::collections::TryReserveError;
use std::mem::ManuallyDrop;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use mallory::{Kind, Outcome, Report, Token};

use crate::common::shared::SharedCounter;
use crate::sweep;

fn reserved(bytes: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut block = Vec::new();
    block.try_reserve_exact(bytes)?;
    Ok(block)
}

type Table = OnceLock<(Vec<u8>, Vec<u8>)>;

/// Fills a static with two blocks. If `leaks`, the first one is lost when the second is refused.
fn fill(table: &'static Table, leaks: bool) -> Result<usize, TryReserveError> {
    if table.get().is_none() {
        let first = ManuallyDrop::new(reserved(800)?);
        let second = match reserved(400) {
            Ok(second) => second,
            Err(error) if leaks => return Err(error),
            Err(error) => {
                drop(ManuallyDrop::into_inner(first));
                return Err(error);
            }
        };
        let _ = table.set((ManuallyDrop::into_inner(first), second));
    }
    Ok(table.get().map_or(0, |table| table.0.capacity() + table.1.capacity()))
}

/// The only finding, which a replay has to show again.
fn only(report: &Report, replay: impl FnOnce(Token) -> Report) -> (Kind, String) {
    let [finding] = report.findings() else { panic!("{report}") };
    let replayed = replay(finding.token().clone());
    assert!(replayed.row().contains("reproduced"), "{replayed}");
    (finding.kind(), finding.to_string())
}

#[test]
fn a_leak_on_the_way_into_a_lazily_filled_static_is_found_and_replayed() {
    static TABLE: Table = OnceLock::new();
    let run = |_: &mallory::Heap| fill(&TABLE, true);
    let report = sweep("lazy-static").run(run);
    assert_eq!(report.coverage().first_use, 2, "{report}");
    assert_eq!(report.coverage().requests, 2, "{report}");
    let (kind, text) = only(&report, |token| sweep("lazy-static").replay(token).run(run));
    assert_eq!(kind, Kind::Leak);
    assert!(text.contains("800 bytes") && text.contains("fails at its first use: 400"), "{text}");
    assert!(text.contains(" m=cold "), "{text}");
}

#[test]
fn a_static_that_is_filled_without_a_leak_is_clean_and_its_requests_are_counted() {
    static TABLE: Table = OnceLock::new();
    let report = sweep("whole-static").run(|_| fill(&TABLE, false));
    report.assert_clean();
    assert_eq!(report.coverage().first_use, 2, "{report}");
    // Each once and for good.
    assert_eq!(report.outcomes(Outcome::Propagated), 4, "{report}");
    assert!(report.to_string().contains("2 of 2 requests are made only by the first run"));
    // A static that this process has filled already has no first use.
    fill(&TABLE, false).expect("there is memory");
    let report = sweep("filled-static").allow_no_requests().run(|_| fill(&TABLE, false));
    report.assert_clean();
    assert_eq!(report.coverage().first_use, 0, "{report}");
}

/// Fills a static without checking that it was filled before the failure: the block of the first
/// attempt is lost once, since the second attempt succeeds. If `frees`, it isn't.
fn fill_anew(place: &AtomicPtr<u8>, is_ready: &OnceLock<Vec<u8>>, frees: bool) -> usize {
    if let Some(ready) = is_ready.get() {
        return ready.capacity();
    }
    let Ok(block) = reserved(512) else { return 0 };
    let mut block = ManuallyDrop::new(block);
    let before = place.swap(block.as_mut_ptr(), Ordering::Relaxed);
    if frees && !before.is_null() {
        // SAFETY: the block of this size that an earlier attempt put there.
        #[allow(unsafe_code)]
        drop(unsafe { Vec::from_raw_parts(before, 0, 512) });
    }
    if let Ok(ready) = reserved(64) {
        let _ = is_ready.set(ready);
    }
    0
}

#[test]
fn a_block_that_a_static_holds_twice_after_a_failure_is_a_leak() {
    static PLACE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
    static READY: OnceLock<Vec<u8>> = OnceLock::new();
    let observe = |_: &usize| ();
    let subject = |_: &mallory::Heap| Ok::<_, TryReserveError>(fill_anew(&PLACE, &READY, false));
    let report = sweep("filled-anew").observe(observe).run(subject);
    let leaks = report.findings().iter().filter(|finding| finding.kind() == Kind::Leak);
    let leaks: Vec<String> = leaks.map(ToString::to_string).collect();
    assert!(leaks.iter().any(|leak| leak.contains("512 bytes")), "{report}");
    assert!(!leaks.iter().any(|leak| leak.contains("1 block, 64")), "{report}");
}

#[test]
fn a_block_that_replaces_the_one_of_a_failed_attempt_is_no_leak() {
    static PLACE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
    static READY: OnceLock<Vec<u8>> = OnceLock::new();
    let observe = |_: &usize| ();
    let subject = |_: &mallory::Heap| Ok::<_, TryReserveError>(fill_anew(&PLACE, &READY, true));
    let report = sweep("replaced").observe(observe).run(subject);
    assert_eq!(report.coverage().first_use, 2, "{report}");
    report.assert_clean();
}

#[test]
fn an_error_that_a_static_remembers_is_no_leak() {
    static REMEMBERED: OnceLock<Result<Vec<u8>, Box<str>>> = OnceLock::new();
    let report = sweep("remembered").observe(|_: &usize| ()).run(|_| {
        let text = || "no memory for the table".into();
        let table = REMEMBERED.get_or_init(|| reserved(256).map_err(|_| text()));
        Ok::<_, TryReserveError>(table.as_ref().map_or(0, Vec::capacity))
    });
    let leaks = report.findings().iter().filter(|finding| finding.kind() == Kind::Leak);
    assert_eq!(leaks.count(), 0, "{report}");
    assert_eq!(report.coverage().first_use, 1, "{report}");
}

#[test]
fn an_abort_at_the_first_use_of_a_thread_local_is_found() {
    std::thread_local! {
        static BUFFER: Box<[u64; 8]> = Box::new([7; 8]);
    }
    let report = sweep("thread-local").run(|_| Ok::<_, TryReserveError>(BUFFER.with(|b| b[0])));
    let [finding] = report.findings() else { panic!("{report}") };
    assert_eq!(finding.kind(), Kind::Abort);
    assert!(finding.to_string().contains("fails at its first use: 64 bytes"), "{finding}");
}

#[test]
fn requests_of_every_run_are_no_first_uses() {
    static TABLE: Table = OnceLock::new();
    let report = sweep("both").run(|_| {
        let filled = fill(&TABLE, false)?;
        Ok::<_, TryReserveError>(filled + reserved(100)?.capacity())
    });
    report.assert_clean();
    assert_eq!((report.coverage().requests, report.coverage().first_use), (3, 2), "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), 6, "{report}");
}

#[test]
fn first_uses_that_differ_in_each_process_are_not_passed_over() {
    static ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    let processes = SharedCounter::new();
    let report = sweep("differs").run(|_| {
        // Of another size in each process.
        if ONCE.get().is_none() {
            let _ = ONCE.set(reserved(100 + processes.next() as usize)?);
        }
        Ok::<_, TryReserveError>(reserved(8)?.capacity())
    });
    assert!(report.to_string().contains("not failed: first runs differ"), "{report}");
    assert!(!report.coverage().complete, "{report}");
    assert_ne!(report.exit_code(), 0, "{report}");
}
