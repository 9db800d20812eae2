//! The `mallory` command: starting it, and reading what it prints.
#![allow(dead_code)] // not every test file uses all of it

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the command in an environment without any variable of Mallory.
pub(crate) fn mallory(arguments: &[&str]) -> Output {
    mallory_in(Path::new("."), arguments)
}

/// The same in a folder.
pub(crate) fn mallory_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = mallory_command(folder);
    program.args(arguments);
    // Tests run at the same time, and some of them sweep the same scenario.
    let journals = tempfile::tempdir().expect("a folder");
    if arguments.first() == Some(&"sweep") && !arguments.contains(&"--journal") {
        program.arg("--journal").arg(journals.path());
    }
    program.output().expect("the program starts")
}

/// The command without arguments.
pub(crate) fn mallory_command(folder: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mallory"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MALLORY_")) {
        program.env_remove(name);
    }
    program.current_dir(folder);
    program
}

/// Its standard output; it must exit with this code.
pub(crate) fn printed(arguments: &[&str], code: i32) -> String {
    let output = mallory(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8(output.stdout).expect("reports are text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}\n{out}");
    out
}

/// The reports of this subcommand, one for each line of JSON.
pub(crate) fn reports(command: &str, arguments: &[&str], code: i32) -> Vec<Value> {
    let lines = printed(&[&[command, "--format", "json"], arguments].concat(), code);
    lines.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

/// The only one.
pub(crate) fn report(command: &str, arguments: &[&str], code: i32) -> Value {
    let mut reports = reports(command, arguments, code);
    assert_eq!(reports.len(), 1, "{arguments:?}");
    reports.remove(0)
}

pub(crate) fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().expect("a report has findings")
}

/// Compares a report with the reviewed one of this name.
pub(crate) fn is_as_reviewed(name: &str, report: &str) {
    is_as_reviewed_but_for(&[(r"\.rs:[0-9]+", ".rs:LL")], name, report);
}

/// Compares a report with the reviewed one of this name, where whatever matches one of these
/// patterns is first replaced by what is beside it.
pub(crate) fn is_as_reviewed_but_for(filters: &[(&str, &str)], name: &str, report: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // How the program was started depends on who started it, and on the profile.
    settings.add_filter("cargo run (--release )?(-p mallory-scenarios )?", "cargo run --release ");
    for (pattern, replacement) in filters {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name.replace('/', "-"), report));
}

/// Replays the finding's token in a fresh process, which must find the same; returns the token.
pub(crate) fn replays(finding: &Value) -> &str {
    let token = finding["replay"].as_str().expect("a finding has a token");
    assert!(token.len() <= 100, "{token}: {} characters", token.len());
    let again = printed(&["replay", token], 1);
    assert!(again.lines().next().is_some_and(|row| row.ends_with(" reproduced")), "{again}");
    let id = finding["id"].as_str().expect("a finding has an id");
    assert!(again.contains(id), "{id} is not in {again}");
    token
}

/// The lines of a function, without its name.
pub(crate) fn function(source: &str, name: &str) -> String {
    let start = source.find(&format!("\nfn {name}(")).expect("the function is there") + 1;
    let end = start + source[start..].find("\n}\n").expect("it ends") + "\n}\n".len();
    source[start..end].replacen(name, "", 1)
}

/// By how many lines `planted` and `near_miss` of a file differ.
pub(crate) fn difference(source: &str) -> usize {
    use similar::{ChangeTag, TextDiff};
    let (planted, near_miss) = (function(source, "planted"), function(source, "near_miss"));
    let diff = TextDiff::from_lines(&planted, &near_miss);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    count(ChangeTag::Delete).max(count(ChangeTag::Insert))
}
