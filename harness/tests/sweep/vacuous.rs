//! Sweeps that would pass for nothing are errors.

use std::collections::TryReserveError;

use mallory::{GlobalHeap, Report, Sweep};

/// Ignores its heap.
fn ignores_it(_: &mallory::Heap) -> Result<usize, TryReserveError> {
    let mut block: Vec<u8> = Vec::new();
    block.try_reserve_exact(10)?;
    Ok(block.capacity())
}

fn error(report: &Report) -> String {
    assert_eq!(report.exit_code(), 2, "{report}");
    report.error().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_closure_that_ignores_its_heap_is_an_error() {
    for sweep in [Sweep::new("ignores"), Sweep::new("ignores").strict()] {
        let report = sweep.run(ignores_it);
        let text = error(&report);
        assert!(text.contains("no request reached the heap; did the code use it?"), "{text}");
        assert!(text.contains(".allow_no_requests()"), "{text}");
        let passes = std::panic::catch_unwind(|| report.assert_clean());
        assert!(passes.is_err(), "it must not pass");
    }
}

#[test]
fn no_requests_can_be_allowed() {
    Sweep::new("ignores").allow_no_requests().run(ignores_it).assert_clean();
}

#[test]
fn a_global_heap_that_is_not_the_programs_allocator_is_an_error() {
    static OTHER: GlobalHeap = GlobalHeap::system();
    for sweep in [Sweep::new("other"), Sweep::new("other").allow_no_requests()] {
        let text = error(&sweep.global(&OTHER).run(ignores_it));
        assert!(text.contains("not the program's allocator"), "{text}");
        assert!(text.contains("#[global_allocator]"), "{text}");
    }
}

#[test]
fn a_subject_that_fails_without_a_request_is_told_so_first() {
    let report = Sweep::new("fails").run(|_| Err::<(), _>("wrong from the start"));
    let text = error(&report);
    assert!(text.contains("wrong from the start"), "{text}");
}
