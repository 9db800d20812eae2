//! An attack on the harness: subjects that do what they can to it, damaged tokens, journals, lists and
//! scripts, sweeps that are killed at random moments, and full disks. It must end, say nothing false,
//! pass nothing, and leave nothing behind.
//!
//! `cargo run --release --example hostile` prints a line for each part and one for all of them, and
//! fails if one of them is wrong. A number after it makes that many percent of the attempts, and is otherwise the same.

mod damage;
mod disk;
mod kills;
mod subjects;

use std::path::Path;
use std::process::ExitCode;

use mallory::Report;

/// What one part of the attack showed.
struct Part {
    name: &'static str,
    attempts: u64,
    /// What went wrong, one line for each.
    wrong: Vec<String>,
    note: String,
}

/// Whether a text can be printed on any terminal.
fn is_safe(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || (!c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c)))
}

/// Checks what holds for every report.
fn check(report: &Report) -> Result<(), String> {
    let text = report.to_string();
    if !is_safe(&text) {
        return Err(format!("it can't be printed: {text:?}"));
    }
    if text.len() > 100_000 {
        return Err(format!("it has {} bytes", text.len()));
    }
    Ok(())
}

/// The processes below this one.
fn children() -> Vec<String> {
    let list = format!("/proc/self/task/{}/children", std::process::id());
    let list = std::fs::read_to_string(list).unwrap_or_default();
    list.split_whitespace().map(str::to_owned).collect()
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let percent = match words[..] {
        // The program starts itself for the sweeps that are killed, and for those on a full disk.
        ["sweep", what, folder, resume] => {
            return kills::sweep(what, Path::new(folder), resume == "resume");
        }
        [] => 100,
        [percent] => match percent.parse() {
            Ok(percent) => percent,
            Err(_) => {
                eprintln!("error: expected a number of percent, found `{percent}`");
                return ExitCode::from(2);
            }
        },
        _ => {
            eprintln!("usage: hostile [PERCENT]");
            return ExitCode::from(2);
        }
    };
    let share = |whole: u64| (whole * percent / 100).max(1);
    let parts: [&dyn Fn() -> Part; 7] = [
        &|| subjects::attack(percent),
        &|| damage::tokens(share(1000)),
        &|| damage::journals(share(400)),
        &|| damage::lists(share(100)),
        &|| damage::scripts(share(60)),
        &|| kills::attack(share(200)),
        &|| disk::attack(share(24)),
    ];
    let (mut attempted, mut wrongs) = (0, 0);
    for part in parts {
        let Part { name, attempts, wrong, note } = part();
        println!("{name}: {attempts} attempts, {} wrong{note}", wrong.len());
        for what in wrong.iter().take(20) {
            println!("  {what}");
        }
        attempted += attempts;
        wrongs += wrong.len();
    }
    let left = children().len();
    println!("hostile: {attempted} attempts, {wrongs} wrong, {left} processes left");
    if wrongs + left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
