//! Popular crates on the adversarial heap, below the program's global allocator: what is clean on
//! `malloc` is also clean if every resize moves, addresses are reused at once or never, fresh
//! memory has arbitrary contents, and stray accesses hit guard pages.

use mallory::adversary::{Adversary, Guard, Reuse};
use mallory::{Outcome, Plan, Sweep};
use mallory_scenarios::foreign::{self, ForeignSubject, popular};

fn adversarial(subject: &ForeignSubject, modes: Adversary) -> Sweep {
    Sweep::new(subject.name()).adversary(modes)
}

/// Every request fails, alone and with all later ones, and the runs end as they do on `malloc`.
fn sweeps_clean(subject: &ForeignSubject, modes: Adversary) {
    let report = subject.sweep(adversarial(subject, modes), &crate::HEAP);
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.runs == 2 * coverage.requests, "{report}");
    let polite = [Outcome::Propagated, Outcome::Absorbed, Outcome::Aborted];
    let ended: u64 = polite.iter().map(|outcome| report.outcomes(*outcome)).sum();
    assert_eq!(ended, coverage.runs, "{report}");
}

/// One run without a fault.
fn runs_clean(subject: &ForeignSubject, modes: Adversary) {
    let report = (subject.run)(adversarial(subject, modes).global(&crate::HEAP).plan(Plan::none()));
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

/// Guard pages cost microseconds a request, so only a run without a fault has them; the sweep uses
/// the other modes.
#[test]
fn large_subjects() {
    for subject in &foreign::SUBJECTS {
        sweeps_clean(subject, Adversary::new().guard(Guard::None));
        runs_clean(subject, Adversary::new());
        runs_clean(subject, before());
    }
}
