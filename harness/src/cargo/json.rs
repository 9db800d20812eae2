//! The results as lines of JSON: one for each test, and one for all.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cargo::results::{Ending, TestResult};
use crate::cargo::summary::TestSummary;
use crate::report::json::row_line;
use crate::report::outcome::Outcome;

/// A test as a line of JSON.
#[derive(Serialize)]
struct JsonTest<'a> {
    program: &'a str,
    test: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<serde_json::Value>,
}

/// The line about all tests.
#[derive(Serialize)]
struct JsonSummary {
    seed: u64,
    tests: u64,
    requests: u64,
    sites: u64,
    runs: u64,
    outcomes: BTreeMap<&'static str, u64>,
    findings: usize,
    aborts: BTreeMap<String, u64>,
    allowed: usize,
    not_watched: u64,
    ignored: u64,
    doctests_not_swept: u64,
    exit_code: u8,
}

/// A line for each test, and one for all.
pub(super) fn lines(results: &[TestResult], summary: &TestSummary<'_>, seed: u64) -> String {
    let mut lines = String::new();
    for result in results {
        let (word, why, report) = match &result.ending {
            Ending::Doctest => continue,
            Ending::Ignored => ("ignored", None, None),
            Ending::NotWatched(why) => ("not watched", Some(why.as_str()), None),
            Ending::Swept(report) if report.is_error => {
                ("error", Some(report.text.trim_end()), None)
            }
            Ending::Swept(report) => ("swept", None, serde_json::from_str(&report.json).ok()),
        };
        let test =
            JsonTest { program: &result.program, test: &result.test, result: word, why, report };
        lines.extend(row_line("cargo mallory", &test).map(|line| line + "\n"));
    }
    let mut aborts = BTreeMap::new();
    for abort in &summary.aborts {
        *aborts.entry(abort.finding.krate.clone()).or_default() += 1;
    }
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.name());
    let all = JsonSummary {
        seed,
        tests: summary.swept,
        requests: summary.requests,
        sites: summary.sites,
        runs: summary.runs,
        outcomes: outcomes.zip(summary.outcomes.iter().copied()).collect(),
        findings: summary.findings.len(),
        aborts,
        allowed: summary.allowed.len(),
        not_watched: summary.not_watched,
        ignored: summary.ignored,
        doctests_not_swept: summary.doctests,
        exit_code: summary.exit_code(),
    };
    lines.extend(row_line("cargo mallory", &all).map(|line| line + "\n"));
    lines
}
