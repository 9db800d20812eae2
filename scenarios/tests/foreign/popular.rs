//! Popular crates are swept without a finding, apart from the known number of infallible requests
//! that abort; and the documented table is about the locked versions.

use mallory::{Outcome, Sweep};
use mallory_scenarios::foreign::popular::SUBJECTS;
use mallory_scenarios::foreign::version::version;
use mallory_scenarios::foreign::{self, ForeignSubject};

fn stays_clean(package: &str) {
    let subject = SUBJECTS.iter().find(|subject| subject.package == package);
    let subject = subject.expect("the table has a subject for each test");
    let report = subject.sweep(Sweep::new(subject.name()), &crate::HEAP);
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.runs == 2 * coverage.requests, "{report}");
    assert!(coverage.requests > 0, "{report}");
    let polite = [Outcome::Propagated, Outcome::Absorbed, Outcome::Aborted];
    let ended: u64 = polite.iter().map(|outcome| report.outcomes(*outcome)).sum();
    assert_eq!(ended, coverage.runs, "{report}");
}

macro_rules! each {
    ($($package:ident)*) => {
        $(#[test]
        fn $package() {
            stays_clean(stringify!($package));
        })*

        /// The packages that have a test above.
        const TESTED: &[&str] = &[$(stringify!($package)),*];
    };
}

each! {
    hashbrown indexmap smallvec bytes slab bumpalo rpds petgraph
    serde_json toml csv nom winnow semver chrono url
    tokio flate2
}

#[test]
fn every_subject_has_its_test() {
    assert_eq!(SUBJECTS.map(|subject| subject.package), TESTED);
}

#[test]
fn the_documented_table_is_about_these_versions() {
    let table = include_str!("../../FOREIGN.md");
    for ForeignSubject { package, does, .. } in foreign::SUBJECTS.iter().chain(&SUBJECTS) {
        let version = version(package).expect("it is locked");
        let row = format!("\n| {package} | {version} | {does} |");
        assert!(table.contains(&row), "{row:?} is not in scenarios/FOREIGN.md: print it anew");
    }
}
