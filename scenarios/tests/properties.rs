//! The services, the memory parts and the heap held to their models by random scripts; and shelves
//! with planted bugs, each of which has to be found, and to come down to its case.

use std::path::Path;

use arbitrary::Arbitrary;
use mallory::proptest::property;
use mallory::script::Script;
use mallory::{System, Verdict};
use mallory_scenarios::cache_rebuild::CacheRebuild;
use mallory_scenarios::fixture;
use mallory_scenarios::journal_intern::JournalIntern;
use mallory_scenarios::lfs_batch::LfsBatch;
use mallory_scenarios::parts::{Arenas, Blocks, Interns, Slabs};
use mallory_scenarios::shelf::{
    Aborts, Fault, Forgets, Leaks, Mistakes, Op, Overruns, Panics, Shelf, Shortens, Sound, Swallows,
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
fn slab() {
    holds::<Slabs>(&[], 400, 300);
}

#[test]
fn sound_shelf() {
    holds::<Shelf<Sound>>(&[], 1000, 100);
}

/// Finds a shelf's bug, and comes down to the case that is committed.
fn finds<F: Fault>(operations: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let report = property::<Shelf<F>>().cases(4000).cases_in(folder.path()).run();
    let [finding] = report.findings() else { panic!("one finding: {report}") };
    assert_eq!(Some(finding.kind()), F::KIND, "{report}");
    // Nobody knows here of a command line: committed, the case is a test.
    let again = format!("replay  cargo nextest run {}\n", finding.id());
    assert!(report.to_string().contains(&again), "{report}");
    let name = format!("{}.ron", finding.id());
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}: {report}"));
        Script::<Op>::read(&text, &name).expect("a case")
    };
    let mut found = read(&folder.path().join(&name));
    let named = found.threads[0].iter().map(|op| format!("{op:?}"));
    let named: Vec<String> = named.map(|op| op.split(' ').next().unwrap_or("").into()).collect();
    assert_eq!(named, operations, "{report}");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut committed = read(&cases.join(&name));
    assert!(committed.expect.reproduces, "a planted bug stays");
    committed.expect.reproduces = false;
    // It may say a line of the source, which moves.
    found.about.clone_from(&committed.about);
    assert_eq!(found, committed, "{report}");
}

#[test]
fn each_planted_bug_comes_down_to_its_case() {
    finds::<Leaks>(&["Put", "Put", "Join"]);
    finds::<Forgets>(&["Put", "Put", "Join"]);
    finds::<Shortens>(&["Put"]);
    finds::<Mistakes>(&["Put", "Put", "Join"]);
    finds::<Panics>(&["Put", "Put", "Join"]);
    // Its block is freed by another box's coming: that is a part of what the finding is.
    finds::<Overruns>(&["Put", "Put", "Join", "Take"]);
    finds::<Swallows>(&["Put", "Join"]);
}

#[test]
fn one_that_kills_its_process_is_a_case_as_well() {
    finds::<Aborts>(&["Put", "Put", "Join"]);
}

/// Every script of the repository is as it is printed.
#[test]
fn scripts_and_cases_are_printed_back_unchanged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["scripts", "scripts/threads", "cases", "cases/threads"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|ending| ending != "ron") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a script is text");
            let name = path.display().to_string();
            let again = reprinted(&text, &name);
            assert_eq!(again, text, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} scripts were read");
}

fn reprinted(text: &str, name: &str) -> String {
    fn of<O: Serialize + DeserializeOwned>(text: &str, name: &str) -> String {
        Script::<O>::read(text, name).and_then(|script| script.print()).expect(name)
    }
    let system = text.split('"').nth(1).expect("a system");
    match system {
        "cache-rebuild" => of::<mallory_scenarios::cache_rebuild::Op>(text, name),
        "journal-intern" => of::<mallory_scenarios::journal_intern::Op>(text, name),
        "lfs-batch" => of::<mallory_scenarios::lfs_batch::Op>(text, name),
        #[cfg(feature = "foreign")]
        "lfs-batch-sqlite" => of::<mallory_scenarios::lfs_batch_sqlite::Op>(text, name),
        #[cfg(not(feature = "foreign"))]
        "lfs-batch-sqlite" => text.to_owned(),
        "arena" => of::<mallory_scenarios::parts::ArenaOp>(text, name),
        "intern" => of::<mallory_scenarios::parts::InternOp>(text, name),
        "blocks" | "slab" => of::<mallory_scenarios::parts::BlocksOp>(text, name),
        shelf if shelf.starts_with("shelf") => of::<Op>(text, name),
        slot if slot.starts_with("slot") => of::<mallory_scenarios::slot::Op>(text, name),
        other => panic!("{name}: what operations has {other}?"),
    }
}
