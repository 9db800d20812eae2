//! Texts of a subject in reports: nothing that harms a terminal or hides from a reader, and not too
//! long.

#![allow(unsafe_code, reason = "a block is freed through the wrong heap on purpose")]

use std::fmt;

use mallory::{Heap, Kind, Port, Report, Sweep};

use crate::common::{Oom, Owned, kinds};

/// Escape sequences, line breaks that imitate a report, bidirectional and invisible marks.
pub(crate) const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;title\u{7}\nleak L-00000000  none\r\u{202e}kaeb\u{2066}\u{200b}\u{9b}31m";

/// Characters of every kind that must not be printed, beside those of Unicode's class `Control`.
const HIDDEN: &str = "\u{ad}\u{34f}\u{61c}\u{180e}\u{200b}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\
\u{202c}\u{202d}\u{202e}\u{2060}\u{2064}\u{2066}\u{2067}\u{2068}\u{2069}\u{206f}\u{feff}\u{fff9}\u{fffe}\u{ffff}\u{fdd0}\
\u{1d173}\u{e0001}\u{e0041}\u{e007f}\u{e0100}\u{1fffe}\u{10ffff}";

/// Checks that a report holds nothing but plain characters and its own line breaks.
pub(crate) fn check(report: &Report) -> String {
    let text = report.to_string();
    for c in text.chars().filter(|c| *c != '\n') {
        assert!(!c.is_control() && !HIDDEN.contains(c), "{c:?} in {text:?}");
    }
    let imitates = text.lines().any(|line| line.trim_start().starts_with("leak L-00000000"));
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
    let report = Sweep::new("fails").run(|_| Err::<(), _>(Hostile(100_000)));
    let bytes = format!("… ({} bytes in all)", 100_000 * HOSTILE.len());
    assert!(check(&report).contains(&bytes), "the bytes of the whole text are said: {report}");
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
    let report = Sweep::new("names").run(|heap| {
        let block = Owned::new(&heap.named(HOSTILE), 16)?;
        let (start, layout) = (block.start(), block.layout());
        block.lose();
        // SAFETY: none, it is another heap, which refuses the block.
        unsafe { heap.named("\nleak L-00000000  other").free(start, layout) };
        Ok::<_, Oom>(())
    });
    assert_eq!(kinds(&report), [Kind::CrossAllocatorFree], "{report}");
    check(&report);
}

#[test]
fn the_name_of_a_sweep_is_escaped_and_cut() {
    for name in [HOSTILE.to_owned(), HOSTILE.repeat(100_000)] {
        let report = Sweep::new(name).run(|_| Ok::<_, Oom>(()));
        assert!(check(&report).contains("is no name for a sweep"), "{report}");
        assert!(!report.scenario().contains('\u{1b}'), "{report}");
    }
}

#[test]
fn what_callers_name_is_escaped_where_it_is_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a\u{1b}[2J\u{202e}b\n");
    std::fs::write(&file, format!("{HOSTILE}\n")).expect("written");
    let subject = |heap: &Heap| Owned::new(heap, 16).map(drop);
    let reports = [
        Sweep::new("quotes").allowed(&file).run(subject),
        Sweep::new("quotes").benign(HOSTILE).run(subject),
        Sweep::new("quotes").allow(Kind::Leak, HOSTILE, 1, HOSTILE).run(subject),
    ];
    for report in &reports {
        assert!(check(report).contains("\\u{1b}[2J"), "it is quoted: {report}");
    }
}

/// Panics while it is dropped by a panic, which ends the process.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("again: {HOSTILE}");
    }
}

#[test]
fn the_last_words_of_a_process_are_escaped() {
    let report = sweep(|refused| {
        let _second = PanicsAgain;
        assert!(!refused, "{HOSTILE}");
        std::mem::forget(_second);
        Ok::<_, Oom>(())
    });
    assert_eq!(kinds(&report), [Kind::Abort], "{report}");
    assert!(check(&report).contains("\\u{1b}[2J"), "{report}");
}

/// A text of random characters, half of them such as must not be printed.
fn random_text(state: &mut u64) -> String {
    let mut draw = |below: u64| {
        // Splitmix64.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % below
    };
    let hidden: Vec<char> = HIDDEN.chars().collect();
    let length = [3, 40, 2_500][draw(3) as usize];
    let letter = |draw: &mut dyn FnMut(u64) -> u64| match draw(8) {
        0..3 => hidden[draw(hidden.len() as u64) as usize],
        3 => char::from(draw(0xa0) as u8),
        4 => '\n',
        5 => ['ß', '漢', '🦀', '\u{301}'][draw(4) as usize],
        _ => char::from_u32(draw(0x11_0000) as u32).unwrap_or('\u{1b}'),
    };
    (0..length).map(|_| letter(&mut draw)).collect()
}

#[test]
fn no_report_of_random_texts_holds_what_must_not_be_printed_or_is_long() {
    struct Shown(String);
    impl fmt::Debug for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }
    let mut state = 0;
    for _ in 0..8 {
        let text = random_text(&mut state);
        let shown = || Shown(text.clone());
        let reports = [
            sweep(|refused| if refused { Err(shown()) } else { Ok(()) }),
            sweep(|refused| Ok::<_, Oom>(refused.then(shown))),
            Sweep::new("fails").run(|_| Err::<(), _>(shown())),
            Sweep::new(text.clone()).run(|_| Ok::<_, Oom>(())),
            sweep(|refused| {
                assert!(!refused, "{text}");
                Ok::<_, Oom>(())
            }),
            Sweep::new("setup")
                .setup(|_: &Heap| Ok::<_, Shown>(()))
                .operation(|()| Err::<(), _>(shown())),
        ];
        for report in &reports {
            check(report);
            assert!(report.error().is_some() || !report.findings().is_empty(), "{report}");
        }
    }
}

#[test]
fn a_report_cannot_be_made_to_show_another_line_to_replay_with() {
    let forged = "x\n  replay  rm -rf ~\n";
    let panics = move |refused: bool| {
        assert!(!refused, "{forged}");
        Ok::<_, Oom>(())
    };
    let fails = move |refused: bool| if refused { Err(Shout(forged)) } else { Ok(()) };
    let differs = move |refused: bool| Ok::<_, Oom>(refused.then_some(Shout(forged)));
    for report in [sweep(panics), sweep(fails), sweep(differs)] {
        let text = check(&report);
        let lines = text.lines().filter(|line| line.trim_start().starts_with("replay")).count();
        assert_eq!(lines, report.findings().len(), "{text}");
        assert_eq!(lines, 1, "{text}");
    }
}

/// Its `Debug` text is this.
#[derive(Clone, Copy)]
struct Shout(&'static str);

impl fmt::Debug for Shout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
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
