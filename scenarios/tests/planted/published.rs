//! Published bugs, made again: each is reported as what it is, and its corrected twin is clean.

use mallory_scenarios::planted::published::{Published, all, table};

#[test]
fn each_is_reported_as_what_it_is() {
    for published in all() {
        let Published { source, kind, .. } = published;
        let report = published.sweep(true);
        let kinds: Vec<_> = report.findings().iter().map(|finding| finding.kind()).collect();
        assert!(
            !kinds.is_empty() && kinds.iter().all(|found| *found == kind),
            "{source}: {report}"
        );
        assert_eq!(report.to_string(), published.sweep(true).to_string(), "{source}");
    }
}

#[test]
fn corrected_they_are_clean() {
    for published in all() {
        published.sweep(false).assert_clean();
    }
}

#[test]
fn the_table_is_as_documented() {
    let documented = include_str!("../../PUBLISHED.md");
    let table = table();
    assert!(
        documented.ends_with(&table),
        "PUBLISHED.md differs from the example `published`:\n{table}"
    );
    assert!(all().len() >= 25);
}
