//! An allocator, how it is run, and what it is known to break.

use mallory::conformance::Conformance;
use mallory::{Port, Report};

use crate::foreign::version::version;

/// An allocator, the adapter that makes it a port, and what it is known to break.
#[derive(Clone, Copy, Debug)]
pub struct Allocator {
    /// The package, as it is named in `Cargo.toml`; `std`, or this crate.
    pub package: &'static str,
    /// The type in it.
    pub name: &'static str,
    /// What sort of allocator it is.
    pub kind: &'static str,
    /// The adapter that makes it a port.
    pub through: &'static str,
    /// How it is run.
    pub how: &'static str,
    /// Runs it.
    pub run: fn(Trial) -> TrialReport,
    /// The promises that it is known to break.
    pub known: &'static [Known],
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub enum Trial {
    /// Generated sequences.
    Generated,
    /// One given sequence.
    Sequence(&'static str),
}

/// The result of a run.
#[derive(Debug)]
pub struct TrialReport {
    /// How many promises the port was checked against.
    pub promises: usize,
    /// The findings.
    pub report: Report,
}

/// A broken promise, with its cause.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// In which builds it shows.
    pub shows: Shows,
    /// The promise, in the finding's words.
    pub promise: &'static str,
    /// The smallest sequence that shows it.
    pub sequence: &'static str,
    /// Whose fault it is, and why.
    pub reason: &'static str,
}

/// In which builds something shows: those of the development profile check arithmetic and what
/// unsafe functions of std are given, those of the release profile don't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// In all.
    Always,
    /// In those that check.
    Checked,
    /// In those that don't.
    Unchecked,
}

impl Shows {
    /// Whether it shows in the development profile, or in the release profile.
    fn is_in(self, checked: bool) -> bool {
        self == Shows::Always || checked == (self == Shows::Checked)
    }
}

/// How many operations each allocator runs.
const OPERATIONS: usize = 8192;

/// Generates and runs sequences, or replays one.
pub(super) fn run_trial<P: Port>(suite: Conformance<'_, P>, what: Trial) -> TrialReport {
    let suite = suite.operations(OPERATIONS);
    let promises = suite.promises().len();
    let report = match what {
        Trial::Generated => suite.run(),
        Trial::Sequence(lines) => suite.replay(lines).run(),
    };
    TrialReport { promises, report }
}

/// The promises that a report says are broken, each once.
#[must_use]
pub fn broken(report: &Report) -> Vec<String> {
    let texts = report.findings().iter().map(ToString::to_string);
    let promise = |text: String| {
        text.lines().find_map(|line| line.strip_prefix("  broken: ").map(str::to_owned))
    };
    let mut promises: Vec<String> = texts.filter_map(promise).collect();
    promises.sort();
    promises.dedup();
    promises
}

impl Allocator {
    /// The locked version; a dash for what comes with the toolchain.
    #[must_use]
    pub fn version(&self) -> &'static str {
        version(self.package).unwrap_or("–")
    }

    fn known(&self, checked: bool) -> impl Iterator<Item = &'static Known> {
        self.known.iter().filter(move |known| known.shows.is_in(checked))
    }

    /// What it is known to break in builds like this one.
    pub fn known_here(&self) -> impl Iterator<Item = &'static Known> {
        self.known(cfg!(debug_assertions))
    }

    /// The promises that it is known to break in builds that check, or in others; sorted.
    fn breaks(&self, checked: bool) -> Vec<&'static str> {
        let mut promises: Vec<_> = self.known(checked).map(|known| known.promise).collect();
        promises.sort_unstable();
        promises
    }

    /// A row of the table. A result of this build that is not the known one is marked.
    #[must_use]
    pub fn row(&self, trial: &TrialReport) -> String {
        let found = broken(&trial.report);
        let result = |checked: bool| {
            let known = self.breaks(checked);
            match trial.report.error() {
                Some(error) if checked == cfg!(debug_assertions) => error.to_string(),
                None if checked == cfg!(debug_assertions) && found != known => {
                    format!("unexpected: {found:?}")
                }
                _ if known.is_empty() => "keeps all".to_owned(),
                _ => format!("breaks: {}", known.join("; ")),
            }
        };
        let Allocator { package, name, kind, through, how, .. } = self;
        let (version, promises) = (self.version(), trial.promises);
        let (release, checked) = (result(false), result(true));
        format!(
            "| {package} | {version} | `{name}` | {kind} | {through} | {how} | {OPERATIONS} | \
             {promises} | {release} | {checked} |"
        )
    }
}
