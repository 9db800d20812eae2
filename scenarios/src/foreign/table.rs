//! The table of `FOREIGN.md`.

use std::alloc::GlobalAlloc;
use std::fmt::Write as _;

use mallory::{GlobalHeap, Report, Sweep};

use super::popular;
use super::subject::ForeignSubject;
use super::version::version;
use crate::foreign;

/// Sweeps every crate and prints the table of `FOREIGN.md`.
#[must_use]
pub fn table<A: GlobalAlloc + Sync>(heap: &'static GlobalHeap<A>) -> String {
    let mut table = String::from(
        "| crate | version | what it does | requests | sites | abort sites | findings |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for subject in foreign::SUBJECTS.iter().chain(&popular::SUBJECTS) {
        let report = subject.sweep(Sweep::new(subject.name()), heap);
        let _ = writeln!(table, "{}", row(subject, &report));
    }
    table
}

fn row(subject: &ForeignSubject, report: &Report) -> String {
    let ForeignSubject { package, does, .. } = subject;
    let version = version(package).unwrap_or("unknown");
    let (coverage, aborts) = (report.coverage(), report.allowed().len());
    let found = match (report.error(), report.findings()) {
        (Some(error), _) => error.to_string(),
        (None, []) => "none".to_owned(),
        (None, findings) => findings.iter().map(|f| f.kind().name()).collect::<Vec<_>>().join(", "),
    };
    let (requests, sites) = (coverage.requests, coverage.sites);
    format!("| {package} | {version} | {does} | {requests} | {sites} | {aborts} | {found} |")
}
