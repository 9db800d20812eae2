//! Findings to text and JSON. Pure: nothing here runs, reads or decides anything.
//!
//! Reports hold no addresses, process numbers, times or paths of the machine, so two reports of
//! one program are equal to the byte and can be reviewed as snapshots.

pub(crate) mod call_site;
pub(crate) mod evidence;
pub(crate) mod finding;
pub(crate) mod format;
#[cfg(feature = "json")]
pub(crate) mod json;
pub(crate) mod kind;
pub(crate) mod outcome;
pub(crate) mod rerun;
pub(crate) mod token;
pub(crate) mod verdict;

use std::fmt;

use crate::error::Error;
use crate::report::call_site::Site;
pub use crate::report::finding::Finding;
use crate::report::finding::ScheduleAt;
use crate::report::format::{count, thousands};
pub use crate::report::kind::Kind;
pub use crate::report::outcome::Outcome;
use crate::report::outcome::Strategy;
pub use crate::report::token::Token;
pub(crate) use crate::report::verdict::Replayed;
pub use crate::report::verdict::{Coverage, Verdict};
use crate::schedule::ScheduledOp;
#[cfg(feature = "json")]
use crate::trace::Fingerprint;

/// Frames of a call site that are printed.
const FRAMES_MAX: usize = 8;

/// Writes a call site below a label, the innermost frame on the label's line.
fn write_site(f: &mut fmt::Formatter<'_>, label: &str, site: &Site) -> fmt::Result {
    if site.frames.is_empty() {
        return writeln!(f, "  {label}(site unavailable)");
    }
    let shown = &site.frames[..site.frames.len().min(FRAMES_MAX)];
    let names: Vec<String> =
        shown.iter().map(crate::report::call_site::Frame::short_name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let indent = label.chars().count().saturating_sub(2);
    for (nth, (name, frame)) in names.iter().zip(shown).enumerate() {
        if nth == 0 {
            write!(f, "  {label}{name}")?;
        } else {
            write!(f, "  {:indent$}← {name}", "")?;
        }
        if frame.place.is_empty() {
            writeln!(f)?;
        } else {
            let pad = width - name.chars().count();
            writeln!(f, "{:pad$}  {}", "", frame.place)?;
        }
    }
    let left = site.frames.len() - shown.len();
    if left > 0 {
        writeln!(f, "  {:indent$}… and {left} more", "")?;
    }
    Ok(())
}

/// Writes the two operations whose order matters.
fn write_pair(f: &mut fmt::Formatter<'_>, schedule: &ScheduleAt) -> fmt::Result {
    let label = |act: &ScheduledOp| format!("T{} {}", act.thread, act.what);
    let labels: Vec<String> = schedule.pair.iter().map(|(act, _)| label(act)).collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    for (nth, (label, (_, site))) in labels.iter().zip(&schedule.pair).enumerate() {
        let when = if nth == 0 { "first" } else { "then " };
        write_site(f, &format!("{when} {label:<width$}  "), site)?;
    }
    Ok(())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}  {}", self.kind, self.id, self.scenario)?;
        if let Some(block) = &self.block {
            writeln!(f, "  {}", self.block_line(block))?;
        }
        let name = self.block.as_ref().map(|block| format!("a{}  ", block.number));
        let width = self.steps.iter().map(|step| step.label.len()).max().unwrap_or(0);
        for step in &self.steps {
            let name = name.as_deref().unwrap_or("");
            write_site(f, &format!("{name}{:<width$}  ", step.label), &step.site)?;
        }
        for line in self.notes.iter().flat_map(|note| note.lines()) {
            writeln!(f, "  {line}")?;
        }
        if let Some(fault) = &self.fault {
            write_site(f, &format!("{} in ", fault.line(self.kind)), &fault.site)?;
        }
        let schedules = match &self.schedule {
            None => String::new(),
            Some(schedule) => {
                writeln!(f, "  {}", schedule.line())?;
                write_pair(f, schedule)?;
                for note in &schedule.notes {
                    writeln!(f, "  {note}")?;
                }
                // A replay runs one, and that says nothing.
                let of = count(schedule.of, "schedule");
                let is_one = schedule.of <= 1;
                if is_one {
                    String::new()
                } else {
                    format!(" in {} of {of}", thousands(schedule.seen))
                }
            }
        };
        if self.fault.is_some() {
            let seen = count(self.of, "request");
            let also = if schedules.is_empty() { "" } else { "," };
            let at = format!("{also} at {} of {seen}", thousands(self.count));
            writeln!(f, "  seen{schedules}{at}; never without a fault")?;
        } else {
            writeln!(f, "  seen{schedules} without any fault")?;
        }
        writeln!(f, "  replay  {}", self.rerun.line(&self.token))
    }
}

/// Frames of a call site that an inventory's line shows.
const FRAMES_IN_LINE: usize = 3;

