//! What is printed at the end: a table with a line for each test, what was found, and the aborts of code
//! that can't report an error, which are only counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::cargo::allowed_aborts::AllowedAborts;
use crate::cargo::results::{Ending, TestResult};
use crate::cargo::settings::RunnerSettings;
use crate::exec::order::{SentFinding, SentReport};
use crate::report::format::{count, thousands};
use crate::report::outcome::Outcome;

/// A finding, and the tests that show it.
pub(super) struct SharedFinding<'a> {
    pub(super) finding: &'a SentFinding,
    tests: BTreeSet<String>,
}

/// The results of all tests together.
#[derive(Default)]
pub(super) struct TestSummary<'a> {
    /// What has to be looked into, by kind and id.
    pub(super) findings: Vec<SharedFinding<'a>>,
    /// Aborts for want of memory that are not allowed, and those that are.
    pub(super) aborts: Vec<SharedFinding<'a>>,
    pub(super) allowed: Vec<SharedFinding<'a>>,
    pub(super) requests: u64,
    pub(super) sites: u64,
    pub(super) runs: u64,
    /// Faulted runs by outcome.
    pub(super) outcomes: Vec<u64>,
    pub(super) swept: u64,
    pub(super) not_watched: u64,
    pub(super) ignored: u64,
    pub(super) doctests: u64,
    has_error: bool,
    is_incomplete: bool,
    /// Whether all tests were swept, with all their requests.
    pub(super) is_whole: bool,
    /// How cargo ended, if it failed though tests were run.
    pub(super) cargo_failed: Option<String>,
}

impl<'a> TestSummary<'a> {
    /// Adds the results up.
    pub(super) fn of(results: &'a [TestResult], allowed: &mut AllowedAborts) -> TestSummary<'a> {
        let mut summary = TestSummary::default();
        let mut found: BTreeMap<(bool, usize, &str), SharedFinding<'a>> = BTreeMap::new();
        for result in results {
            match &result.ending {
                Ending::Ignored => summary.ignored += 1,
                Ending::Doctest => summary.doctests += 1,
                Ending::NotWatched(_) => summary.not_watched += 1,
                Ending::Swept(report) => {
                    summary.add(report);
                    for finding in &report.findings {
                        let new = || SharedFinding { finding, tests: BTreeSet::new() };
                        let key = (finding.is_counted(), rank(finding), finding.key());
                        found.entry(key).or_insert_with(new).tests.insert(result.name());
                    }
                }
            }
        }
        for (_, found) in found {
            match found.finding.is_counted() {
                false => summary.findings.push(found),
                true if allowed.accepts(found.finding) => summary.allowed.push(found),
                true => summary.aborts.push(found),
            }
        }
        summary
    }

    fn add(&mut self, report: &SentReport) {
        self.has_error |= report.is_error;
        self.swept += u64::from(!report.is_error);
        self.is_incomplete |= report.exit_code == 3;
        self.requests += report.requests;
        self.sites += report.sites;
        self.runs += report.runs;
        self.outcomes.resize(Outcome::ALL.len(), 0);
        for (all, own) in self.outcomes.iter_mut().zip(&report.outcomes) {
            *all += own;
        }
    }

    /// Whether a finding is accepted by the user's file.
    pub(super) fn allows(&self, finding: &SentFinding) -> bool {
        finding.is_counted()
            && self.allowed.iter().any(|allowed| allowed.finding.place == finding.place)
    }

    /// The exit code: a mistake outranks findings, and findings outrank what is incomplete.
    pub(super) fn exit_code(&self) -> u8 {
        if self.has_error || self.cargo_failed.is_some() {
            2
        } else if !self.findings.is_empty() || !self.aborts.is_empty() {
            1
        } else if self.is_incomplete || self.not_watched > 0 {
            3
        } else {
            0
        }
    }

    /// The text for people.
    pub(super) fn text(
        &self,
        results: &[TestResult],
        allowed: &AllowedAborts,
        settings: &RunnerSettings,
    ) -> String {
        let mut text = format!("seed {}\n", settings.seed);
        let is_row = |result: &&TestResult| !matches!(result.ending, Ending::Doctest);
        let rows: Vec<&TestResult> = results.iter().filter(is_row).collect();
        let names: Vec<String> = rows.iter().map(|result| result.name()).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, result) in names.iter().zip(rows) {
            let _ = writeln!(text, "{}", row(name, width, result, self));
        }
        text.push('\n');
        if settings.replay.is_some() {
            for result in results {
                if let Ending::Swept(report) = &result.ending {
                    text.push_str(&report.text);
                }
            }
            return text;
        }
        for found in &self.findings {
            text.push_str(&found.finding.text);
            if found.tests.len() > 1 {
                let others = count(found.tests.len() as u64 - 1, "other test");
                let _ = writeln!(text, "  also in {others}");
            }
            text.push('\n');
        }
        self.write_aborts(&mut text, allowed);
        self.write_totals(&mut text);
        text
    }

    /// Writes the aborts, a line for each crate.
    fn write_aborts(&self, text: &mut String, file: &AllowedAborts) {
        if !self.aborts.is_empty() {
            text.push_str("aborts for want of memory, by the crate that asked for it:\n");
            write_crates(text, &self.aborts);
            let help = match &file.path {
                Some(path) => format!("MALLORY_UPDATE=1 adds them to {}", path.display()),
                None => "--allowed FILE accepts those that are in a file, and finds new ones; \
                         MALLORY_UPDATE=1 writes it"
                    .to_owned(),
            };
            let _ = writeln!(text, "  help: {help}\n");
        }
        if !self.allowed.is_empty() {
            text.push_str("allowed: aborts for want of memory, by crate:\n");
            write_crates(text, &self.allowed);
            text.push('\n');
        }
        if let Some(path) = file.path.as_ref().filter(|_| self.is_whole && file.gone() > 0) {
            let lines = count(file.gone(), "line");
            let _ = writeln!(
                text,
                "note: {} has {lines} too many; MALLORY_UPDATE=1 removes what is gone\n",
                path.display()
            );
        }
    }

