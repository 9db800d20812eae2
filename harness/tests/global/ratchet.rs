//! Allowed aborts: their number may be lowered but not raised; in the text and in the JSON.

use std::convert::Infallible;
use std::hint::black_box;
use std::path::PathBuf;

use crate::common::again::this_program;
use crate::common::{kinds, mistake};
use crate::sweep;
use mallory::Kind;

fn words(text: &str) -> usize {
    let words: Vec<&str> = text.split(' ').collect();
    black_box(words).len()
}

/// Aborts at two call sites.
fn infallible() -> Result<u64, Infallible> {
    Ok(words("an infallible function") as u64 + *black_box(Box::new(4)))
}

#[test]
fn allowed_aborts_are_a_ratchet_that_turns_one_way() {
    let allowed = |sites| sweep("ratchet").allow_aborts(sites).run(|_| infallible());
    allowed(2).assert_clean();
    assert!(allowed(2).to_string().contains("ratchet::words"), "allowed aborts are listed");
    assert_eq!(kinds(&allowed(1)), [Kind::Abort; 2]);
    let fewer = allowed(3);
    assert!(mistake(&fewer).contains("failures abort at only 2 call sites"));
    // What was counted is listed, too many as findings, too few after the error.
    let text = fewer.to_string();
    assert_eq!(
        text.matches("ratchet::").count(),
        allowed(2).to_string().matches("ratchet::").count()
    );
    assert!(text.contains("ratchet::words"), "{text}");
}

/// The lines below the one that begins with this text, up to the help line, and that line.
fn listed<'a>(text: &'a str, title: &str) -> (Vec<&'a str>, &'a str) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(title)).skip(1);
    let is_row = |line: &&str| !line.trim_start().starts_with("help: ");
    let rows = lines.by_ref().take_while(is_row).map(str::trim).collect();
    let help = text.split_once(title).and_then(|(_, rest)| rest.split_once("help: "));
    (rows, help.map_or("", |(_, help)| help.lines().next().unwrap_or("")))
}

/// One way through `words` twice, the second time over three requests.
fn of_two_functions() -> Result<usize, Infallible> {
    let boxed = || (0..3).map(|n| usize::from(*black_box(Box::new(n)) == 1_u8)).sum::<usize>();
    Ok(words("an infallible function") + boxed())
}

#[test]
fn a_wrong_number_of_aborts_lists_what_was_counted() {
    let swept = |sites| sweep("wrong").allow_aborts(sites).run(|_| of_two_functions());
    let is_site = |row: &str, function: &str, times: &str| {
        row.starts_with("A-")
            && row.contains(&format!(" {times}× "))
            && row.contains(function)
            && row.contains("harness/tests/global/ratchet.rs:")
    };
    for (sites, title, help) in [
        (1, "counted: allow_aborts(1): failures abort at 2 call sites", "allow_aborts(2)"),
        (3, "error: wrong: allow_aborts(3): failures abort at only 2 call", "allow_aborts(2)"),
    ] {
        let report = swept(sites).to_string();
        let (rows, advice) = listed(&report, title);
        let [one, three] = rows[..] else { panic!("two call sites, one row each:\n{report}") };
        assert!(is_site(one, "ratchet::words", "1"), "{report}");
        assert!(is_site(three, "ratchet::of_two_functions", "3"), "{report}");
        assert!(advice.contains(help), "{report}");
    }
}

#[test]
fn a_long_list_of_what_was_counted_is_cut() {
    macro_rules! boxing {
        ($($name:ident)*) => {{
            $(fn $name() -> u64 { *black_box(Box::new(7)) })*
            0 $(+ $name())*
        }};
    }
    let swept = |sites| {
        sweep("long").allow_aborts(sites).run(|_| {
            Ok::<u64, Infallible>(boxing!(a b c d e f g h i j k l m n o p q r s t u v w x))
        })
    };
    for (sites, title) in [(23, "counted: allow_aborts(23)"), (25, "error: long: allow_aborts(25)")]
    {
        let report = swept(sites).to_string();
        let (rows, _) = listed(&report, title);
        assert_eq!(rows.len(), 21, "{report}");
        assert_eq!(rows[20], "… and 4 more", "{report}");
    }
}

/// Functions that abort, each at a call site of its own.
macro_rules! boxing {
    ($($name:ident)*) => {
        $(#[inline(never)]
        fn $name() -> u64 {
            *black_box(Box::new(7))
        })*
    };
}

boxing! { one two three four five six }

/// A function that promises an error and aborts.
fn try_boxed() -> u64 {
    six()
}

#[test]
fn many_aborts_are_one_in_full_and_the_others_in_lines() {
    let all = || one() + two() + three() + four() + five();
    let report = sweep("few").run(|_| Ok::<u64, Infallible>(all()));
    assert_eq!(report.to_string().matches("  replay  ").count(), 5, "{report}");

    let report = sweep("many").run(|_| Ok::<u64, Infallible>(all() + try_boxed()));
    assert_eq!(kinds(&report), [Kind::Abort; 6]);
    let text = report.to_string();
    assert_eq!(text.matches("  replay  ").count(), 1, "{text}");
    assert!(text.contains("when T0#6 fails"), "the one that promises an error is shown: {text}");
    assert!(text.contains("aborts: failures also abort at 5 call sites"), "{text}");
    assert!(text.contains("  T0#1 ") && text.contains("  T0#5 "), "{text}");

    let one_less = sweep("many").allow_aborts(5);
    let text = one_less.run(|_| Ok::<u64, Infallible>(all() + try_boxed())).to_string();
    assert_eq!(text.matches("  T0#1 ").count(), 1, "the others are listed once: {text}");
    assert_eq!(listed(&text, "counted: allow_aborts(5)").0.len(), 6, "{text}");
}

