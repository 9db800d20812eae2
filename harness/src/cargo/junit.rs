//! The results as JUnit XML, in the form that nextest writes, but without a clock: a suite for each test
//! program, and a failure for each test with findings.

use std::fmt::Write as _;

use crate::cargo::results::{Ending, TestResult};
use crate::cargo::summary::TestSummary;
use crate::exec::order::SentFinding;

/// The document.
pub(super) fn document(results: &[TestResult], summary: &TestSummary<'_>) -> String {
    let mut programs: Vec<&str> = results.iter().map(|result| result.program.as_str()).collect();
    programs.dedup();
    let mut suites = String::new();
    let mut total = CaseCounts::default();
    for program in programs {
        let mut cases = String::new();
        let mut counts = CaseCounts::default();
        for result in results.iter().filter(|result| result.program == program) {
            counts.add(case(result, summary, &mut cases));
        }
        if counts.tests == 0 {
            continue;
        }
        let (name, attributes) = (escaped(program), counts.attributes());
        let _ = writeln!(suites, "    <testsuite name=\"{name}\" {attributes}>");
        let _ = writeln!(suites, "{cases}    </testsuite>");
        total.add(counts);
    }
    let CaseCounts { tests, failures, errors, .. } = total;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"cargo-mallory\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\">\n{suites}</testsuites>\n"
    )
}

/// How many tests ended in which way.
#[derive(Clone, Copy, Default)]
struct CaseCounts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl CaseCounts {
    fn add(&mut self, more: CaseCounts) {
        self.tests += more.tests;
        self.failures += more.failures;
        self.errors += more.errors;
        self.skipped += more.skipped;
    }

    fn attributes(self) -> String {
        let CaseCounts { tests, failures, errors, skipped } = self;
        format!(
            "tests=\"{tests}\" disabled=\"{skipped}\" errors=\"{errors}\" failures=\"{failures}\""
        )
    }
}

/// Writes a test, and counts it.
fn case(result: &TestResult, summary: &TestSummary<'_>, out: &mut String) -> CaseCounts {
    let one = CaseCounts { tests: 1, ..CaseCounts::default() };
    let test = if result.test.is_empty() { "(all tests)" } else { &result.test };
    let (name, class) = (escaped(test), escaped(&result.program));
    let start = format!("        <testcase name=\"{name}\" classname=\"{class}\"");
    let mut with = |element: &str| {
        let _ = write!(out, "{start}>\n{element}        </testcase>\n");
    };
    match &result.ending {
        Ending::Doctest => CaseCounts::default(),
        Ending::Ignored => {
            with("            <skipped/>\n");
            CaseCounts { skipped: 1, ..one }
        }
        Ending::NotWatched(why) => {
            with(&format!("            <skipped message=\"{}\"/>\n", escaped(why)));
            CaseCounts { skipped: 1, ..one }
        }
        Ending::Swept(report) if report.is_error => {
            let text = escaped(report.text.trim_end());
            with(&format!("            <error type=\"error\">{text}</error>\n"));
            CaseCounts { errors: 1, ..one }
        }
        Ending::Swept(report) => {
            let is_wrong = |finding: &&SentFinding| !summary.allows(finding);
            let wrong: Vec<&SentFinding> = report.findings.iter().filter(is_wrong).collect();
            let Some(first) = wrong.first() else {
                let _ = writeln!(out, "{start}/>");
                return one;
            };
            let message = format!("{} {}", first.kind, first.id);
            let text: String = wrong.iter().map(|finding| finding.text.clone()).collect();
            with(&format!(
                "            <failure message=\"{}\" type=\"{}\">{}</failure>\n",
                escaped(&message),
                first.kind,
                escaped(text.trim_end())
            ));
            CaseCounts { failures: 1, ..one }
        }
    }
}

/// Text as XML has it. Characters that XML can't have are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || ['\u{fffe}', '\u{ffff}'].contains(&letter) => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::allowed_aborts::AllowedAborts;
    use crate::exec::order::SentReport;
    use crate::report::kind::Kind;

    fn result(test: &str, ending: Ending) -> TestResult {
        let (program, file) = ("a<b>".to_owned(), String::new());
        TestResult { program, file, test: test.to_owned(), ending }
    }

    #[test]
    fn each_test_is_a_case() {
        let finding = SentFinding {
            kind: Kind::Leak,
            id: "L-1".to_owned(),
            text: "leak & more\u{1}\n".to_owned(),
            place: String::new(),
            line: String::new(),
            is_out_of_memory: false,
            krate: String::new(),
            promise: None,
        };
        let leaky = SentReport { findings: vec![finding], ..SentReport::default() };
        let results = [
            result("clean", Ending::Swept(SentReport::default())),
            result("leaky", Ending::Swept(leaky)),
            result("later", Ending::Ignored),
            result("", Ending::NotWatched("its allocator".to_owned())),
            result("doc", Ending::Doctest),
        ];
        let summary = TestSummary::of(&results, &mut AllowedAborts::default());
        let text = document(&results, &summary);
        for expected in [
            "<testsuites name=\"cargo-mallory\" tests=\"4\" failures=\"1\" errors=\"0\">",
            "<testsuite name=\"a&lt;b&gt;\" tests=\"4\" disabled=\"2\" errors=\"0\" failures=\"1\">",
            "<testcase name=\"clean\" classname=\"a&lt;b&gt;\"/>",
            "<failure message=\"leak L-1\" type=\"leak\">leak &amp; more</failure>",
            "<skipped message=\"its allocator\"/>",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("doc"));
    }
}
