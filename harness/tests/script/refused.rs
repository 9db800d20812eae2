//! Files that are no valid script: each is refused with its line and column and a help, and without
//! a panic, however large or deeply nested it is.

use mallory::script::Script;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Op {
    Add(u32),
    Take { count: i8, from: Option<String> },
    Clear,
}

/// A script with one operation and this field.
fn with(rest: &str) -> String {
    format!("(system: \"x\", threads: [[Clear]], {rest})")
}

/// A script with these operations.
fn ops(ops: &str) -> String {
    format!("(system: \"x\", threads: [[{ops}]])")
}

/// Invalid scripts, and what the message contains.
fn invalid() -> Vec<(String, &'static str)> {
    let plain = |text: &str| text.to_owned();
    vec![
        (plain(""), "it.ron:1:1: "),
        (plain("\u{feff}"), "it.ron:1:"),
        (plain("("), "it.ron:1:"),
        (plain("()"), "Unexpected missing field named `system`"),
        (plain("[]"), "it.ron:1:1: "),
        (plain("{}"), "it.ron:1:1: "),
        (plain("\"text\""), "it.ron:1:1: "),
        (plain("(system: \"x\""), "it.ron:1:"),
        (plain("(system: \"x\")"), "Unexpected missing field named `threads`"),
        (plain("(threads: [])"), "Unexpected missing field named `system`"),
        (plain("(system: 3, threads: [])"), "it.ron:1:9: Expected string"),
        (plain("(system: \"x, threads: [])"), "it.ron:1:10: "),
        (plain("(system: \"x\", system: \"y\", threads: [])"), "duplicate field named `system`"),
        (plain("(system: \"x\", threads: Clear)"), "it.ron:1:23: Expected opening `[`"),
        (plain("(system: \"x\", threads: [Clear])"), "it.ron:1:25: Expected opening `[`"),
        (plain("(system: \"x\", threads: []) more"), "it.ron:1:27: "),
        (plain("(system: \"x\",\n threads: [[Clear]],\n extra: 1)"), "it.ron:3:2: "),
        (plain("(system: \"x\", /* open"), "Unclosed block comment"),
        (ops("Sub(1)"), "Unexpected variant named `Sub`"),
        (ops("Add"), "it.ron:1:"),
        (ops("Add()"), "it.ron:1:"),
        (ops("Add(-1)"), "it.ron:1:"),
        (ops("Add(99999999999)"), "it.ron:1:"),
        (ops("Add(1.5)"), "it.ron:1:"),
        (ops("Add(1) Clear"), "it.ron:1:"),
        (ops("Add(0x)"), "it.ron:1:"),
        (ops("Take(from: None)"), "Unexpected missing field named `count`"),
        (ops("Take(count: 300, from: None)"), "it.ron:1:"),
        (ops("Take(count: 1, from: Some(\"\\u{110000}\"))"), "it.ron:1:"),
        (ops("Take(count: 1, from: \"a\")"), "Expected option"),
        (ops("Take(count: 1, from: None, from: None)"), "it.ron:1:"),
        (with("seed: -1"), "it.ron:1:"),
        (with("fault: Some(\"\")"), "fault \"\": "),
        (with("fault: Some(\"18\")"), "expected a coordinate"),
        (with("fault: Some(\"T0#0\")"), "requests count from 1"),
        (with("fault: Some(\"T0#5..=4\")"), "a burst ends before it begins"),
        (with("fault: Some(\"T0#5..4\")"), "after `..`"),
        (with("fault: Some(\"budget=much\")"), "a number of bytes"),
        (with("schedule: Some(\"T1>T2\")"), "\"T1>T2\" is not a preemption"),
        (with("schedule: Some(\"T1@0>T2\")"), "is not a preemption"),
        (with("schedule: Some(\"T1@3>T99999\")"), "is not a preemption"),
        (with("modes: [fast]"), "it.ron:1:"),
        (with("found: Some((kind: \"lost\", id: \"L-1\"))"), "there is no kind \"lost\""),
        (with("found: Some((kind: \"leak\", id: \"../x\"))"), "is not a finding's id"),
        (with("expect: (reproduces: true)"), "expect.reproduces is set, but found is missing"),
        (with("expect: (strict: 1)"), "it.ron:1:"),
        (with("expect: (allow: [(kind: \"leak\")])"), "Unexpected missing field named"),
        (
            with("expect: (allow: [(kind: \"bad\", function: \"\", max: 1, reason: \"\")])"),
            "there is no kind \"bad\"",
        ),
    ]
}

#[test]
fn each_is_refused_with_its_place_and_a_help_line() {
    let table = invalid();
    assert!(table.len() >= 30);
    let mut wrong = Vec::new();
    for (text, expected) in &table {
        let said = match Script::<Op>::read(text, "it.ron") {
            Ok(script) => format!("{script:?}"),
            Err(error) => error.to_string(),
        };
        // The parts of the message, as the table has them: the place, and what is wrong there.
        let parts = said.split_once("\n  --> ").and_then(|(what, rest)| {
            let (place, help) = rest.split_once("\nhelp: ")?;
            (!help.is_empty()).then(|| format!("{place}: {what}"))
        });
        let is_right = |parts: &String| parts.starts_with("it.ron") && parts.contains(expected);
        if !parts.as_ref().is_some_and(is_right) {
            wrong.push(format!("{text}\n  expected {expected}\n  said {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let whole = Script::<Op>::read(&ops("Add(1), Take(count: -1, from: None), Clear"), "it.ron");
    assert_eq!(whole.expect("it is valid").threads[0].len(), 3);
}

#[test]
fn ten_megabytes_of_anything_come_to_an_end() {
    let filled = |piece: &str| piece.repeat(10_000_000 / piece.len());
    for text in [
        filled("("),
        filled("["),
        filled("{"),
        filled("\""),
        filled("/*"),
        filled("Some("),
        filled("\\"),
        filled("é"),
        filled("\0"),
        ops(&filled("Add(")),
        ops(&filled("Take(from: Some(")),
        with(&format!("expect: {}", filled("("))),
        with(&format!("fault: Some(\"{}\")", filled("T0#1,"))),
        with(&format!("schedule: Some(\"{}\")", filled("T0@1>"))),
        ops(&format!("Add({})", filled("9"))),
        ops(&filled("Clear, Oops, ")),
    ] {
        let begin: String = text.chars().take(60).collect();
        let error = Script::<Op>::read(&text, "it.ron").expect_err(&begin).to_string();
        assert!(error.len() < 1000, "{begin}: {} bytes of message", error.len());
        assert!(error.contains("help: "), "{begin}: {error}");
    }
    // A long script that is valid is read.
    let long = ops(&filled("Add(1), "));
    let read = Script::<Op>::read(&long, "it.ron").expect("it is valid");
    assert_eq!(read.threads[0].len(), 1_250_000);
}
