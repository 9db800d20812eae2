//! What std and the test runner allocate for a subject that prints: not the subject's.

use std::collections::TryReserveError;

use mallory::Outcome;

use crate::sweep;

/// Makes one request, and prints more than the test runner's buffer can hold without growing.
fn talkative() -> Result<Vec<u8>, TryReserveError> {
    let mut block = Vec::new();
    println!("a line of a subject that prints: {}", "x".repeat(0));
    block.try_reserve_exact(100)?;
    for n in 0..200 {
        println!("line {n} of a subject that prints");
        eprintln!("line {n} of a subject that prints");
    }
    Ok(block)
}

#[test]
fn printing_is_neither_a_leak_nor_a_request() {
    // The buffer exists, and is empty or nearly so.
    println!("the test prints as well");
    let report = sweep("talkative").run(|_| talkative());
    report.assert_clean();
    assert_eq!((report.coverage().requests, report.coverage().first_use), (1, 0), "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), 2, "{report}");
}

#[test]
fn printing_in_a_thread_is_neither() {
    let report = sweep("talkative-thread").run(|_| {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| talkative().map(|block| block.capacity()));
            thread.join().expect("it doesn't panic")
        })
    });
    let leaks = report.findings().iter().filter(|finding| finding.kind() == mallory::Kind::Leak);
    assert_eq!(leaks.count(), 0, "{report}");
}

#[test]
fn what_the_test_prints_is_still_captured_afterwards() {
    // The buffer was taken away in child processes only: the harness of this test shows its lines
    // if it fails. There is no way to read them here, but printing must go on working.
    let report = sweep("quiet").run(|_| talkative());
    println!("{report}");
    report.assert_clean();
}
