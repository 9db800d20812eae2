//! For each promise of the contract a port that breaks it: the suite finds it, and shrinks it to the
//! smallest sequence of calls, which replays. The same port without the flaw is clean.

use std::path::Path;
use std::time::Duration;

use crate::common::again::{report_of, this_program_without_settings};
use crate::region::{Flaw, Region, SIZE};
use mallory::conformance::Conformance;
use mallory::{Kind, Report, Verdict, conformance};

fn suite(flaw: Flaw) -> Conformance<'static, Region> {
    conformance(move || Region::new(flaw))
        .name("region")
        .operations(2048)
        .max_size(4096)
        .patience(Duration::from_secs(1))
}

/// The text of the finding that contains this.
#[track_caller]
fn finding(report: &Report, said: &str) -> String {
    let mut all = report.findings().iter().map(ToString::to_string);
    let found = all.find(|text| text.contains(said));
    found.unwrap_or_else(|| panic!("expected: {said}\n{report}"))
}

/// The sequence in a finding's text.
fn sequence(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The suite finds the flaw and shrinks it to just this sequence, which replays it; without the flaw
/// the sequence is clean.
#[track_caller]
fn caught(
    suite: impl Fn(Flaw) -> Conformance<'static, Region>,
    flaw: Flaw,
    said: &str,
    smallest: &str,
) {
    let report = suite(flaw).run();
    assert_eq!(report.exit_code(), 1, "{flaw:?}: {report}");
    assert!(report.findings().iter().all(|found| found.kind() == Kind::PortContract));
    let found = finding(&report, said);
    let smallest: String = smallest.lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(sequence(&found), smallest, "{flaw:?}: {report}");
    assert_eq!(suite(flaw).run().to_string(), report.to_string(), "the same bytes each time");
    let replayed = suite(flaw).replay(&*smallest).run();
    assert_eq!(finding(&replayed, said), found, "a replay finds the same");
    suite(Flaw::None).replay(smallest).run().assert_clean();
}

#[test]
fn a_port_without_a_flaw_is_not_accused() {
    let report = suite(Flaw::None).run();
    report.assert_clean();
    assert_eq!(report.verdict(), Verdict::Clean);
    assert!(report.coverage().requests > 800, "{report}");
    suite(Flaw::None).fixed(SIZE).run().assert_clean();
    suite(Flaw::None).fixed(SIZE).clones(3).run().assert_clean();
    suite(Flaw::None).held(Region::held).run().assert_clean();
    suite(Flaw::None).fixed(SIZE).no_free().run().assert_clean();
}

#[test]
fn alignment() {
    let smallest = "a1 = alloc 0 align 1
                    a2 = alloc 0 align 32";
    caught(suite, Flaw::Misaligned, "a2 is not aligned to 32", smallest);
}

#[test]
fn size() {
    let smallest = "a1 = alloc 101 align 1";
    caught(suite, Flaw::TooShort, "a1 is 100 bytes long, and 101 bytes were asked", smallest);
}

#[test]
fn arithmetic() {
    let said = "more than there are addresses";
    caught(suite, Flaw::Wraps, said, "a1 = alloc max align 1");
}

#[test]
fn disjointness() {
    let smallest = "a1 = alloc 25 align 1
                    a2 = alloc 1 align 1";
    caught(suite, Flaw::Overlapping, "a2 overlaps a1, which is alive", smallest);
}

#[test]
fn the_end_of_a_fixed_region() {
    let suite = |flaw| suite(flaw).fixed(SIZE);
    let said = "are alive, of a region of 65,536";
    caught(suite, Flaw::Beyond, said, "exhaust 182 align 1 lifo");
}

#[test]
fn zeroes() {
    let said = "byte 16 of a1 is not zero, of 17 bytes";
    caught(suite, Flaw::HalfZeroed, said, "a1 = zeroed 17 align 1");
}

#[test]
fn contents_across_a_grow() {
    let smallest = "a1 = alloc 9 align 1
                    grow a1 to 9 align 1";
    caught(suite, Flaw::HalfCopied, "byte 8 of a1 is lost", smallest);
}

#[test]
fn the_old_block_after_a_refused_grow() {
    let smallest = "a1 = alloc 1 align 1
                    grow a1 to max align 1";
    caught(suite, Flaw::Scribbles, "byte 0 of a1 changed, and the grow was refused", smallest);
}

#[test]
fn blocks_of_others() {
    let smallest = "a1 = alloc 0 align 1
                    a2 = alloc 1 align 1
                    free a1";
    caught(suite, Flaw::Trespasses, "byte 0 of a2 changed while it was alive", smallest);
}

#[test]
fn empty_requests() {
    let said = "zero bytes (align 1) were refused, and one byte was granted";
    caught(suite, Flaw::NothingForNothing, said, "a1 = alloc 0 align 1");
}

#[test]
fn memory_that_was_given_back() {
    let fixed = |flaw| suite(flaw).fixed(SIZE);
    let said = "full: a block was freed, and the same refused (143 bytes, align 32)";
    caught(fixed, Flaw::Leaks, said, "exhaust 143 align 32 lifo");
    let held = |flaw| suite(flaw).held(Region::held);
    let said = "it holds 128 bytes after 4 rounds of the same, and 1,024 after 32";
    caught(held, Flaw::Leaks, said, "churn 0 align 32");
    let arena = |flaw| suite(flaw).fixed(SIZE).no_free();
    let said = "360 blocks fitted at first (182 bytes, align 1), and 0 after all";
    caught(arena, Flaw::NoReset, said, "exhaust 182 align 1 lifo");
}

#[test]
fn unwinding() {
    let said = "it panicked: no more than a thousand";
    caught(suite, Flaw::Panics, said, "a1 = alloc 1001 align 1");
}

#[test]
fn crashes() {
    let smallest = "a1 = alloc 0 align 1
                    free a1";
    let said = "during the last operation it died of SIGSEGV";
    caught(suite, Flaw::Crashes, said, smallest);
}

#[test]
fn aborts() {
    let smallest = "a1 = alloc 0 align 1
                    shrink a1 to 0 align 1";
    caught(suite, Flaw::Aborts, "it died of SIGABRT", smallest);
}

#[test]
fn exits() {
    let said = "it ended the process with exit code 0";
    caught(suite, Flaw::Exits, said, "a1 = alloc 0 align 64");
}

#[test]
fn hangs() {
    let suite = |flaw| suite(flaw).patience(Duration::from_millis(500));
    let report = suite(Flaw::Hangs).operations(64).run();
    let found = finding(&report, "did not come back");
    let lines = sequence(&found);
    assert!(lines.lines().count() <= 4, "{report}");
    let replay = suite(Flaw::Hangs).replay(lines.clone()).run();
    assert_eq!(finding(&replay, "did not come back"), found);
    suite(Flaw::None).replay(lines).run().assert_clean();
}

#[test]
fn clones() {
    let suite = |flaw| suite(flaw).clones(2);
    let smallest = "a1 = alloc 0 align 1
                    free a1 by 1";
    caught(suite, Flaw::Separate, "it panicked: a block that is not in the records", smallest);
}

#[test]
fn any_size_between_asked_and_answered_fits() {
    let smallest = "a1 = alloc 0 align 1
                    free a1 whole";
    caught(suite, Flaw::Strict, "another size", smallest);
}

#[test]
fn frees_from_other_threads() {
    // One thread after the other: the port has no lock.
    let one = "a1 = alloc 0 align 1\nfree a1 by 1\n";
    let two = |flaw| suite(flaw).threads(2).replay(one).run();
    two(Flaw::None).assert_clean();
    let report = two(Flaw::ThreadBound);
    assert_eq!(sequence(&finding(&report, "another thread's block")), one);
}

#[test]
fn prints_what_is_too_short() {
    println!("<{}>", suite(Flaw::TooShort).run());
}

/// What the test above prints if it runs the sequence in this file.
fn with_sequence(file: &Path) -> String {
    let mut command = this_program_without_settings(prints_what_is_too_short);
    report_of(&command.env("MALLORY_SEQUENCE", file).output().expect("it starts"))
}

#[test]
fn a_sequence_in_a_file_is_run_again_as_it_was_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("found.txt");
    let said = "a1 is 100 bytes long, and 201 bytes were asked";
    std::fs::write(&file, "    a1 = alloc 201 align 1   # as in the report\n").expect("written");
    assert!(with_sequence(&file).contains(said), "{}", with_sequence(&file));
    std::fs::write(&file, "a1 = alloc 100 align 1\n").expect("written");
    assert!(with_sequence(&file).contains("✓ clean"), "{}", with_sequence(&file));
    for (text, said) in [
        ("a1 = alloc 100\n", "the line ends where `align` is expected"),
        ("a1 = alloc 100\n", "found.txt:1"),
        ("lose a1\n", "help: write lines such as: a1 = alloc 64 align 8"),
    ] {
        std::fs::write(&file, text).expect("written");
        assert!(with_sequence(&file).contains(said), "{}", with_sequence(&file));
    }
    let missing = with_sequence(Path::new("no/such/file"));
    assert!(missing.contains("--> no/such/file") && missing.contains("help: name a file"));
}

