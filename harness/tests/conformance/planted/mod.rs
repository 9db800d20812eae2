//! Allocators with one bug each: the suite finds it with any seed and its default number of operations,
//! shows it by a few operations, and gives it the same id each time. The allocator without the bug passes
//! the same seeds, and the sequences that were found.

mod bump;
mod classes;

use std::collections::{BTreeMap, BTreeSet};

use bump::{Bump, BumpBug};
use classes::{ClassBug, Classes, GlobalClasses};
use mallory::adapters::GlobalPort;
use mallory::conformance::Conformance;
use mallory::{Finding, Port, Report, conformance};

/// How many seeds are tried.
const SEEDS: u64 = 20;

/// A bug, the most operations of the smallest sequence that shows it, and the promise that it breaks there.
type Planted<B> = (B, usize, &'static str);

/// The most operations of any sequence: a bug may break further promises in a roundabout way.
const OPERATIONS_MAX: usize = 8;

const ALIGNED: &str = "a block is aligned as asked";
const DISJOINT: &str = "blocks that are alive are disjoint";
const REGION: &str = "a port keeps to the region that it was given";
const ZEROED: &str = "a zeroed block is zero over its whole returned length";
const KEPT: &str = "a grow or shrink keeps the first min(old, new) bytes";
const UNALTERED: &str = "a refused grow or shrink leaves the old block unaltered";
const UNTOUCHED: &str = "a port keeps out of blocks that are alive";

/// The promise that a finding says is broken.
fn promise(found: &Finding) -> String {
    let text = found.to_string();
    let line = text.lines().find_map(|line| line.strip_prefix("  broken: "));
    line.expect("a broken promise").to_owned()
}

/// The sequence of a finding.
fn sequence(found: &Finding) -> String {
    let text = found.to_string();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// What the last line of a sequence does: the function that broke the promise, if one did.
fn last_function(sequence: &str) -> Option<&'static str> {
    let words: Vec<&str> = sequence.lines().last()?.split(' ').collect();
    match words[..] {
        [_, "=", "alloc", ..] => Some("alloc"),
        [_, "=", "zeroed", ..] => Some("alloc_zeroed"),
        ["grow", ..] => Some("grow"),
        ["shrink", ..] => Some("shrink"),
        ["free", ..] => Some("free"),
        _ => None,
    }
}

/// What finding a bug with many seeds showed.
#[derive(Default)]
struct Found {
    /// What was not as it should be.
    wrong: Vec<String>,
    /// The ids that all seeds so far have found.
    always: Option<BTreeSet<String>>,
    /// The promises and functions that each id stood for.
    meanings: BTreeMap<String, BTreeSet<(String, &'static str)>>,
}

impl Found {
    fn note(&mut self, report: &Report, expected: &str, operations: usize) {
        let promises: Vec<String> = report.findings().iter().map(promise).collect();
        if !promises.iter().any(|promise| promise == expected) {
            self.wrong.push(format!("nothing of {expected:?}: {report}"));
        }
        let mut ids = BTreeSet::new();
        for found in report.findings() {
            let lines = sequence(found);
            let most = if promise(found) == expected { operations } else { OPERATIONS_MAX };
            if lines.lines().count() > most {
                self.wrong.push(format!("more than {most} operations: {report}"));
            }
            if !ids.insert(found.id().to_owned()) {
                self.wrong.push(format!("an id twice: {report}"));
            }
            if let Some(function) = last_function(&lines) {
                let of_id = self.meanings.entry(found.id().to_owned()).or_default();
                of_id.insert((promise(found), function));
            }
        }
        self.always = Some(match self.always.take() {
            None => ids,
            Some(always) => always.intersection(&ids).cloned().collect(),
        });
    }
}

/// Finds each bug with each seed.
fn all_are_found<B: Copy + std::fmt::Debug, P: Port>(
    none: B,
    planted: &[Planted<B>],
    suite: impl Fn(B) -> Conformance<'static, P>,
) {
    let mut meanings = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut replayed = BTreeSet::new();
    for (bug, operations, expected) in planted {
        let mut found = Found { meanings, ..Found::default() };
        for seed in 0..SEEDS {
            let report = suite(*bug).seed(seed).run();
            found.note(&report, expected, *operations);
            for lines in report.findings().iter().map(sequence) {
                if replayed.insert(lines.clone()) {
                    suite(none).replay(lines).run().assert_clean();
                }
            }
        }
        if found.always.is_some_and(|ids| ids.is_empty()) {
            found.wrong.push("no id is found with all seeds".to_owned());
        }
        wrong.extend(found.wrong.into_iter().map(|wrong| format!("{bug:?}: {wrong}")));
        meanings = found.meanings;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // An id is one promise, broken by one function, whatever the sequence; and another one is another.
    let all: BTreeSet<_> = meanings.values().flatten().collect();
    assert!(meanings.values().all(|of_id| of_id.len() == 1), "{meanings:#?}");
    assert_eq!(all.len(), meanings.len(), "{meanings:#?}");
}

/// Tries all seeds on a correct allocator.
fn none_is_accused<P: Port>(suite: impl Fn() -> Conformance<'static, P>) {
    for seed in 0..SEEDS {
        let report = suite().seed(seed).run();
        report.assert_clean();
        assert!(report.coverage().requests > 2000, "{report}");
    }
}

fn arena(bug: BumpBug) -> Conformance<'static, Bump> {
    conformance(move || Bump::new(bug)).no_free().fixed(bump::SIZE)
}

#[test]
fn arenas_that_are_correct() {
    none_is_accused(|| arena(BumpBug::None));
}

#[test]
fn arenas_that_misplace_blocks() {
    let planted = [
        (BumpBug::AlignsOffset, 1, ALIGNED),
        (BumpBug::CapsAlign, 2, ALIGNED),
        (BumpBug::ChecksStart, 3, REGION),
        (BumpBug::GrowsPastEnd, 3, REGION),
        (BumpBug::GrowsOver, 5, DISJOINT),
        (BumpBug::GrowForgets, 4, DISJOINT),
        (BumpBug::GrowKeepsPlace, 3, ALIGNED),
        (BumpBug::ShrinkKeepsPlace, 3, ALIGNED),
    ];
    all_are_found(BumpBug::None, &planted, arena);
}

#[test]
fn arenas_that_lose_or_overwrite_bytes() {
    let planted = [
        (BumpBug::FailedGrowFrees, 4, DISJOINT),
        (BumpBug::FailedShrinkFrees, 4, DISJOINT),
        (BumpBug::FailedGrowWrites, 2, UNALTERED),
        (BumpBug::FailedShrinkWrites, 2, UNALTERED),
        (BumpBug::TailUnaligned, 6, ALIGNED),
        (BumpBug::TailTooEarly, 6, DISJOINT),
        (BumpBug::EmptyHasBytes, 3, DISJOINT),
        (BumpBug::HeaderBefore, 3, REGION),
        (BumpBug::MarkBehind, 6, UNTOUCHED),
        (BumpBug::ZeroedRecycled, 4, ZEROED),
        (BumpBug::ZeroedWords, 1, ZEROED),
    ];
    all_are_found(BumpBug::None, &planted, arena);
}

fn stack(bug: BumpBug) -> Conformance<'static, Bump> {
    conformance(move || Bump::new(bug)).max_size(1024).clones(2)
}

#[test]
fn arenas_that_take_back_the_last_block() {
    for seed in 0..SEEDS {
        stack(BumpBug::None).seed(seed).run().assert_clean();
    }
    let planted = [
        (BumpBug::LastFreesAll, 5, DISJOINT),
        (BumpBug::FreesAllAfter, 5, DISJOINT),
        (BumpBug::EmptyIsLast, 5, DISJOINT),
        (BumpBug::CloneForks, 3, DISJOINT),
    ];
    all_are_found(BumpBug::None, &planted, stack);
}

fn classes(bug: ClassBug) -> Conformance<'static, Classes> {
    conformance(move || Classes::new(bug)).fixed(classes::SIZE)
}

