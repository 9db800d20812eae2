//! One type of operations, tested by a swept script, by a property and by a fuzzer's input: each is
//! shrunk to the same case.

use crate::common::{Random, only};
use crate::queue::{Op, Queue};
use arbitrary::{Arbitrary, Unstructured};
use mallory::fuzz::{Input, attack};
use mallory::proptest::property;
use mallory::script::{Limits, Script};
use mallory::{Kind, Report, Sweep};

/// The case that each of them is shrunk to.
const SMALLEST: &str = r#"(
    system: "queue",
    about: "operation 3 (Push(\"a\")): the state after the error is not the state before",
    threads: [
        [
            Push(""),
            Push(""),
            Push("a"),
        ],
    ],
    fault: Some("T0#2"),
    found: Some((
        kind: "not-recovered",
        id: "ID",
    )),
)
"#;

fn smallest(id: &str) -> String {
    SMALLEST.replace("ID", id)
}

/// The id of the only finding.
fn id(report: &Report) -> String {
    let finding = only(report);
    assert_eq!(finding.kind(), Kind::NotRecovered, "{report}");
    finding.id().to_owned()
}

fn by_sweep() -> Report {
    let ops = ["x", "y", "z"].map(|text| Op::Push(text.to_owned())).to_vec();
    Sweep::new("queue").scripted::<Queue>(&Script::of("queue", ops))
}

#[test]
fn a_property_ends_in_the_case_that_the_sweep_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = property::<Queue>().cases_in(folder.path()).run();
    let id = id(&report);
    assert_eq!(id, self::id(&by_sweep()), "the same id, whichever test finds it");
    let case = std::fs::read_to_string(folder.path().join(format!("{id}.ron")));
    assert_eq!(case.expect("the case is written"), smallest(&id));
    assert!(report.to_string().contains("Push(\"a\")"), "{report}");
    let same = property::<Queue>().run();
    assert_eq!(same.findings()[0].id(), id);
    assert_ne!(property::<Queue>().seed(1).run().findings().len(), 0);
}

/// Random bytes for a fuzz target: the same for the same seed.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    (0..length).map(|_| (random.next() >> 32) as u8).collect()
}

#[test]
fn a_fuzz_target_ends_in_the_same_case() {
    let wanted = id(&by_sweep());
    let found = (0..2000).find_map(|seed| {
        let bytes = bytes(seed, 200);
        let input = Input::<Queue>::arbitrary(&mut Unstructured::new(&bytes)).ok()?;
        let text = format!("{input:?}");
        assert!(text.starts_with("(\n    system: \"queue\","), "{text}");
        let said = std::panic::catch_unwind(|| attack::<Queue>(&input, || [].into())).err()?;
        said.downcast_ref::<String>().cloned()
    });
    let said = found.expect("one of two thousand inputs finds the bug");
    let script: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let script = script.join("\n");
    assert!(script.contains(smallest(&wanted).trim_end()), "{said}");
}

#[test]
fn four_hundred_operations_come_down_to_three() {
    let mut ops = Vec::new();
    for nth in 0..400 {
        ops.push(match nth % 5 {
            0 | 2 => Op::Push(format!("text number {nth}")),
            1 | 3 => Op::Count,
            _ => Op::Pop,
        });
    }
    let three = ["the one", "the other", "the third"].map(|text| Op::Push(text.to_owned()));
    ops.splice(200..203, three);
    let mut script = Script::of("queue", ops);
    script.fault = Some("T0#84".to_owned());
    let small =
        mallory::script::minimise::<Queue>(&script, &[], Limits::default()).expect("played");
    let small = small.expect("it has a finding");
    let removed = small.removed.expect("the finding is reproducible");
    assert_eq!(small.script.print().expect("text"), smallest(&id(&small.report)));
    assert_eq!(removed.operations, 397, "{removed}");
    assert!(removed.runs < 10_000, "{removed}");
}
