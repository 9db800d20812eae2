//! The file of findings that a caller allows: aborts and panics of code that was not written for
//! failures. It is committed and reviewed like a snapshot. What is in it is listed and passes; what
//! is new stays a finding; what is gone is a hint to write the file anew.
//!
//! A line is a finding's kind, its id, and for the reader the functions of the call site:
//! `abort A-1b2c3d4e  Builder::add ← parse`. Neither lines of code nor coordinates are in it, so it
//! survives edits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::error::Error;
use crate::printable;
use crate::process::atomic_file;
use crate::report::Report;
use crate::report::call_site::Frame;
use crate::report::finding::Finding;
use crate::report::format::count;
use crate::report::inventory::{Miscount, bounded, counted};
use crate::report::kind::Kind;

/// The first lines of the file.
const HEAD: &str = "\
# Failed requests that end in an abort or a panic, and are accepted: one call site a line.
# Written by MALLORY_UPDATE=1; review it like a snapshot.
";

/// Whether a finding of this kind can be allowed by a file: other kinds are never legitimate.
fn can_be_allowed(finding: &Finding) -> bool {
    matches!(finding.kind(), Kind::Abort | Kind::Panic) && finding.fault().is_some()
}

/// Takes the findings that the file allows out of `findings`, and lists them in the report. With
/// `update` the file is written anew. `is_complete` says that every point was run: only then is
/// something known to be gone.
///
/// # Errors
/// A file that can't be read, written or understood, with its place.
pub(crate) fn apply(
    path: &Path,
    update: bool,
    findings: &mut Vec<Finding>,
    report: &mut Report,
    is_complete: bool,
) -> Result<(), Error> {
    let mut allowed = read(path)?;
    let here = |finding: &Finding| (finding.id().to_owned(), line(finding));
    let candidates = findings.iter().filter(|finding| can_be_allowed(finding));
    if update {
        if is_complete {
            allowed.clear();
        }
        allowed.extend(candidates.map(here));
        write(path, &allowed)?;
    }
    let is_allowed =
        |finding: &Finding| can_be_allowed(finding) && allowed.contains_key(finding.id());
    let (inventory, rest): (Vec<Finding>, Vec<Finding>) =
        findings.drain(..).partition(|finding| is_allowed(finding));
    *findings = rest;
    let fresh: Vec<&Finding> = findings.iter().filter(|finding| can_be_allowed(finding)).collect();
    let name = path.display();
    if !fresh.is_empty() {
        report.miscounts.push(Miscount {
            title: format!("{name} doesn't have {}", count(fresh.len() as u64, "call site")),
            rows: counted(&fresh),
            help: "return an error there; or MALLORY_UPDATE=1 accepts what aborts or panics"
                .to_owned(),
            has_all_aborts: true,
        });
    }
    let gone: Vec<String> = allowed
        .iter()
        .filter(|(id, _)| inventory.iter().all(|finding| finding.id() != *id))
        .map(|(_, line)| printable::line(line))
        .collect();
    if is_complete && !gone.is_empty() {
        let lines = count(gone.len() as u64, "line");
        report.miscounts.push(Miscount {
            title: format!("{name} has {lines} too many"),
            rows: bounded(gone),
            help: "MALLORY_UPDATE=1 removes what is gone".to_owned(),
            has_all_aborts: false,
        });
    }
    report.inventory = inventory;
    Ok(())
}

/// A finding's line.
fn line(finding: &Finding) -> String {
    let mut line = format!("{} {}", finding.kind(), finding.id());
    let frames = finding.fault.as_ref().map_or(&[][..], |fault| &fault.site.frames);
    for (nth, frame) in frames.iter().enumerate() {
        let _ = write!(line, "{} {}", if nth == 0 { " " } else { " ←" }, Frame::short_name(frame));
    }
    line
}

/// The lines of the file by id. A file that isn't there has none.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => {
            return Err(Error::new(format!("cannot read the allowed call sites: {error}"))
                .at(path.display().to_string())
                .help("the path is relative to the package's folder"));
        }
    };
    let mut allowed = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_whitespace();
        let (kind, id) = (words.next(), words.next());
        match (kind, id) {
            (None, _) => {}
            (Some(comment), _) if comment.starts_with('#') => {}
            (Some("abort" | "panic"), Some(id)) => {
                allowed.insert(id.to_owned(), line.to_owned());
            }
            _ => {
                return Err(Error::new(format!("not an allowed call site: `{line}`"))
                    .at(format!("{}:{number}", path.display()))
                    .help("a line is `abort ID` or `panic ID`; MALLORY_UPDATE=1 writes them"));
            }
        }
    }
    Ok(allowed)
}

/// Writes the file, sorted by functions, so that a new line stands where its neighbours are.
pub(crate) fn write(path: &Path, allowed: &BTreeMap<String, String>) -> Result<(), Error> {
    let mut lines: Vec<&String> = allowed.values().collect();
    lines.sort_by_key(|line| (line.split_once("  ").map_or("", |(_, site)| site), *line));
    let mut text = HEAD.to_owned();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| atomic_file::write(path, &text)).map_err(|error| {
        Error::new(format!("cannot write the allowed call sites: {error}"))
            .at(path.display().to_string())
            .help("check the folder's permissions and free space")
    })
}
