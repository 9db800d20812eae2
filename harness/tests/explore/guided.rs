//! Schedules that preempt a thread near to what a fault changes come first, and no others are run than
//! without that.

use mallory::{Explore, Faults, Kind, Report};

use crate::error_paths::{ERROR_PATHS, ErrorPath};

/// The program of this name, and the preemptions that its bug needs.
fn program(name: &str) -> (ErrorPath, u32) {
    let found = ERROR_PATHS.into_iter().find(|(known, ..)| *known == name);
    let (_, program, preemptions) = found.expect("a program has this name");
    (program, preemptions)
}

/// All schedules of the bound that the bug of a program needs.
fn bounded(name: &str) -> Explore {
    let explore = Explore::new(name).shuttle().faults(Faults::Transient).in_process();
    explore.preemptions(program(name).1)
}

fn with_bug(name: &str, explore: Explore) -> Report {
    explore.run(|heap| program(name).0(heap, true))
}

/// The schedules with the fault until the first that shows the bug.
fn runs_to_first(name: &str, explore: Explore) -> u64 {
    let report = with_bug(name, explore.stop_at_first());
    assert_eq!(report.findings().first().map(|found| found.kind()), Some(Kind::Panic), "{report}");
    report.coverage().runs
}

#[test]
fn a_bug_in_an_error_path_is_found_soon() {
    for (name, most, least_without) in
        [("early-unlock", 10, 40), ("late-mark", 10, 40), ("hand-over", 250, 900)]
    {
        let with = runs_to_first(name, bounded(name));
        assert!(with <= most, "{name}: {with} schedules");
        let without = runs_to_first(name, bounded(name).unguided());
        assert!(without >= least_without, "{name}: {without} schedules without guidance");
    }
}

#[test]
fn a_search_that_ends_has_run_the_same_either_way() {
    for name in ["early-unlock", "late-mark", "stale-check"] {
        let runs = [bounded(name), bounded(name).unguided()].map(|explore| {
            let report = with_bug(name, explore);
            assert!(report.coverage().complete, "{report}");
            let found = report.findings().iter().map(|found| found.id().to_owned());
            (report.coverage().runs, found.collect::<Vec<String>>())
        });
        assert_eq!(runs[0], runs[1], "{name}");
        assert!(runs[0].0 > 50, "{name}: {runs:?}");
    }
}

#[test]
fn without_their_bugs_the_error_paths_are_clean() {
    for (name, program, preemptions) in ERROR_PATHS {
        let explore = bounded(name).preemptions(preemptions.min(2));
        explore.run(|heap| program(heap, false)).assert_clean();
    }
}
