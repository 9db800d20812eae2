//! How a command prints its results: text or JSON, to standard output.

use crate::cli::progress;
use crate::error::Error;
use crate::report;
use crate::report::Report;
use crate::scenario::Scenario;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::io::Write;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Writes to standard output. A reader that has gone is no error of ours.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn print_json(report: &Report, command: &str) -> Result<(), Error> {
    match report.to_json(command) {
        Some(line) => print(&(line + "\n")),
        None => {
            eprint!("{}", report.details());
            Ok(())
        }
    }
}

/// Makes the reports of these, prints them, and answers the exit code.
pub(crate) fn table(
    command: &str,
    selected: &[&Scenario],
    format: Format,
    seed: u64,
    make: impl Fn(&Scenario, &progress::Bar) -> Report,
) -> Result<u8, Error> {
    let text = format == Format::Text;
    let what = if command == "sweep" { "runs" } else { "schedules" };
    let longest = selected.iter().map(|scenario| scenario.name.chars().count()).max().unwrap_or(0);
    if text {
        print(&format!("seed {seed}\n"))?;
    }
    let mut reports = Vec::new();
    for scenario in selected {
        let bar = progress::Bar::start(&scenario.name, what, std::io::stderr().is_terminal());
        let report = make(scenario, &bar);
        bar.finish(&report);
        if text {
            print(&format!("{}\n", report.row_below(longest)))?;
        } else {
            print_json(&report, command)?;
        }
        reports.push(report);
    }
    let details: String = reports.iter().map(Report::details).collect();
    let notes = report::notes(&reports);
    if text && !(details.is_empty() && notes.is_empty()) {
        print(&format!("\n{details}{notes}"))?;
    }
    let codes: Vec<u8> = reports.iter().map(Report::exit_code).collect();
    // The caller's mistake beats findings, and findings beat what was left undone.
    let worst = [2, 1, 3].into_iter().find(|code| codes.contains(code));
    Ok(worst.unwrap_or(0))
}
