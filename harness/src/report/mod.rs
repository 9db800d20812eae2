//! Reports and findings, as values, as text and as JSON. Nothing here runs a subject or reads a
//! file.
//!
//! Reports hold no addresses, process ids, times or absolute paths. So two reports of one program
//! are equal byte for byte, and can be reviewed as snapshots.
//!
//! - The [`Report`] is in this file, and its words for the whole in `verdict` and `outcome`.
//! - `finding` is one bug for the reader; `kind` lists what there is to find. `evidence` is what a
//!   single run gathers for it, and `call_site` the functions on the way to a request.
//! - `text` prints a finding, `json` a report as one line, and `format` has what both need:
//!   plurals, digit groups, differences of texts.
//! - `token` is the line that replays a run, and `rerun` the command in front of it.

pub(crate) mod call_site;
pub(crate) mod evidence;
pub(crate) mod finding;
pub(crate) mod format;
pub(crate) mod inventory;
#[cfg(feature = "json")]
pub(crate) mod json;
pub(crate) mod kind;
pub(crate) mod outcome;
pub(crate) mod rerun;
pub(crate) mod text;
pub(crate) mod token;
pub(crate) mod verdict;

use std::fmt;

use crate::error::Error;
use crate::printable;
pub use crate::report::finding::Finding;
use crate::report::format::{count, thousands};
use crate::report::inventory::Miscount;
#[cfg(feature = "json")]
use crate::report::json::{JsonCoverage, JsonFinding, JsonLine, JsonMetrics, JsonOutcomes};
pub use crate::report::kind::Kind;
pub use crate::report::outcome::Outcome;
use crate::report::outcome::Strategy;
pub use crate::report::token::Token;
pub(crate) use crate::report::verdict::Replayed;
pub use crate::report::verdict::{Coverage, Verdict};
#[cfg(feature = "json")]
use crate::trace::Fingerprint;

/// The result of a sweep, an exploration or a replay: findings, coverage, and how the faulted runs
/// ended; or the caller's mistake that prevented it.
///
/// Its `Display` is the text that people read and tests take snapshots of.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) coverage: Coverage,
    /// Whether the caller asked for the limit that left runs out.
    pub(crate) limit_asked: bool,
    /// Whether only some of the schedules or faulted runs were made, chosen at random.
    pub(crate) sampled: bool,
    /// Faulted runs by outcome.
    pub(crate) outcomes: [u64; Outcome::ALL.len()],
    pub(crate) findings: Vec<Finding>,
    /// What the C library does wrong by itself, in one call of a function of it.
    pub(crate) c_library: Vec<Finding>,
    /// Whether part of the subject is not watched, as the notes say.
    pub(crate) partial: bool,
    /// Whether the result of a whole program differs without any fault.
    pub(crate) differs: bool,
    /// Findings of first runs, until the report is completed.
    pub(crate) first_use: Vec<Finding>,
    /// Aborts that the caller allows, by call site.
    pub(crate) inventory: Vec<Finding>,
    /// What was counted for allowances that it doesn't fit.
    pub(crate) miscounts: Vec<Miscount>,
    pub(crate) notes: Vec<String>,
    pub(crate) peak: u64,
    pub(crate) metrics: Vec<(String, u64)>,
    pub(crate) fingerprint: u64,
    pub(crate) error: Option<Error>,
    pub(crate) replayed: Option<Replayed>,
    pub(crate) forked: bool,
    pub(crate) effort: u64,
}

impl Report {
    /// A report without any result yet.
    pub(crate) fn empty(scenario: &str, seed: u64) -> Report {
        Report {
            scenario: printable::line(scenario),
            seed,
            coverage: Coverage::default(),
            limit_asked: false,
            sampled: false,
            outcomes: [0; Outcome::ALL.len()],
            findings: Vec::new(),
            c_library: Vec::new(),
            partial: false,
            differs: false,
            first_use: Vec::new(),
            inventory: Vec::new(),
            miscounts: Vec::new(),
            notes: Vec::new(),
            peak: 0,
            metrics: Vec::new(),
            fingerprint: 0,
            error: None,
            replayed: None,
            forked: false,
            effort: 0,
        }
    }

