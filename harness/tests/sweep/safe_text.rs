//! Texts of a subject in reports: nothing that harms a terminal or hides from a reader, and not too
//! long.

use std::fmt;

use mallory::{Heap, Report, Sweep};

use crate::common::{Oom, Owned};

/// Escape sequences, line breaks that imitate a report, bidirectional and invisible marks.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;title\u{7}\nleak L-00000000  none\r\u{202e}kaeb\u{2066}\u{200b}\u{9b}31m";

/// Checks that a report holds nothing but plain characters and its own line breaks.
fn check(report: &Report) -> String {
    let text = report.to_string();
    for c in text.chars().filter(|c| *c != '\n') {
        let is_hidden =
            ('\u{200b}'..='\u{200f}').contains(&c) || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!c.is_control() && !is_hidden && c != '\u{2066}', "{c:?} in {text:?}");
    }
    let imitates = text.lines().any(|line| line.starts_with("leak L-00000000"));
    assert!(!imitates, "a line of the subject's passes for one of the report:\n{text}");
    assert!(text.len() < 20_000, "{} bytes", text.len());
    text
}

/// Fails as it likes if a request is refused.
fn sweep<T: fmt::Debug, E: fmt::Debug>(after: impl Fn(bool) -> Result<T, E> + Sync) -> Report {
    let sweep = Sweep::new("hostile").oom(|_: &E| false);
    sweep.run(move |heap: &Heap| after(Owned::new(heap, 16).is_err()))
}

/// Its `Debug` text is the hostile one, many times.
#[derive(Clone, Copy)]
struct Hostile(usize);

impl fmt::Debug for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str(HOSTILE))
    }
}

#[test]
fn a_panic_message_is_escaped() {
    let report = sweep(|refused| {
        assert!(!refused, "{HOSTILE}");
        Ok::<_, Oom>(())
    });
    assert!(check(&report).contains("\\u{1b}[2J"), "{report}");
}

#[test]
fn a_panic_text_of_54_mb_makes_a_short_report() {
    let report = sweep(|refused| {
        assert!(
            !refused,
            "{}",
            "54 bytes of a message that a subject panics with, ok. ".repeat(1_000_000)
        );
        Ok::<_, Oom>(())
    });
    assert!(check(&report).contains("… (54000000 bytes in all)"), "{report}");
}

#[test]
fn an_error_is_escaped_and_cut() {
    let report = sweep(|refused| if refused { Err(Hostile(100_000)) } else { Ok(()) });
    assert!(check(&report).contains("bytes in all)"), "{report}");
    let report = Sweep::new("fails").run(|_| Err::<(), _>(Hostile(2)));
    assert!(check(&report).contains("fails without any fault"), "{report}");
}

#[test]
fn the_difference_of_results_is_escaped_and_cut() {
    let report = sweep(|refused| Ok::<_, Oom>(Hostile(if refused { 3 } else { 30_000 })));
    assert!(check(&report).contains("silent-wrong"), "{report}");
}

#[test]
fn many_lines_that_all_differ_are_compared_in_time() {
    let lines =
        |refused: bool| -> Vec<u64> { (0..200_000).map(|n| n * 2 + u64::from(refused)).collect() };
    let report = sweep(move |refused| Ok::<_, Oom>(lines(refused)));
    let text = check(&report);
    assert!(text.contains("-     0,") && text.contains("+     1,"), "{text}");
    assert!(text.contains("more lines, which were not compared"), "{text}");
}

#[test]
fn names_of_heaps_are_escaped() {
    let report = Sweep::new("names").run(|heap| {
        let named = heap.named(HOSTILE);
        Owned::new(&named, 16)?.lose();
        Ok::<_, Oom>(())
    });
    check(&report);
}

#[test]
fn mistakes_are_escaped() {
    let error = mallory::Error::new(HOSTILE).at(HOSTILE).help(HOSTILE).to_string();
    assert_eq!(error.lines().count(), 3, "{error}");
    assert!(!error.contains('\u{1b}') && !error.contains('\u{202e}'), "{error}");
    let error = "v1 a\u{202e}b fp=000000".parse::<mallory::Token>().expect_err("no token");
    assert!(!error.to_string().contains('\u{202e}'), "{error}");
}

#[cfg(feature = "json")]
#[test]
fn json_is_as_safe_as_text() {
    let report = sweep(|refused| {
        assert!(!refused, "{HOSTILE}");
        Ok::<_, Oom>(())
    });
    let json = report.to_json("sweep").expect("there is a result");
    assert!(json.is_ascii() || !json.contains('\u{202e}'), "{json}");
    assert!(!json.contains("\\u001b"), "{json}");
}
