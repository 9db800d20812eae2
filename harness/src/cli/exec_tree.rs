//! `mallory exec --trace-children`: the reports of all programs that a command starts.

use std::ffi::OsString;
use std::io::IsTerminal;

use serde::Serialize;

use crate::cli::command_words::{EACH, line, name_of, quoted};
use crate::cli::output::{Format, print};
use crate::cli::progress::Bar;
use crate::error::Error;
use crate::exec::inspect::Inspected;
use crate::exec::order::Order;
use crate::exec::tree::{Tree, TreeProgram, TreeSweep};
use crate::report::format::count;
use crate::report::json::row_line;
use crate::report::token::Token;
use crate::sweep::settings::Progress;

/// A program of the tree as a line of JSON.
#[derive(Serialize)]
struct TreeRow<'a> {
    program: &'a str,
    words: &'a [String],
    started_by: &'a str,
    processes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<serde_json::Value>,
}

/// Sweeps the program and all that it starts.
///
/// # Errors
/// The program can't be started, or is not the one of the token.
pub(crate) fn exec_tree(
    words: &[OsString],
    inspected: &Inspected,
    order: &Order,
    library: &[u8],
    format: Format,
) -> Result<u8, Error> {
    let token = order.replay.as_deref().map(str::parse::<Token>).transpose()?;
    let bar = Bar::start(&order.name, "runs", std::io::stderr().is_terminal());
    let draw = bar.on_progress();
    let tree = TreeSweep {
        start: &inspected.start,
        unwatched: &inspected.unwatched,
        library,
        order,
        replayed: token.as_ref().map(|token| token.scenario.as_str()),
        name_of: &|program| name_of(program.as_ref()),
        on_progress: &|done, total| draw(Progress { done, total }),
    }
    .run()?;
    let runs = tree.programs.iter().filter_map(|program| program.report.as_ref());
    bar.finish_after(runs.map(|report| report.runs).sum(), EACH);
    let swept = || tree.programs.iter().filter(|program| program.report.is_some());
    if let Some(token) = &token
        && swept().next().is_none()
    {
        return Err(Error::new(format!("no program of the tree is `{}`", token.scenario))
            .at("--replay")
            .help("its name depends on its words and on who starts it: is the command the same?"));
    }
    match format {
        Format::Json => print(&json(&tree))?,
        Format::Text => print(&text(words, &tree, token.is_some()))?,
    }
    Ok(exit_code(&tree))
}

/// The exit code of all reports: 1 if one has a finding, 3 if one is not complete or could not be made,
/// else 0.
fn exit_code(tree: &Tree) -> u8 {
    let all = || tree.programs.iter().filter_map(|program| program.report.as_ref());
    let has = |code| all().any(|report| report.exit_code == code);
    // A program that can't be swept is one that is not watched, which the rest of the tree may be.
    match () {
        () if has(1) => 1,
        () if has(2) || has(3) || all().next().is_none() => 3,
        () => 0,
    }
}

fn text(words: &[OsString], tree: &Tree, is_replay: bool) -> String {
    let mut text = String::new();
    for program in &tree.programs {
        let Some(report) = &program.report else { continue };
        text.push_str(&heading(program));
        text.push_str(&report.text);
        text.push('\n');
    }
    if !is_replay {
        text.push_str(&totals(words, tree));
    }
    text
}

/// What a program is, and where in the tree.
fn heading(program: &TreeProgram) -> String {
    let words: Vec<String> = program.words.iter().map(|word| quoted(word)).collect();
    let mut heading = format!("{}: {}", program.name, words.join(" "));
    if !program.parent.is_empty() {
        heading.push_str(&format!("  (started by {})", program.parent));
    }
    if program.processes > 1 {
        let times = count(program.processes, "time");
        heading.push_str(&format!("\n  started {times}, and swept the first time"));
    }
    heading + "\n"
}

fn totals(words: &[OsString], tree: &Tree) -> String {
    let programs = &tree.programs;
    let reports = || programs.iter().filter_map(|program| program.report.as_ref());
    let swept = reports().filter(|report| !report.is_error).count() as u64;
    let processes = programs.iter().map(|program| program.processes).sum();
    let runs = reports().map(|report| report.runs).sum();
    let findings = reports().map(|report| report.findings.len() as u64).sum();
    let command = line(words);
    let ended = match tree.ended.and_then(|status| status.code()) {
        Some(0) => String::new(),
        Some(code) => format!("`{command}` itself failed, with exit status {code}\n"),
        None => format!("`{command}` itself died of a signal\n"),
    };
    let left = programs.len() as u64 - swept;
    let left = match left {
        0 => String::new(),
        left => format!(", {left} not swept"),
    };
    format!(
        "{ended}{}, started {}{left}: {} with a fault, {}\n",
        count(programs.len() as u64, "program"),
        count(processes, "time"),
        count(runs, "run"),
        count(findings, "finding"),
    )
}

/// A line for each program.
fn json(tree: &Tree) -> String {
    let mut lines = String::new();
    for program in &tree.programs {
        let report = program.report.as_ref();
        let row = TreeRow {
            program: &program.name,
            words: &program.words,
            started_by: &program.parent,
            processes: program.processes,
            error: report.filter(|report| report.is_error).map(|report| report.text.trim_end()),
            report: report.and_then(|report| serde_json::from_str(&report.json).ok()),
        };
        lines.extend(row_line("exec", &row).map(|line| line + "\n"));
    }
    lines
}
