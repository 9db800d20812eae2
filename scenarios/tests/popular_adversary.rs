//! Popular crates on the adversarial heap, which stands below the program's global allocator: what
//! is clean on a friendly `malloc` is clean where every resize moves, addresses come again at once
//! or never, contents are rubbish, and stray accesses die at guard pages.
#![cfg(feature = "foreign")]

use mallory::adversary::{Adversary, Guard, Reuse};
use mallory::{Outcome, Plan, Sweep};
use mallory_scenarios::foreign::{self, Subject, popular};

#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();

fn adversarial(subject: &Subject, modes: Adversary) -> Sweep {
    Sweep::new(subject.name()).adversary(modes)
}

/// Every request fails once and for good, and ends as it does on `malloc`.
fn sweeps_clean(subject: &Subject, modes: Adversary) {
    let report = subject.sweep(adversarial(subject, modes), &HEAP);
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.runs == 2 * coverage.requests, "{report}");
    let polite = [Outcome::Propagated, Outcome::Absorbed, Outcome::Aborted];
    let ended: u64 = polite.iter().map(|outcome| report.outcomes(*outcome)).sum();
    assert_eq!(ended, coverage.runs, "{report}");
}

/// One run without a fault.
fn runs_clean(subject: &Subject, modes: Adversary) {
    let report = (subject.run)(adversarial(subject, modes).global(&HEAP).plan(Plan::none()));
    report.assert_clean();
    assert!(report.coverage().requests > 0, "{report}");
}

fn before() -> Adversary {
    Adversary::new().seed(1).guard(Guard::Before).reuse(Reuse::Never)
}

#[test]
fn small_subjects_with_guard_pages() {
    for subject in &popular::SUBJECTS {
        sweeps_clean(subject, Adversary::new());
        runs_clean(subject, before());
    }
}

/// Guard pages cost microseconds a request: a run without a fault has them, the sweep all else.
#[test]
fn large_subjects() {
    for subject in &foreign::SUBJECTS {
        sweeps_clean(subject, Adversary::new().guard(Guard::None));
        runs_clean(subject, Adversary::new());
        runs_clean(subject, before());
    }
}
