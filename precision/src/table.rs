//! The table of README.md.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use mallory::{Finding, GlobalHeap, Kind, Outcome, Report, Sweep};

use crate::subject::Subject;
use crate::subjects;
use crate::version::version;

/// Sweeps every subject and prints a line for each. On standard error it says how long that took.
pub(crate) fn table(heap: &'static GlobalHeap) -> String {
    let mut table = String::from(
        "| crate | version | what it does | requests | runs | propagated | absorbed | aborted \
         | abort sites | findings |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for subject in subjects::all() {
        let start = std::time::Instant::now();
        let report = subject.sweep(Sweep::new(subject.name()), heap);
        eprintln!("{:6.1} s  {}", start.elapsed().as_secs_f64(), subject.name());
        let _ = writeln!(table, "{}", row(&subject, &report));
    }
    table
}

/// Whether a finding is that a failed request aborts, as std does for code that can't return an
/// error. If two threads abort at once, the second may end the process before the first has
/// written its backtrace, so that the report can't say why.
fn is_expected(subject: &Subject, finding: &Finding) -> bool {
    let is_std = || subject.has_threads || finding.to_string().contains("(handle_alloc_error)");
    finding.kind() == Kind::Abort && finding.fault().is_some() && is_std()
}

fn row(subject: &Subject, report: &Report) -> String {
    let Subject { package, does, dependent, .. } = subject;
    let version = version(dependent, package).unwrap_or("unknown");
    let (aborts, findings): (Vec<&Finding>, Vec<&Finding>) =
        report.findings().iter().partition(|finding| is_expected(subject, finding));
    let found = match (report.error(), findings.as_slice()) {
        (Some(error), _) => error.to_string(),
        (None, []) => "none".to_owned(),
        (None, found) => {
            let kinds: BTreeSet<&str> = found.iter().map(|finding| finding.kind().name()).collect();
            let count = |kind| found.iter().filter(|finding| finding.kind().name() == kind).count();
            kinds
                .into_iter()
                .map(|kind| format!("{} × {kind}", count(kind)))
                .collect::<Vec<_>>()
                .join(", ")
        }
    };
    let head = format!("| {package} | {version} | {does}");
    if subject.has_threads {
        return format!("{head} | varies | varies | varies | varies | varies | varies | {found} |");
    }
    let coverage = report.coverage();
    let [propagated, absorbed, aborted] =
        [Outcome::Propagated, Outcome::Absorbed, Outcome::Aborted].map(|o| report.outcomes(o));
    let (requests, runs, aborts) = (coverage.requests, coverage.runs, aborts.len());
    format!(
        "{head} | {requests} | {runs} | {propagated} | {absorbed} | {aborted} | {aborts} | {found} |"
    )
}
