//! The schema of a report as JSON: one object on one line. Like the text, it holds nothing that
//! differs between machines.

use serde::{Serialize, Serializer};

#[cfg(feature = "cli")]
use crate::error::Error;
use crate::report::finding::Finding;
use crate::report::outcome::Outcome;
use crate::report::verdict::Coverage;

/// A report.
#[derive(Serialize)]
pub(crate) struct JsonLine<'a> {
    pub(crate) schema: u32,
    pub(crate) command: &'a str,
    pub(crate) scenario: &'a str,
    pub(crate) seed: u64,
    pub(crate) verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replayed: Option<String>,
    pub(crate) coverage: JsonCoverage,
    pub(crate) outcomes: JsonOutcomes,
    pub(crate) findings: Vec<JsonFinding<'a>>,
    /// Allowed aborts, by call site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed: Vec<JsonFinding<'a>>,
    /// What the C library does wrong by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) c_library: Vec<JsonFinding<'a>>,
    /// Left out where real threads reach another peak each time.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) peak_bytes: u64,
    #[serde(skip_serializing_if = "JsonMetrics::is_empty")]
    pub(crate) metrics: JsonMetrics<'a>,
    pub(crate) fingerprint: String,
}

/// What a system measured of itself: an object, in the system's order.
pub(crate) struct JsonMetrics<'a>(pub(crate) &'a [(String, u64)]);

impl JsonMetrics<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for JsonMetrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// How much was covered.
#[derive(Serialize)]
pub(crate) struct JsonCoverage {
    requests: u64,
    #[serde(skip_serializing_if = "is_zero")]
    first_use: u64,
    sites: u64,
    #[serde(skip_serializing_if = "is_zero")]
    schedules: u64,
    runs: u64,
    complete: bool,
}

/// Faulted runs by outcome.
#[derive(Serialize)]
pub(crate) struct JsonOutcomes {
    propagated: u64,
    absorbed: u64,
    silent_wrong: u64,
    #[serde(skip_serializing_if = "is_zero")]
    degraded: u64,
    wrong_error: u64,
    panicked: u64,
    aborted: u64,
    crashed: u64,
    exited: u64,
    hung: u64,
    unreached: u64,
}

/// A finding.
#[derive(Serialize)]
pub(crate) struct JsonFinding<'a> {
    id: &'a str,
    kind: &'a str,
    summary: String,
    count: u64,
    replay: String,
}

impl JsonFinding<'_> {
    pub(crate) fn of(finding: &Finding) -> JsonFinding<'_> {
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

impl JsonLine<'_> {
    pub(crate) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

impl JsonCoverage {
    pub(crate) fn of(coverage: &Coverage) -> JsonCoverage {
        let Coverage { requests, first_use, sites, schedules, runs, complete, .. } = *coverage;
        JsonCoverage { requests, first_use, sites, schedules, runs, complete }
    }
}

impl JsonOutcomes {
    pub(crate) fn of(counts: &[u64; Outcome::ALL.len()]) -> JsonOutcomes {
        let of = |outcome: Outcome| counts[outcome as usize];
        JsonOutcomes {
            propagated: of(Outcome::Propagated),
            absorbed: of(Outcome::Absorbed),
            silent_wrong: of(Outcome::SilentWrong),
            degraded: of(Outcome::Degraded),
            wrong_error: of(Outcome::WrongError),
            panicked: of(Outcome::Panicked),
            aborted: of(Outcome::Aborted),
            crashed: of(Outcome::Crashed),
            exited: of(Outcome::Exited),
            hung: of(Outcome::Hung),
            unreached: of(Outcome::Unreached),
        }
    }
}

/// A line of a command that makes no report.
#[cfg(feature = "cli")]
#[derive(Serialize)]
struct JsonRow<'a, R> {
    schema: u32,
    command: &'a str,
    #[serde(flatten)]
    row: &'a R,
}

/// A line of a command that makes no report, without a line break.
#[cfg(feature = "cli")]
pub(crate) fn row_line(command: &str, row: &impl Serialize) -> Option<String> {
    serde_json::to_string(&JsonRow { schema: 1, command, row }).ok()
}

/// A caller's mistake.
#[cfg(feature = "cli")]
#[derive(Serialize)]
struct JsonError<'a> {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<&'a str>,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
    /// What was counted, a line for each call site.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    counted: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

/// A caller's mistake as one line of JSON, without a line break.
#[cfg(feature = "cli")]
pub(crate) fn error_line(scenario: Option<&str>, error: &Error) -> Option<String> {
    let counted = error.rows();
    let (error, place, help) = error.parts();
    // The place of an error in a token also shows the token, for people.
    let place = place.and_then(|place| place.lines().next());
    serde_json::to_string(&JsonError { schema: 1, scenario, error, place, counted, help }).ok()
}
