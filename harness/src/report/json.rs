//! Reports as JSON: one object a line, the schema of the documentation, nothing of the machine.

use serde::Serialize;

use crate::report::Report;
use crate::report::outcome::Outcome;

#[derive(Serialize)]
struct JsonLine<'a> {
    schema: u32,
    command: &'a str,
    scenario: &'a str,
    seed: u64,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<String>,
    coverage: JsonCoverage,
    outcomes: JsonOutcomes,
    findings: Vec<JsonFinding<'a>>,
    /// Sites whose aborts are allowed; left out where none are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<JsonFinding<'a>>,
    peak_bytes: u64,
    fingerprint: String,
}

#[derive(Serialize)]
struct JsonCoverage {
    requests: u64,
    sites: u64,
    #[serde(skip_serializing_if = "is_zero")]
    schedules: u64,
    runs: u64,
    complete: bool,
}

#[derive(Serialize)]
struct JsonOutcomes {
    propagated: u64,
    absorbed: u64,
    silent_wrong: u64,
    wrong_error: u64,
    panicked: u64,
    aborted: u64,
    crashed: u64,
    exited: u64,
    hung: u64,
    unreached: u64,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    id: &'a str,
    kind: &'a str,
    summary: String,
    count: u64,
    replay: String,
}

impl JsonFinding<'_> {
    fn of(finding: &crate::report::finding::Finding) -> JsonFinding<'_> {
        JsonFinding {
            id: finding.id(),
            kind: finding.kind().name(),
            summary: finding.summary(),
            count: finding.count(),
            replay: finding.token().to_string(),
        }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Report {
    /// One line of JSON, without its end. `None` where there is an error instead of a result.
    #[must_use]
    pub fn to_json(&self, command: &str) -> Option<String> {
        if self.error.is_some() {
            return None;
        }
        let of = |outcome| self.outcomes(outcome);
        let line = JsonLine {
            schema: 1,
            command,
            scenario: &self.scenario,
            seed: self.seed,
            verdict: self.verdict().name(),
            replayed: self.replayed.map(|replayed| replayed.to_string()),
            coverage: JsonCoverage {
                requests: self.coverage.requests,
                sites: self.coverage.sites,
                schedules: self.coverage.schedules,
                runs: self.coverage.runs,
                complete: self.coverage.complete,
            },
            outcomes: JsonOutcomes {
                propagated: of(Outcome::Propagated),
                absorbed: of(Outcome::Absorbed),
                silent_wrong: of(Outcome::SilentWrong),
                wrong_error: of(Outcome::WrongError),
                panicked: of(Outcome::Panicked),
                aborted: of(Outcome::Aborted),
                crashed: of(Outcome::Crashed),
                exited: of(Outcome::Exited),
                hung: of(Outcome::Hung),
                unreached: of(Outcome::Unreached),
            },
            findings: self.findings.iter().map(JsonFinding::of).collect(),
            allowed: self.inventory.iter().map(JsonFinding::of).collect(),
            peak_bytes: self.peak,
            fingerprint: self.hash_text(),
        };
        serde_json::to_string(&line).ok()
    }
}
