//! The services, the memory parts and the heap held to their models by random scripts; and shelves
//! with planted bugs, each of which has to be found, and to come down to its case.

use std::path::Path;

use arbitrary::Arbitrary;
use mallory::{Kind, Report, System, Verdict, property};
use mallory_scenarios::cache_rebuild::CacheRebuild;
use mallory_scenarios::fixture;
use mallory_scenarios::journal_intern::JournalIntern;
use mallory_scenarios::lfs_batch::LfsBatch;
use mallory_scenarios::parts::{Arenas, Blocks, Interns};
use mallory_scenarios::shelf::{
    Aborts, Fault, Forgets, Leaks, Mistakes, Overruns, Panics, Shelf, Shortens, Sound, Swallows,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn holds<S: System>(input: &[u8], cases: u32, operations: usize)
where
    S::Op: Serialize + DeserializeOwned + for<'a> Arbitrary<'a>,
{
    let cases_in = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases");
    let property = property::<S>().input(input).cases(cases).operations(operations);
    let report = property.cases_in(cases_in).run();
    report.assert_clean();
    assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
    assert_eq!(report.coverage().runs, u64::from(cases), "{report}");
}

#[test]
fn cache_rebuild() {
    holds::<CacheRebuild>(fixture::SAMPLE, 300, 60);
}

#[test]
fn journal_intern() {
    holds::<JournalIntern>(fixture::SAMPLE, 300, 200);
}

#[test]
fn lfs_batch() {
    holds::<LfsBatch>(&fixture::lfs_requests().expect("the fixture"), 300, 200);
}

#[test]
fn arena() {
    holds::<Arenas>(&[], 400, 60);
}

#[test]
fn intern() {
    holds::<Interns>(&[], 400, 400);
}

#[test]
fn heap_and_ledger() {
    holds::<Blocks>(&[], 400, 300);
}

#[test]
fn sound_shelf() {
    holds::<Shelf<Sound>>(&[], 1000, 100);
}

fn finds<F: Fault>(operations: &[&str]) -> Report {
    let report = property::<Shelf<F>>().cases(4000).run();
    let [finding] = report.findings() else { panic!("one finding: {report}") };
    assert_eq!(Some(finding.kind()), F::KIND, "{report}");
    let text = report.to_string();
    let found: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| ["Put(", "Take(", "Join(", "Count"].iter().any(|op| line.starts_with(op)))
        .map(|line| line.trim_end_matches(['(', ',']))
        .collect();
    assert_eq!(found, operations, "{report}");
    report
}

#[test]
fn each_planted_bug_comes_down_to_the_operations_that_it_needs() {
    finds::<Leaks>(&["Put", "Put", "Join"]);
    finds::<Forgets>(&["Put", "Put", "Join"]);
    finds::<Shortens>(&["Put"]);
    finds::<Mistakes>(&["Put", "Put", "Join"]);
    finds::<Panics>(&["Put", "Put", "Join"]);
    finds::<Overruns>(&["Put", "Put", "Join"]);
    finds::<Swallows>(&["Put", "Join"]);
}

#[test]
fn one_that_kills_its_process_is_a_case_as_well() {
    let report = finds::<Aborts>(&["Put", "Put", "Join"]);
    assert_eq!(report.findings()[0].kind(), Kind::Abort);
}
