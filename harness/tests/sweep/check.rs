//! `Sweep::check`: runs without any fault, under all detectors.

use mallory::{Heap, Kind, Sweep, Verdict};

use crate::common::{Oom, Owned, kinds};

#[test]
fn what_is_wrong_without_a_fault_is_found() {
    let report = Sweep::new("forgets").check(|heap| {
        Owned::new(heap, 16).expect("there is memory").lose();
    });
    assert_eq!(kinds(&report), [Kind::Leak], "{report}");
    assert!(report.to_string().contains("seen without any fault"), "{report}");
    let token = report.findings()[0].token().clone();
    let replayed = Sweep::new("forgets").replay(token).check(|heap| {
        Owned::new(heap, 16).expect("there is memory").lose();
    });
    assert!(replayed.row().contains("reproduced"), "{replayed}");
}

#[test]
fn nothing_fails() {
    let aborts_if_refused = |heap: &Heap| match Owned::new(heap, 16) {
        Ok(block) => drop(block),
        Err(_) => std::process::abort(),
    };
    let report = Sweep::new("aborts").check(aborts_if_refused);
    report.assert_clean();
    assert_eq!((report.verdict(), report.coverage().runs), (Verdict::Clean, 0));
    assert_eq!(report.coverage().requests, 1);
    assert!(report.to_string().contains("nothing was made to fail"), "{report}");
    let swept = Sweep::new("aborts").run(|heap| {
        aborts_if_refused(heap);
        Ok::<_, Oom>(())
    });
    assert_eq!(kinds(&swept), [Kind::Abort], "{swept}");
}

#[test]
fn an_error_is_not_passed_over() {
    let report = Sweep::new("fails").check(|heap| {
        drop(Owned::new(heap, 16)?);
        Err::<(), Oom>(Oom)
    });
    assert_eq!(report.exit_code(), 2, "{report}");
    assert!(report.to_string().contains("the subject fails without any fault"), "{report}");
}

#[test]
fn a_check_that_reaches_no_heap_is_an_error() {
    let report = Sweep::new("ignores").check(|_| drop(vec![1]));
    assert!(report.to_string().contains("no request reached the heap"), "{report}");
}