#[test]
fn what_the_caller_got_wrong_is_said_with_its_place() {
    for (suite, said) in [
        (suite(Flaw::None).name("No Name"), "is not a valid name for a port"),
        (suite(Flaw::None).max_align(3), "max_align(3) is not a power of two"),
        (suite(Flaw::None).replay("free a1"), "a1 was not allocated before"),
        (suite(Flaw::None).replay("reclaim by 1"), "operation 1 of the sequence: reclaim by 1"),
        (suite(Flaw::None).replay("exhaust 1 align 1 lifo"), "the size of the region is unknown"),
        (conformance(|| panic!("no port")), "the port could not be made: no port"),
    ] {
        let report = suite.run();
        assert_eq!(report.exit_code(), 2, "{report}");
        assert!(report.to_string().contains(said), "{report}");
    }
}

#[test]
fn what_a_port_says_is_escaped_and_cut() {
    const HOSTILE: &str = "\u{1b}[2J\n  replay  rm -rf ~\n\u{202e}";
    for report in [
        conformance(|| -> Region { panic!("{}", HOSTILE.repeat(1_000_000)) }).run(),
        conformance(|| Region::new(Flaw::None)).name(HOSTILE.repeat(1_000_000)).run(),
        suite(Flaw::None).replay(HOSTILE.repeat(1_000)).run(),
    ] {
        let text = report.to_string();
        assert!(report.error().is_some() && text.contains("\\u{1b}[2J"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.len() < 20_000, "{text:?}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("replay")), "{text}");
    }
}