#[cfg(feature = "json")]
#[test]
fn allowed_aborts_stand_in_the_json_apart_from_the_findings() {
    let line = |sites| sweep("ratchet").allow_aborts(sites).run(|_| infallible()).to_json("sweep");
    let allowed = line(2).expect("no error");
    assert!(allowed.contains(r#""findings":[],"allowed":[{"id":"#), "{allowed}");
    assert_eq!(allowed.matches(r#""kind":"abort""#).count(), 2, "{allowed}");
    let found = line(1).expect("no error");
    assert!(!found.contains("allowed"), "above the number each is a finding: {found}");
}

/// A folder of this test, empty at first.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("allowed-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

#[test]
fn a_file_holds_what_is_allowed() {
    let file = folder("file").join("allowed/words.txt");
    let swept = || sweep("file").allowed(&file).run(|_| infallible());
    let report = swept();
    assert_eq!(kinds(&report), [Kind::Abort; 2], "nothing is allowed without a file");
    let text = report.to_string();
    let (rows, help) = listed(&text, &format!("counted: {} doesn't have 2 call", file.display()));
    assert_eq!(rows.len(), 2, "{text}");
    assert!(rows.iter().all(|row| row.starts_with("A-") && row.contains("ratchet.rs:")), "{text}");
    assert!(help.contains("MALLORY_UPDATE=1 accepts"), "{text}");

    let lines: Vec<String> = report
        .findings()
        .iter()
        .map(|finding| format!("{} {}  its site", finding.kind(), finding.id()))
        .collect();
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, format!("# a comment\n\n{}\n", lines[0])).expect("written");
    let report = swept();
    assert_eq!(report.findings().len(), 1, "the other one is new:\n{report}");
    assert_eq!(report.allowed().len(), 1, "{report}");

    std::fs::write(&file, format!("{}\nabort A-00000000  gone\n", lines.join("\n")))
        .expect("written");
    let report = swept();
    report.assert_clean();
    assert_eq!(report.allowed().len(), 2, "{report}");
    let text = report.to_string();
    let (rows, help) = listed(&text, &format!("counted: {} has 1 line too many", file.display()));
    assert_eq!(rows, ["abort A-00000000  gone"], "{text}");
    assert_eq!(help, "MALLORY_UPDATE=1 removes what is gone");

    std::fs::write(&file, "leak L-00000000\n").expect("written");
    let error = mistake(&swept());
    assert!(error.contains("not an allowed call site") && error.contains("words.txt:1"), "{error}");
    let _ = std::fs::remove_dir_all(folder("file"));
}

/// What a file allows hides no other kind of bug at the same call site.
#[test]
fn a_file_allows_neither_leaks_nor_what_shows_without_a_fault() {
    let file = folder("leak").join("leak.txt");
    let swept = || {
        sweep("leak").allowed(&file).run(|_| {
            std::mem::forget(black_box(Box::new(7_u64)));
            Ok::<_, Infallible>(())
        })
    };
    let ids: Vec<String> = swept().findings().iter().map(|f| format!("abort {}", f.id())).collect();
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, ids.join("\n")).expect("written");
    let report = swept();
    assert_eq!(kinds(&report), [Kind::Leak], "{report}");
    let _ = std::fs::remove_dir_all(folder("leak"));
}

#[test]
fn the_file_is_written_on_request() {
    const IN_CHILD: &str = "TEST_FILE";
    if let Some(file) = std::env::var_os(IN_CHILD) {
        let report = sweep("update").allowed(file).run(|_| {
            let words = words("an infallible function");
            let mut more = Vec::<u64>::new();
            more.try_reserve(4).expect("memory");
            Ok::<_, Infallible>(words)
        });
        report.assert_clean();
        return;
    }
    let file = folder("update").join("new/update.txt");
    let run = |update: &str| {
        let mut child = this_program(the_file_is_written_on_request);
        child.env(IN_CHILD, &file).env("MALLORY_UPDATE", update).output().expect("it starts")
    };
    assert!(!run("0").status.success(), "what is new is not clean");
    assert!(run("1").status.success(), "what is written is");
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.starts_with("# ") && text.contains("abort A-"), "{text}");
    assert!(text.contains("panic ") && text.contains("  ratchet::words"), "{text}");
    assert!(run("0").status.success(), "and it stays clean");
    assert!(run("1").status.success());
    assert_eq!(std::fs::read_to_string(&file).expect("there"), text);
    let _ = std::fs::remove_dir_all(folder("update"));
}

/// Many call sites are a table of functions; a function that promises an error comes first.
#[test]
fn a_long_inventory_is_a_table() {
    fn try_words() -> usize {
        words("a promise")
    }
    macro_rules! many {
        ($($name:ident)*) => {{
            $(fn $name() -> usize { words("one") })*
            0 $(+ $name())*
        }};
    }
    let report = sweep("table").allow_aborts(26).run(|_| {
        let many = many!(a b c d e f g h i j k l m n o p q r s t u v w x y);
        Ok::<_, Infallible>(many + try_words())
    });
    report.assert_clean();
    let text = report.to_string();
    let promised = text.find("(try_words promises an error)").expect("listed by itself");
    let table = text.find("sites  requests  function").expect("a table");
    assert!(promised < table, "{text}");
    assert!(text.contains("25        25  global  ratchet::words"), "{text}");
    assert_eq!(report.allowed().len(), 26);
}