/// An allowed finding in one line: there may be hundreds.
fn inventory_line(finding: &Finding) -> String {
    let Some(fault) = &finding.fault else { return String::new() };
    let frames = &fault.site.frames;
    let names = frames.iter().take(FRAMES_IN_LINE).map(crate::report::call_site::Frame::short_name);
    let mut names: Vec<String> = names.collect();
    match frames.len().saturating_sub(FRAMES_IN_LINE) {
        _ if names.is_empty() => names.push("(site unavailable)".to_owned()),
        0 => {}
        left => names.push(format!("{left} more")),
    }
    let place = frames.first().map_or("", |frame| &frame.place);
    let gap = if place.is_empty() { "" } else { "  " };
    let (id, at, times) = (&finding.id, fault.at.to_string(), format!("{}×", finding.count));
    format!("  {id}  {at:<8} {times:>6}  {}{gap}{place}\n", names.join(" ← "))
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) coverage: Coverage,
    /// Whether what is left out was asked to be.
    pub(crate) limit_asked: bool,
    pub(crate) sampled: bool,
    pub(crate) outcomes: [u64; Outcome::ALL.len()],
    pub(crate) findings: Vec<Finding>,
    /// Abort sites that are allowed.
    pub(crate) inventory: Vec<Finding>,
    pub(crate) notes: Vec<String>,
    pub(crate) peak: u64,
    pub(crate) fingerprint: u64,
    pub(crate) error: Option<Error>,
    pub(crate) replayed: Option<Replayed>,
    pub(crate) forked: bool,
    pub(crate) effort: u64,
}

impl Report {
    pub(crate) fn empty(scenario: &str, seed: u64) -> Report {
        Report {
            scenario: scenario.to_owned(),
            seed,
            coverage: Coverage::default(),
            limit_asked: false,
            sampled: false,
            outcomes: [0; Outcome::ALL.len()],
            findings: Vec::new(),
            inventory: Vec::new(),
            notes: Vec::new(),
            peak: 0,
            fingerprint: 0,
            error: None,
            replayed: None,
            forked: false,
            effort: 0,
        }
    }

    pub(crate) fn failed(scenario: &str, seed: u64, error: Error) -> Report {
        Report { error: Some(error), ..Report::empty(scenario, seed) }
    }

    /// The name of what was explored.
    #[must_use]
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// The seed that all chance came from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What it says in one word. Meaningless where there is an [`error`](Self::error).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() {
            Verdict::Findings
        } else if self.sampled {
            Verdict::Sampled
        } else if self.is_cut() {
            Verdict::Incomplete
        } else {
            Verdict::Clean
        }
    }

    /// Whether something was left out that nobody asked to leave out.
    fn is_cut(&self) -> bool {
        !self.coverage.complete && !self.limit_asked
    }

    /// Whether points were forked off one pass or run from the beginning, which is never printed:
    /// it may hang on how fast the machine is, and nothing else hangs on it.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        if self.forked { Strategy::Fork } else { Strategy::Rerun }
    }

    /// Requests that all faulted runs made together, those of a run that died up to its fault: what
    /// a sweep costs, clocks apart. Never printed, since it differs by [`strategy`](Self::strategy).
    #[must_use]
    pub fn effort(&self) -> u64 {
        self.effort
    }

    /// The findings, by kind, site and ordinal.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The call sites at which a failed request may abort, since
    /// [`allow_aborts`](crate::Sweep::allow_aborts) says so.
    #[must_use]
    pub fn allowed(&self) -> &[Finding] {
        &self.inventory
    }

    /// The caller's mistake that kept the exploration from being made.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// How much was looked at.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// How many faulted runs ended so.
    #[must_use]
    pub fn outcomes(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// The most bytes that were live in the fault-free run.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.peak
    }

    /// The hash of the fault-free run's events.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The command line's exit code for it: 0 clean, 1 findings, 2 the caller's mistake,
    /// 3 incomplete.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        // A schedule that the subject can't follow is another program's.
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

    /// Panics with the report unless it is clean.
    ///
    /// # Panics
    /// Where there are findings, where something was left out that nobody asked to leave out,
    /// where the caller made a mistake, and after a replay: a replay is never a passing test.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.exit_code() == 0 && self.replayed.is_none(), "{self}");
    }

    /// The line of the summary table.
    #[must_use]
    pub fn row(&self) -> String {
        self.row_below(0)
    }

    /// The same in a table whose longest name has so many characters.
    pub(crate) fn row_below(&self, longest: usize) -> String {
        let name = &self.scenario;
        let width = longest.max(17);
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
        let Coverage { requests, sites, schedules, runs, runs_total, complete } = self.coverage;
        let requests = count(requests, "request");
        let sites = count(sites, "site");
        let of = if complete { String::new() } else { format!(" of {}", thousands(runs_total)) };
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

    /// All but the summary line and the notes: findings, what is allowed, or the error.
    #[must_use]
    pub fn details(&self) -> String {
        let mut out = String::new();
        if let Some(error) = &self.error {
            return format!("error: {}: {error}\n", self.scenario);
        }
        for finding in &self.findings {
            out.push_str(&format!("{finding}\n"));
        }
        if !self.inventory.is_empty() {
            let sites = count(self.inventory.len() as u64, "call site");
            out.push_str(&format!(
                "allowed: failures abort at {sites} (the first, how many, where)\n"
            ));
            self.inventory.iter().for_each(|finding| out.push_str(&inventory_line(finding)));
            out.push('\n');
        }
        out
    }

    #[cfg(feature = "json")]
    pub(crate) fn hash_text(&self) -> String {
        Fingerprint(self.fingerprint).to_string()
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

/// The notes of all reports, each once, with the scenarios that it is about.
pub(crate) fn notes<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    let mut about: Vec<(&str, Vec<&str>)> = Vec::new();
    for report in reports {
        for note in &report.notes {
            match about.iter_mut().find(|(known, _)| known == note) {
                Some((_, names)) => names.push(&report.scenario),
                None => about.push((note, vec![&report.scenario])),
            }
        }
    }
    let line = |(note, names): (&str, Vec<&str>)| match names.as_slice() {
        [name] => format!("note: {name}: {note}\n"),
        [name, others @ ..] => {
            format!("note: {name} and {}: {note}\n", count(others.len() as u64, "other"))
        }
        [] => String::new(),
    };
    about.into_iter().map(line).collect()
}
