//! The planted bugs, swept by the command line: each is reported once, as its kind, and replayed by
//! its token; no near miss is reported; the reports are the reviewed ones in `snapshots/`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::program::{self, difference, findings, is_as_reviewed, printed, replays};
use mallory::{Kind, Sweep, Verdict};
use mallory_scenarios::planted::{PAIRS, Pair, designs, racy};
use serde_json::Value;

fn reports(arguments: &[&str], code: i32) -> Vec<Value> {
    program::reports("sweep", arguments, code)
}

fn pair(kind: Kind) -> &'static Pair {
    PAIRS.iter().find(|pair| pair.kind == kind).expect("every kind has a pair")
}

/// The printed report is the reviewed one.
fn report_is_as_reviewed(kind: Kind) {
    let name = pair(kind).name();
    is_as_reviewed(&name, &printed(&["sweep", &name], 1));
}

/// The token reproduces the finding in a fresh process; a token with another fingerprint doesn't.
fn token_replays(kind: Kind) {
    let report = reports(&[&pair(kind).name()], 1).remove(0);
    let token = replays(&findings(&report)[0]);
    let last = token.chars().last().expect("a token has characters");
    let other = if last == '0' { '1' } else { '0' };
    let altered = format!("{}{other}", &token[..token.len() - 1]);
    let again = printed(&["replay", &altered], 1);
    assert!(again.lines().next().is_some_and(|row| !row.contains("reproduced")), "{again}");
}

/// With its detector off nothing is reported: no other detector happens to find the bug.
fn only_its_detector_finds_it(kind: Kind) {
    let pair = pair(kind);
    let options = (pair.options)().without(kind);
    let report = (pair.planted)(Sweep::new(pair.name()).options(options));
    assert_eq!(report.verdict(), Verdict::Clean, "{report}");
    assert!(report.error().is_none(), "{report}");
}

/// The tests of each kind; kinds that a detector finds have one more.
macro_rules! each {
    ($($kind:ident $module:ident $($detector:literal)?;)*) => {
        $(mod $module {
            use mallory::Kind::$kind as KIND;

            #[test]
            fn report_is_as_reviewed() {
                super::report_is_as_reviewed(KIND);
            }

            #[test]
            fn token_replays() {
                super::token_replays(KIND);
            }

            $(#[test]
            #[doc = $detector]
            fn only_its_detector_finds_it() {
                super::only_its_detector_finds_it(KIND);
            })?
        })*

        /// The kinds that have the tests above.
        const TESTED: &[Kind] = &[$(Kind::$kind),*];
    };
}

each! {
    Leak leak "detector";
    DoubleFree double_free "detector";
    InvalidFree invalid_free "detector";
    CrossAllocatorFree cross_allocator_free "detector";
    LayoutMismatch layout_mismatch "detector";
    HeapBufferOverflow heap_buffer_overflow "detector";
    HeapBufferUnderflow heap_buffer_underflow "detector";
    UseAfterFree use_after_free "detector";
    UninitRead uninit_read "detector";
    WrongThread wrong_thread "detector";
    OverBudget over_budget "detector";
    SilentWrong silent_wrong;
    WrongError wrong_error;
    Absorbed absorbed;
    NotRecovered not_recovered;
    NoProgress no_progress;
    Panic panic;
    Abort abort;
    Crash crash;
    Exit exit;
    Nondeterminism nondeterminism;
}

#[test]
fn every_kind_has_a_pair_and_its_tests() {
    let elsewhere =
        [Kind::PortContract, Kind::Deadlock, Kind::DataRace, Kind::Degraded, Kind::MismatchedFree];
    let wanted: BTreeSet<Kind> =
        Kind::ALL.into_iter().filter(|kind| !elsewhere.contains(kind)).collect();
    assert_eq!(PAIRS.iter().map(|pair| pair.kind).collect::<BTreeSet<_>>(), wanted);
    assert_eq!(TESTED.iter().copied().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn every_kind_is_reported_once_and_nothing_else() {
    let reports = reports(&["planted"], 1);
    assert_eq!(reports.len(), 2 * PAIRS.len() + 2 * designs::PAIRS.len());
    let tokens = reports.iter().flat_map(findings).filter_map(|finding| finding["replay"].as_str());
    let with_fault = tokens.filter(|token| token.contains(" f=")).count();
    assert!(2 * with_fault >= PAIRS.len(), "only {with_fault} need a fault to show");
    for (pair, reports) in PAIRS.iter().zip(reports.chunks(2)) {
        let [planted, near_miss] = reports else { unreachable!("two each") };
        assert_eq!(planted["scenario"], pair.name());
        let kinds: Vec<&Value> = findings(planted).iter().map(|finding| &finding["kind"]).collect();
        assert_eq!(kinds, [pair.kind.name()], "{planted:#}");
        assert_eq!(near_miss["scenario"], pair.near_miss_name());
        assert!(findings(near_miss).is_empty(), "{near_miss:#}");
    }
}

#[test]
fn near_misses_are_clean() {
    let names: Vec<String> = PAIRS.iter().map(Pair::near_miss_name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for report in reports(&names, 0) {
        assert_eq!(report["verdict"], "clean", "{report:#}");
        assert_eq!(report["coverage"]["complete"], true, "{report:#}");
        assert_ne!(report["coverage"]["runs"], 0, "{report:#}");
    }
}

#[test]
fn json_is_the_same_for_every_run_and_number_of_jobs() {
    let names: Vec<String> = PAIRS.iter().map(Pair::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let sweep = |jobs| {
        printed(&[&["sweep", "--format", "json", "--jobs", jobs], names.as_slice()].concat(), 1)
    };
    let one = sweep("1");
    assert_eq!(one, sweep("1"));
    assert_eq!(one, sweep("2"));
}

#[test]
fn a_pair_differs_by_three_lines_at_most() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planted");
    for pair in PAIRS {
        let file = folder.join(pair.kind.name().replace('-', "_") + ".rs");
        let source = std::fs::read_to_string(&file).expect("a kind has a file of its name");
        let lines = difference(&source);
        assert!((1..=3).contains(&lines), "{}: {lines} lines", pair.kind);
    }
}

#[test]
fn a_racy_pair_differs_by_three_lines_at_most() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planted");
    for pair in racy::PAIRS {
        let file = folder.join(pair.name.replace('-', "_") + ".rs");
        let source = std::fs::read_to_string(&file).expect("a bug has a file of its name");
        let lines = difference(&source);
        assert!((1..=3).contains(&lines), "{}: {lines} lines", pair.name);
    }
}
