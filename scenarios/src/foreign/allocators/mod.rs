//! Published allocators held to the contract of a port, as anybody would before buying one; and
//! our own arena beside them. The table in `ALLOCATORS.md` is printed by
//! `cargo run --release --features foreign --example allocators`.
//!
//! Each is run in child processes, so one that crashes is a line in the table. A promise that is
//! broken has been looked into: whose fault it is, is written down beside its sequence.

mod arenas;
mod general;
mod regions;
mod tables;

use std::fmt::Write as _;

use mallory::conformance::Conformance;
use mallory::{Port, Report};

use super::popular::version;

/// An allocator, how it is a port, and what it is known to break.
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
    /// What else there is to say of how it is run.
    pub how: &'static str,
    /// Runs it.
    pub run: fn(What) -> Told,
    /// What it breaks.
    pub known: &'static [Known],
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Drawn sequences.
    Drawn,
    /// This one.
    Sequence(&'static str),
}

/// What came of it.
#[derive(Debug)]
pub struct Told {
    /// What the port was held to.
    pub promises: usize,
    /// What was found.
    pub report: Report,
}

/// A broken promise, looked into.
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

/// Every one, in the order of the table.
#[must_use]
pub fn all() -> Vec<Allocator> {
    let kinds: [&[Allocator]; 4] = [&general::ALL, &tables::ALL, &regions::ALL, &arenas::ALL];
    kinds.concat()
}

/// Operations that each is held to.
const OPERATIONS: usize = 8192;

/// Draws sequences, or replays one.
fn held_to<P: Port>(suite: Conformance<'_, P>, what: What) -> Told {
    let suite = suite.operations(OPERATIONS);
    let promises = suite.promises().len();
    let report = match what {
        What::Drawn => suite.run(),
        What::Sequence(lines) => suite.replay(lines).run(),
    };
    Told { promises, report }
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
    /// The locked version; none of what comes with the toolchain.
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

    /// A row of the table. What this build found is said where it is not what is known.
    #[must_use]
    pub fn row(&self, told: &Told) -> String {
        let found = broken(&told.report);
        let result = |checked: bool| {
            let known = self.breaks(checked);
            match told.report.error() {
                Some(error) if checked == cfg!(debug_assertions) => error.to_string(),
                None if checked == cfg!(debug_assertions) && found != known => {
                    format!("unexpected: {found:?}")
                }
                _ if known.is_empty() => "keeps all".to_owned(),
                _ => format!("breaks: {}", known.join("; ")),
            }
        };
        let Allocator { package, name, kind, through, how, .. } = self;
        let (version, promises) = (self.version(), told.promises);
        let (release, checked) = (result(false), result(true));
        format!(
            "| {package} | {version} | `{name}` | {kind} | {through} | {how} | {OPERATIONS} | \
             {promises} | {release} | {checked} |"
        )
    }
}

/// Runs them all, and writes down what came of it: the table of `ALLOCATORS.md`, and what was
/// found behind each broken promise.
#[must_use]
pub fn table() -> String {
    let mut text = String::from(
        "| package | version | type | kind | through | run | operations | promises | release | \
         with checks |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for allocator in all() {
        let told = (allocator.run)(What::Drawn);
        let _ = writeln!(text, "{}", allocator.row(&told));
    }
    for Allocator { package, name, known, .. } in all() {
        for Known { shows, promise, sequence, reason } in known {
            let when = match shows {
                Shows::Always => "",
                Shows::Checked => " (with checks)",
                Shows::Unchecked => " (in release)",
            };
            let _ = writeln!(text, "\n**{package}, `{name}`: {promise}**{when}");
            let _ = writeln!(text, "```\n{sequence}\n```\n{reason}");
        }
    }
    text
}
