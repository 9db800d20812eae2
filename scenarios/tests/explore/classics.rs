//! The programs of the literature: what is explored unless a caller chooses otherwise finds each bug,
//! and nothing in the corrected twin.

use mallory::{Explore, Kind, Report};
use mallory_scenarios::concurrent::classics::{CLASSICS, Classic, on_heap};

/// The schedules within which each bug is found.
const SCHEDULES_MAX: u64 = 10_000;

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings().iter().map(|finding| finding.kind()).collect()
}

fn found(classic: &Classic) -> Report {
    let explore = Explore::new(classic.name).shuttle().stop_at_first();
    let report = explore.run(on_heap(classic.bug));
    assert!(report.error().is_none(), "{report}");
    report
}

#[test]
fn each_bug_is_found_shrunk_and_replayed() {
    for classic in CLASSICS {
        let report = found(&classic);
        let is_expected = |kind: &Kind| matches!(kind, Kind::Panic | Kind::Deadlock);
        let kinds = kinds(&report);
        assert!(!kinds.is_empty() && kinds.iter().all(is_expected), "{report}");
        let schedules = report.coverage().schedules;
        println!("{:24} {schedules:>6}  {}", classic.name, report.findings()[0].token());
        assert!(schedules <= SCHEDULES_MAX, "{schedules} schedules: {report}");
        let token = report.findings()[0].token().clone();
        assert!(token.to_string().len() <= 100, "{token}");
        let again = Explore::new(classic.name).shuttle().replay(token).run(on_heap(classic.bug));
        assert!(again.row().contains("reproduced"), "{again}");
    }
}

#[test]
fn no_bug_shows_in_the_default_schedule() {
    for classic in CLASSICS {
        let explore = Explore::new(classic.name).shuttle().preemptions(0).schedules(1).wakeups(0);
        let report = explore.run(on_heap(classic.bug));
        assert!(report.error().is_none() && report.findings().is_empty(), "{report}");
    }
}

#[test]
fn corrected_twins_are_clean() {
    for classic in CLASSICS {
        let report = Explore::new(classic.name).shuttle().schedules(300);
        let report = report.run(on_heap(classic.corrected));
        assert!(report.error().is_none() && report.findings().is_empty(), "{report}");
        let threads = format!("{} threads", classic.threads);
        assert!(report.to_string().contains(&threads), "{threads}: {report}");
    }
}
