//! Memory bugs that were published, made again as small subjects from their descriptions: the sort of
//! mistake is the published one, the code around it is not. Each has a corrected twin, which differs
//! by the argument `wrong`.
//!
//! They are blocks of bytes on a heap, as C code has them, and none of them knows how it will be
//! found. `PUBLISHED.md` has the table of what is reported; `cargo run --release --example published`
//! prints it.

mod block;
mod bounds;
mod lifetimes;

use std::fmt::Write as _;

use mallory::{Heap, Kind, Report, Sweep};

use super::Oom;

/// What a subject returns: a number, so that bytes that it reads matter.
type Returned = Result<u64, Oom>;

/// A published bug.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Where it was published, and in what.
    pub source: &'static str,
    /// What is wrong.
    pub wrong: &'static str,
    /// What it has to be reported as.
    pub kind: Kind,
    /// The subject: with the bug, or corrected.
    run: fn(&Heap, bool) -> Returned,
}

impl Published {
    /// Sweeps the bug, or its corrected twin.
    #[must_use]
    pub fn sweep(&self, wrong: bool) -> Report {
        self.sweep_with(wrong, 1)
    }

    /// The same with this many processes at a time.
    #[must_use]
    pub fn sweep_with(&self, wrong: bool, jobs: usize) -> Report {
        let run = self.run;
        // The number names it.
        let name = self.source.split(',').next().unwrap_or(self.source).to_lowercase();
        // Some corrected ones refuse their input before they ask for memory.
        let sweep = Sweep::new(name).oom(|_: &Oom| true).jobs(jobs).allow_no_requests();
        sweep.run(move |heap| run(heap, wrong))
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Published> {
    [&bounds::ALL[..], &lifetimes::ALL[..]].concat()
}

/// The table of `PUBLISHED.md`.
#[must_use]
pub fn table() -> String {
    let mut table = String::from(
        "| published as | what is wrong | reported as | at | corrected |\n|---|---|---|---|---|\n",
    );
    for published in all() {
        let report = published.sweep(true);
        let kinds: Vec<String> = report.findings().iter().map(|f| f.kind().to_string()).collect();
        let found = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
        let is_clean = published.sweep(false).exit_code() == 0;
        let corrected = if is_clean { "clean" } else { "reported" };
        let Published { source, wrong, .. } = published;
        let place = place(&report);
        let _ = writeln!(table, "| {source} | {wrong} | {found} | {place} | {corrected} |");
    }
    table
}

/// The step that a report's first finding blames, in one word.
fn place(report: &Report) -> &'static str {
    let text = report.findings().first().map(ToString::to_string).unwrap_or_default();
    let has = |word: &str| text.lines().any(|line| line.contains(word));
    match () {
        () if has("  accessed ") => "the access",
        () if has("  second free ") => "both frees",
        () if has("  freed ") => "the free",
        () if has("  allocated ") => "the allocation",
        () => "no place",
    }
}