#[test]
fn free_lists_that_are_correct() {
    none_is_accused(|| classes(ClassBug::None));
}

#[test]
fn free_lists_whose_resizes_are_wrong() {
    let planted = [
        (ClassBug::GrowLosesAlign, 5, ALIGNED),
        (ClassBug::ShrinkLosesAlign, 5, ALIGNED),
        (ClassBug::GrowCopiesWords, 2, KEPT),
        (ClassBug::ShrinkCopiesLess, 2, KEPT),
        (ClassBug::GrowReadsPast, 4, REGION),
        (ClassBug::ShrinkWritesPast, 6, UNTOUCHED),
        (ClassBug::FailedGrowFrees, 4, DISJOINT),
        (ClassBug::FailedShrinkFrees, 4, DISJOINT),
        (ClassBug::GrowsPastClass, 8, DISJOINT),
    ];
    all_are_found(ClassBug::None, &planted, classes);
}

#[test]
fn free_lists_that_hand_out_the_wrong_memory() {
    let planted = [
        (ClassBug::RoundsToNearest, 3, REGION),
        (ClassBug::RoundsOneOff, 3, REGION),
        (ClassBug::ReuseIgnoresAlign, 5, ALIGNED),
        (ClassBug::PushesTwice, 5, DISJOINT),
        (ClassBug::PopsNothing, 7, DISJOINT),
        (ClassBug::FreesToLarger, 5, DISJOINT),
        (ClassBug::LinkBehind, 4, REGION),
        (ClassBug::LinkIntoOld, 7, UNTOUCHED),
        (ClassBug::ZeroedRequestOnly, 1, ZEROED),
        (ClassBug::ZeroedRecycled, 4, ZEROED),
        (ClassBug::EmptyIsListed, 4, REGION),
    ];
    all_are_found(ClassBug::None, &planted, classes);
}

fn global(bug: ClassBug) -> Conformance<'static, GlobalPort<GlobalClasses>> {
    conformance(move || GlobalPort(GlobalClasses(Classes::new(bug)))).fixed(classes::SIZE)
}

#[test]
fn the_realloc_of_an_allocator_behind_an_adapter() {
    none_is_accused(|| global(ClassBug::None));
    let planted = [
        (ClassBug::GrowLosesAlign, 5, ALIGNED),
        (ClassBug::ShrinkLosesAlign, 5, ALIGNED),
        (ClassBug::GrowCopiesWords, 2, KEPT),
    ];
    all_are_found(ClassBug::None, &planted, global);
}
