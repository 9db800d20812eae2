//! How a command prints: results to standard output, errors to standard error, as text or as JSON.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::progress;
use crate::error::Error;
use crate::report::{self, Report, json};
use crate::scenario::Scenario;

/// The form of what a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Text,
    /// JSON: one object on each line.
    Json,
}

/// Writes to standard output. That a reader has closed it is no error.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    unwritable(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map_or(Ok(()), Err)
}

/// The mistake behind a failed write to standard output. That a reader has closed it is none.
pub(crate) fn unwritable(written: std::io::Result<()>) -> Option<Error> {
    let error = written.err().filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)?;
    Some(
        Error::new(format!("cannot write to standard output: {error}"))
            .help("send it to a file or a terminal that can be written to"),
    )
}

/// Prints a line of a command that makes no report: text, or the same as JSON.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn print_row(
    text: &str,
    json: &impl Serialize,
    command: &str,
    format: Format,
) -> Result<(), Error> {
    match json::row_line(command, json).filter(|_| format == Format::Json) {
        Some(line) => print(&(line + "\n")),
        None => print(text),
    }
}

/// Writes to standard error. Where that can't be written to, on a full disk say, nobody can be told.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints the caller's mistake that ends a command to standard error.
pub(crate) fn print_error(scenario: Option<&str>, error: &Error, format: Format) {
    match json::error_line(scenario, error).filter(|_| format == Format::Json) {
        Some(line) => say(&(line + "\n")),
        None => say(&format!("error: {error}\n")),
    }
}

/// Prints a report as one line of JSON: a result to standard output, an error to standard error.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn print_json(report: &Report, command: &str) -> Result<(), Error> {
    match (report.to_json(command), report.error()) {
        (Some(line), _) => print(&(line + "\n")),
        (None, Some(error)) => {
            print_error(Some(report.scenario()), error, Format::Json);
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// Prints the one report of a command.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn print_report(report: &Report, command: &str, format: Format) -> Result<(), Error> {
    match format {
        Format::Text if report.error().is_none() => print(&report.to_string()),
        Format::Text => {
            say(&report.details());
            Ok(())
        }
        Format::Json => print_json(report, command),
    }
}

/// Makes a report of each selected scenario, prints a table or lines of JSON, and returns the exit
/// code.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn table(
    command: &str,
    selected: &[&Scenario],
    format: Format,
    seed: u64,
    make: impl Fn(&Scenario, &progress::Bar) -> Report,
) -> Result<u8, Error> {
    let text = format == Format::Text;
    let unit = if command == "sweep" { "runs" } else { "schedules" };
    let name_width =
        selected.iter().map(|scenario| scenario.name.chars().count()).max().unwrap_or(0);
    if text {
        print(&format!("seed {seed}\n"))?;
    }
    let mut reports = Vec::new();
    for scenario in selected {
        let bar = progress::Bar::start(&scenario.name, unit, std::io::stderr().is_terminal());
        let report = make(scenario, &bar);
        bar.finish(&report);
        if text {
            print(&format!("{}\n", report.row_in_table(name_width)))?;
        } else {
            print_json(&report, command)?;
        }
        reports.push(report);
    }
    let (failed, done): (Vec<&Report>, Vec<&Report>) =
        reports.iter().partition(|report| report.error().is_some());
    let details: String = done.into_iter().map(Report::details).collect();
    let notes = report::notes(&reports);
    if text && !(details.is_empty() && notes.is_empty()) {
        print(&format!("\n{details}{notes}"))?;
    }
    if text {
        failed.into_iter().for_each(|report| say(&report.details()));
    }
    let codes: Vec<u8> = reports.iter().map(Report::exit_code).collect();
    // The caller's mistake outranks findings, and findings outrank an incomplete report.
    let worst = [2, 1, 3].into_iter().find(|code| codes.contains(code));
    Ok(worst.unwrap_or(0))
}