    fn write_totals(&self, text: &mut String) {
        let tests = count(self.swept, "test");
        let requests = count(self.requests, "request");
        let sites = count(self.sites, "call site");
        let runs = count(self.runs, "run");
        let _ = writeln!(text, "{tests}: {requests} at {sites}, {runs} with a fault");
        let outcomes = Outcome::ALL.iter().zip(&self.outcomes).filter(|(_, number)| **number > 0);
        let outcomes: Vec<String> = outcomes
            .map(|(outcome, number)| {
                format!("{} {}", thousands(*number), outcome.name().replace('_', " "))
            })
            .collect();
        if !outcomes.is_empty() {
            let _ = writeln!(text, "outcomes: {}", outcomes.join(", "));
        }
        let findings = count(self.findings.len() as u64, "finding");
        let aborts = self.aborts.len() as u64;
        let aborts = if aborts == 0 {
            String::new()
        } else {
            format!(", and aborts in {}", count(aborts, "function"))
        };
        let _ = writeln!(text, "{findings}{aborts}");
        if self.not_watched > 0 {
            let _ = writeln!(text, "{} not watched", count(self.not_watched, "program or test"));
        }
        if self.doctests > 0 {
            let ran = count(self.doctests, "doctest");
            let _ = writeln!(text, "{ran} ran without a fault: doctests are not swept");
        }
    }

    /// The mistakes, for standard error.
    pub(super) fn errors(&self, results: &[TestResult]) -> String {
        let mut text = String::new();
        for result in results {
            if let Ending::Swept(report) = &result.ending
                && report.is_error
            {
                text.push_str(&report.text);
            }
        }
        if let Some(status) = &self.cargo_failed {
            let _ = writeln!(text, "error: cargo ended with {status}, as it says above");
        }
        text
    }
}

/// The order of findings: those that do most harm first.
fn rank(finding: &SentFinding) -> usize {
    use crate::report::kind::Kind;
    const FIRST: [Kind; 10] = [
        Kind::Crash,
        Kind::HeapBufferOverflow,
        Kind::HeapBufferUnderflow,
        Kind::UseAfterFree,
        Kind::DoubleFree,
        Kind::InvalidFree,
        Kind::LayoutMismatch,
        Kind::Leak,
        Kind::SilentWrong,
        Kind::NoProgress,
    ];
    FIRST.iter().position(|kind| *kind == finding.kind).unwrap_or(FIRST.len())
}

/// Writes a line for each crate, the one with the most functions first.
fn write_crates(text: &mut String, aborts: &[SharedFinding<'_>]) {
    let mut crates: BTreeMap<&str, (u64, BTreeSet<&String>)> = BTreeMap::new();
    for abort in aborts {
        let entry = crates.entry(&abort.finding.krate).or_default();
        entry.0 += 1;
        entry.1.extend(&abort.tests);
    }
    let mut crates: Vec<_> = crates.into_iter().collect();
    crates.sort_by_key(|(_, (sites, _))| std::cmp::Reverse(*sites));
    let name =
        |krate: &str| if krate.is_empty() { "(unknown)".to_owned() } else { krate.to_owned() };
    let width = crates.iter().map(|(krate, _)| name(krate).len()).max().unwrap_or(0);
    for (krate, (sites, tests)) in crates {
        let (sites, tests) = (count(sites, "function"), count(tests.len() as u64, "test"));
        let _ = writeln!(text, "  {:<width$}  {sites}, in {tests}", name(krate));
    }
}

/// The line of a test.
fn row(name: &str, width: usize, result: &TestResult, summary: &TestSummary<'_>) -> String {
    let report = match &result.ending {
        Ending::Swept(report) => report,
        Ending::NotWatched(why) => return format!("{name:<width$}  … not watched: {why}"),
        Ending::Ignored | Ending::Doctest => return format!("{name:<width$}  - ignored"),
    };
    if report.is_error {
        return format!("{name:<width$}  ! error");
    }
    let verdict = verdict(report, summary);
    let requests = count(report.requests, "request");
    let (sites, runs) = (count(report.sites, "site"), count(report.runs, "run"));
    format!("{name:<width$}  {verdict:<24} {requests:>14} {sites:>10} {runs:>12}")
}

/// A test's result in a few words.
fn verdict(report: &SentReport, summary: &TestSummary<'_>) -> String {
    let aborts = |is_wanted: &dyn Fn(&SentFinding) -> bool| {
        let aborts = report.findings.iter().filter(|finding| finding.is_counted());
        let aborts: BTreeSet<&str> =
            aborts.filter(|finding| is_wanted(finding)).map(SentFinding::key).collect();
        aborts.len() as u64
    };
    let findings = report.findings.iter().filter(|finding| !finding.is_counted()).count() as u64;
    let (allowed, aborts) = (aborts(&|it| summary.allows(it)), aborts(&|it| !summary.allows(it)));
    let mut parts = Vec::new();
    if findings > 0 {
        parts.push(count(findings, "finding"));
    }
    if aborts > 0 {
        parts.push(count(aborts, "abort"));
    }
    match (parts.is_empty(), report.is_complete, allowed) {
        (false, ..) => format!("✗ {}", parts.join(", ")),
        (true, false, _) => "… incomplete".to_owned(),
        (true, true, 0) => "✓ clean".to_owned(),
        (true, true, allowed) => format!("✓ {allowed} allowed"),
    }
}