    /// The report of a caller's mistake.
    pub(crate) fn failed(scenario: &str, seed: u64, error: Error) -> Report {
        Report { error: Some(error), ..Report::empty(scenario, seed) }
    }

    /// The name of what was swept or explored.
    #[must_use]
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// The seed of all random choices.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The result in one word. It has no meaning if there is an [`error`](Self::error).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() {
            Verdict::Findings
        } else if self.partial || self.differs {
            Verdict::Incomplete
        } else if self.sampled {
            Verdict::Sampled
        } else if self.is_cut() {
            Verdict::Incomplete
        } else {
            Verdict::Clean
        }
    }

    /// Whether something was left out that the caller didn't ask to leave out: by a default limit, or
    /// because it can't be watched.
    fn is_cut(&self) -> bool {
        self.partial || self.differs || !self.coverage.complete && !self.limit_asked
    }

    /// Whether the faulted runs were forked off one pass or made from the beginning. It is never
    /// printed, since it may depend on how fast the machine is, and nothing else depends on it.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        if self.forked { Strategy::Fork } else { Strategy::Rerun }
    }

    /// The requests that all faulted runs made together; a run that died counts up to its fault.
    /// This is the cost of a sweep without a clock. It is never printed, since it differs by
    /// [`strategy`](Self::strategy).
    #[must_use]
    pub fn effort(&self) -> u64 {
        self.effort
    }

    /// The findings, sorted by kind, call site and coordinate.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What [`allow_aborts`](crate::Sweep::allow_aborts) and [`allowed`](crate::Sweep::allowed) accept, one for each call
    /// site.
    #[must_use]
    pub fn allowed(&self) -> &[Finding] {
        &self.inventory
    }

    /// The caller's mistake, if there is no result because of one.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// How much of the subject was covered.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// How many faulted runs ended with this outcome.
    #[must_use]
    pub fn outcomes(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// The most bytes that were live in the fault-free run; 0 where real threads reach another peak each
    /// time.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.peak
    }

    /// What the system of a script measured of itself in the fault-free run
    /// ([`System::metrics`](crate::System::metrics)), in its order.
    #[must_use]
    pub fn metrics(&self) -> &[(String, u64)] {
        &self.metrics
    }

    /// The hash of the fault-free run's events.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The exit code of the command line: 0 clean, 1 findings, 2 the caller's mistake, 3
    /// incomplete.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        // A schedule that the subject can't follow belongs to another version of it.
        let diverged = matches!(self.replayed, Some(Replayed::Diverged(_)));
        if self.error.is_some() || diverged {
            return 2;
        }
        match self.verdict() {
            Verdict::Findings => 1,
            _ if self.is_cut() => 3,
            _ => 0,
        }
    }

    /// Prints the report if it is clean, with its notes on what could not be checked, and panics with
    /// it otherwise. A test runner shows what a passing test prints if it is told to.
    ///
    /// # Panics
    /// If there are findings, if a default limit left something out, if the caller made a mistake,
    /// and after a replay: a replay is never a passing test.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.exit_code() == 0 && self.replayed.is_none(), "{self}");
        print!("{self}");
    }

    /// Its line of the summary table.
    #[must_use]
    pub fn row(&self) -> String {
        self.row_in_table(0)
    }

    /// The same in a table whose longest name has `name_width` characters.
    pub(crate) fn row_in_table(&self, name_width: usize) -> String {
        let name = &self.scenario;
        let width = name_width.max(17);
        if self.error.is_some() {
            return format!("{name:<width$} ! error");
        }
        if let Some(replayed) = &self.replayed {
            return format!("{name:<width$} {replayed}");
        }
        let verdict = match self.verdict() {
            Verdict::Clean => "✓ clean".to_owned(),
            Verdict::Sampled if self.is_cut() => "… sampled".to_owned(),
            Verdict::Sampled => "✓ sampled".to_owned(),
            Verdict::Incomplete => "… incomplete".to_owned(),
            Verdict::Findings => format!("✗ {}", count(self.findings.len() as u64, "finding")),
        };
        let Coverage { requests, sites, schedules, runs, runs_total, complete, .. } = self.coverage;
        if requests == 0 && runs_total == 0 && !complete {
            // It died before its requests were counted.
            return format!("{name:<width$} {verdict:<12} {:>16}", "not swept");
        }
        let requests = count(requests, "request");
        let sites = count(sites, "site");
        let of = if complete || runs == runs_total {
            String::new()
        } else {
            format!(" of {}", thousands(runs_total))
        };
        let runs = count(runs, "run");
        let schedules = match schedules {
            0 => String::new(),
            schedules => format!("  {:>15}", count(schedules, "schedule")),
        };
        format!(
            "{name:<width$} {verdict:<12} {requests:>16}  {sites:>9}{schedules}  {runs:>12}{of}"
        )
        .trim_end()
        .to_owned()
    }

    /// The text without the summary line and the notes: findings and allowed aborts, or the error.
    #[must_use]
    pub fn details(&self) -> String {
        match &self.error {
            Some(error) => format!("error: {}: {error}\n", self.scenario),
            None => {
                let are_counted = self.miscounts.iter().any(|miscount| miscount.has_all_aborts);
                let miscounts = self.miscounts.iter().map(Miscount::to_string);
                inventory::findings(&self.findings, are_counted)
                    + &miscounts.collect::<String>()
                    + &inventory::allowed(&self.inventory)
                    + &inventory::c_library(&self.c_library)
            }
        }
    }

    /// One line of JSON, without a line break. `None` if there is an error instead of a result.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn to_json(&self, command: &str) -> Option<String> {
        if self.error.is_some() {
            return None;
        }
        let line = JsonLine {
            schema: 1,
            command,
            scenario: &self.scenario,
            seed: self.seed,
            verdict: self.verdict().name(),
            replayed: self.replayed.map(|replayed| replayed.to_string()),
            coverage: JsonCoverage::of(&self.coverage),
            outcomes: JsonOutcomes::of(&self.outcomes),
            findings: self.findings.iter().map(JsonFinding::of).collect(),
            allowed: self.inventory.iter().map(JsonFinding::of).collect(),
            c_library: self.c_library.iter().map(JsonFinding::of).collect(),
            peak_bytes: self.peak,
            metrics: JsonMetrics(&self.metrics),
            fingerprint: Fingerprint(self.fingerprint).to_string(),
        };
        line.to_text()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.row())?;
        let (details, notes) = (self.details(), notes([self]));
        if details.is_empty() && notes.is_empty() {
            Ok(())
        } else {
            write!(f, "\n{details}{notes}")
        }
    }
}

/// The notes of all reports, each once, with the scenarios that have it.
pub(crate) fn notes<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    let mut by_note: Vec<(&str, Vec<&str>)> = Vec::new();
    for report in reports {
        for note in &report.notes {
            match by_note.iter_mut().find(|(known, _)| known == note) {
                Some((_, names)) => names.push(&report.scenario),
                None => by_note.push((note, vec![&report.scenario])),
            }
        }
    }
    let line = |(note, names): (&str, Vec<&str>)| match names.as_slice() {
        [name] => format!("note: {name}: {}\n", printable::sentence(note)),
        [name, others @ ..] => {
            let others = count(others.len() as u64, "other");
            format!("note: {name} and {others}: {}\n", printable::sentence(note))
        }
        [] => String::new(),
    };
    by_note.into_iter().map(line).collect()
}
