//! The bugs of published designs, swept by the command line: each is reported once, as its kind, and
//! replayed by its token; no near miss is reported; the reports are the reviewed ones.

use std::path::Path;

use crate::program::{difference, findings, is_as_reviewed, printed, replays, report};
use mallory_scenarios::planted::designs::PAIRS;

#[test]
fn each_is_reported_once_and_its_report_is_as_reviewed() {
    for pair in PAIRS {
        let found = report("sweep", &[pair.name], 1);
        let kinds: Vec<_> = findings(&found).iter().map(|finding| &finding["kind"]).collect();
        assert_eq!(kinds, [pair.kind.name()], "{found:#}");
        is_as_reviewed(pair.name, &printed(&["sweep", pair.name], 1));
    }
}

#[test]
fn each_is_replayed_by_its_token() {
    for pair in PAIRS {
        replays(&findings(&report("sweep", &[pair.name], 1))[0]);
    }
}

#[test]
fn near_misses_are_clean() {
    for pair in PAIRS {
        let report = report("sweep", &[&pair.near_miss_name()], 0);
        assert_eq!(report["verdict"], "clean", "{report:#}");
        assert_eq!(report["coverage"]["complete"], true, "{report:#}");
        assert_ne!(report["coverage"]["runs"], 0, "{report:#}");
    }
}

#[test]
fn a_pair_differs_by_three_lines_at_most() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planted/designs");
    for pair in PAIRS {
        let name = pair.name.strip_prefix("planted/").expect("they are planted");
        let file = folder.join(name.replace('-', "_") + ".rs");
        let source = std::fs::read_to_string(&file).expect("a bug has a file of its name");
        let lines = difference(&source);
        assert!((1..=3).contains(&lines), "{name}: {lines} lines");
    }
}
