//! The bugs of docs/TROPHIES.md: each has a line that shows it again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::programs::workplace::{Ended, Workplace};
use crate::{Step, root};

const PAGE: &str = "docs/TROPHIES.md";
/// How long a replay may take, and a sweep that looks for a finding again.
const REPLAY: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(300);
/// The most runs of such a sweep.
const LIMIT: u64 = 400;
const START: &str = "mallory exec ";

/// A finding on the page, or in a report.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    kind: String,
    id: String,
    /// The first place of its call stack.
    place: String,
    /// The line that replays it.
    line: String,
}

/// Replays all lines of the page, or those of programs with one of these names.
pub(crate) fn trophies(workplace: &Workplace, only: &[String], update: bool) -> Step {
    let page = std::fs::read_to_string(root().join(PAGE));
    let page = page.map_err(|error| format!("error: {PAGE}: {error}"))?;
    let mut all = on_page(&page)?;
    all.retain(|found| {
        only.is_empty() || only.iter().any(|name| command(&found.line).contains(name.as_str()))
    });
    let mut gone = Vec::new();
    for (nth, trophy) in all.iter().enumerate() {
        let said = replays(workplace, trophy)?;
        eprintln!(
            "{}/{}  {} {}: {}",
            nth + 1,
            all.len(),
            command(&trophy.line),
            trophy.id,
            said.as_deref().unwrap_or("reproduced")
        );
        if let Some(said) = said {
            gone.push((trophy, said));
        }
    }
    println!("{} of {} bugs show again", all.len() - gone.len(), all.len());
    if gone.is_empty() {
        return Ok(());
    }
    let versions = differing_versions(&page);
    versions.iter().for_each(|line| println!("{line}"));
    if update {
        let trophies: Vec<&Found> = gone.iter().map(|(trophy, _)| *trophy).collect();
        return find_again(workplace, page, &trophies);
    }
    let lines = gone.iter().map(|(trophy, said)| format!("  {}: {said}\n", trophy.line));
    Err(format!(
        "error: these show no longer:\n{}help: --update looks for them, and writes their lines anew",
        lines.collect::<String>()
    ))
}

/// `None` if the finding shows again, else the first line of what was said.
fn replays(workplace: &Workplace, trophy: &Found) -> Result<Option<String>, String> {
    let folder = workplace.fresh_folder()?;
    Ok(match workplace.run(&folder, &trophy.line, REPLAY)? {
        Ended::Stopped => Some("it doesn't end".to_owned()),
        Ended::Exited { out, said } => {
            // The same kind at the same call sites. Sizes may differ, as those of a folder's path do.
            let is_it = in_report(&out).iter().any(|found| found.id == trophy.id);
            let all = format!("{out}{said}");
            (!is_it).then(|| all.lines().next().unwrap_or("nothing was said").trim().to_owned())
        }
    })
}

/// Sweeps the commands of these anew, and writes the new lines of the same findings onto the page.
fn find_again(workplace: &Workplace, mut page: String, trophies: &[&Found]) -> Step {
    let mut by_command: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
    for trophy in trophies {
        by_command.entry(command(&trophy.line)).or_default().push(trophy);
    }
    let mut lost = Vec::new();
    for (command, trophies) in by_command {
        let folder = workplace.fresh_folder()?;
        let line = format!("{START}--limit {LIMIT} {command}");
        let found = match workplace.run(&folder, &line, SWEEP)? {
            Ended::Stopped => Vec::new(),
            Ended::Exited { out, .. } => in_report(&out),
        };
        for trophy in trophies {
            let same = |is: fn(&Found, &Found) -> bool| {
                found.iter().find(|one| one.kind == trophy.kind && is(one, trophy))
            };
            let again = same(|one, trophy| one.id == trophy.id)
                .or_else(|| same(|one, trophy| one.place == trophy.place));
            match again {
                Some(again) => {
                    eprintln!("{}: {}", trophy.id, again.line);
                    page = page.replace(&trophy.line, &again.line);
                    page = page.replace(&trophy.id, &again.id);
                }
                None => lost.push(format!("  {}: {} {}\n", command, trophy.kind, trophy.place)),
            }
        }
        std::fs::write(root().join(PAGE), &page).map_err(|e| format!("error: {PAGE}: {e}"))?;
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(format!("error: not found again:\n{}", lost.concat()))
}

/// The options and the command of a line, without its token.
fn command(line: &str) -> String {
    let words = line.strip_prefix(START).unwrap_or(line);
    match words.split_once("--replay '") {
        Some((before, after)) => {
            let after = after.split_once("' ").map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => words.to_owned(),
    }
}

/// The findings of the page. Each has a line such as "**crash** `Z-0123abcd` in `PLACE`", and below it
/// the line that replays it.
fn on_page(page: &str) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    let mut last: Option<Found> = None;
    for (nth, text) in page.lines().enumerate() {
        let place = format!("{PAGE}:{}", nth + 1);
        if let Some((_, rest)) = text.split_once("**")
            && let Some((kind, rest)) = rest.split_once("** `")
        {
            let mut quoted = rest.split('`').step_by(2);
            let (id, at) = (quoted.next().unwrap_or_default(), quoted.next().unwrap_or_default());
            let [kind, id, at] = [kind, id, at].map(str::to_owned);
            last = Some(Found { kind, id, place: at, line: String::new() });
        } else if text.trim_start().starts_with(START) && text.contains("--replay") {
            let trophy = last.take().ok_or_else(|| format!("error: {place}: of which finding?"))?;
            found.push(Found { line: text.trim().to_owned(), ..trophy });
        }
    }
    Ok(found)
}

/// The findings of a report.
fn in_report(report: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for text in report.lines() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_id = |word: &str| word.as_bytes().get(1) == Some(&b'-') && word.len() == 10;
        if !text.starts_with(' ') && words.len() >= 2 && is_id(words[1]) {
            let [kind, id] = [words[0], words[1]].map(str::to_owned);
            found.push(Found { kind, id, place: String::new(), line: String::new() });
        } else if let Some(last) = found.last_mut() {
            let place = ["died  ", "allocated  ", "freed  ", " in "].iter().find_map(|before| {
                let (_, place) = text.split_once(before)?;
                Some(place.split_whitespace().collect::<Vec<_>>().join(" "))
            });
            if last.place.is_empty() {
                last.place = place.unwrap_or_default();
            }
            if let Some(line) = text.strip_prefix("  replay  ") {
                last.line = line.to_owned();
            }
        }
    }
    found
}

/// Lines for the packages whose versions are not those of the page, where a heading such as
/// "## bc 1.07.1-3+b1" names them.
fn differing_versions(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## ")?.split_once(' '));
    let differs = |(package, version): (&str, &str)| {
        let installed = super::workplace::version(package)?;
        (installed != version)
            .then(|| format!("{package} is {installed} here, and was {version} on {PAGE}"))
    };
    headings.filter_map(differs).collect()
}
