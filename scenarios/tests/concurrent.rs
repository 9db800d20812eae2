//! The concurrent subjects on real threads, where a sweep is a sample; and how the planted bugs that
//! need threads are written.

mod program;

use std::path::Path;

use mallory::{Options, Sweep, Verdict};
use mallory_scenarios::concurrent::SUBJECTS;
use mallory_scenarios::planted::racy::PAIRS;

#[test]
fn real_threads_find_nothing() {
    for subject in SUBJECTS {
        for bypass in [false, true] {
            let options = Options::new().parallel().bypass(bypass);
            let report = Sweep::new(subject.name).options(options).run(subject.run);
            report.assert_clean();
            assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
        }
    }
}

#[test]
fn a_racy_pair_differs_by_three_lines_at_most() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planted");
    for pair in PAIRS {
        let file = folder.join(pair.name.replace('-', "_") + ".rs");
        let source = std::fs::read_to_string(&file).expect("a bug has a file of its name");
        let lines = program::difference(&source);
        assert!((1..=3).contains(&lines), "{}: {lines} lines", pair.name);
    }
}
