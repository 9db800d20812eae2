//! The text of an inventory: the call sites that abort for want of memory, which may be thousands.
//! Few are listed one by one; many are a table of the functions in which they are.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::printable;
use crate::report::call_site::Frame;
use crate::report::evidence::Role;
use crate::report::finding::Finding;
use crate::report::format::{count, thousands};
use crate::report::kind::Kind;

/// The most call sites that are listed one by one, and the most rows of the table.
const ROWS_MAX: usize = 20;
/// The most frames of a call site in a line.
const FRAMES_IN_LINE: usize = 3;

/// The most findings that are aborts for want of memory, for which each is printed as a whole.
const WHOLE_MAX: usize = 5;

/// What was counted for an allowance that it doesn't fit: each call site, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Miscount {
    /// The allowance, what was counted, and what is allowed.
    pub(crate) title: String,
    /// What was counted, as [`counted`] lists it.
    pub(crate) rows: Vec<String>,
    pub(crate) help: String,
    /// Whether the rows are all aborts of the report, which are not listed twice.
    pub(crate) has_all_aborts: bool,
}

impl fmt::Display for Miscount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "counted: {}", printable::line(&self.title))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "  {row}"))?;
        writeln!(f, "  help: {}\n", printable::line(&self.help))
    }
}

/// The findings that were counted, a row each, but at most [`ROWS_MAX`]: the id, the first request
/// that shows it, at how many it shows, and the call site.
pub(crate) fn counted(findings: &[&Finding]) -> Vec<String> {
    let (promising, others): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| promise(finding).is_some());
    bounded(promising.into_iter().chain(others).map(line).collect())
}

/// These rows, but at most [`ROWS_MAX`], and how many are left out.
pub(crate) fn bounded(mut rows: Vec<String>) -> Vec<String> {
    let left = rows.len().saturating_sub(ROWS_MAX);
    if left > 0 {
        rows.truncate(ROWS_MAX);
        rows.push(format!("… and {left} more"));
    }
    rows
}

/// The allowed findings as a report prints them.
pub(crate) fn allowed(inventory: &[Finding]) -> String {
    if inventory.is_empty() {
        return String::new();
    }
    let title = format!("allowed: failures abort at {}", title(inventory.len()));
    format!("{title}\n{}\n", rows(&inventory.iter().collect::<Vec<_>>()))
}

/// What the C library does wrong by itself, as a report prints it.
pub(crate) fn c_library(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let all: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    format!("the C library's own, and no finding of the program:\n\n{all}")
}

/// Findings as a report prints them: each as a whole, unless many are aborts for want of memory. Code
/// that doesn't try to survive it aborts at each of its call sites, so of these one is printed as a
/// whole, after the other findings, and the others are an inventory, unless it `is_counted`: a list of
/// what was counted for an allowance follows, and has them all.
pub(crate) fn findings(findings: &[Finding], is_counted: bool) -> String {
    let (aborts, others): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| is_abort_by_fault(finding));
    let whole = |findings: Vec<&Finding>| -> String {
        findings.into_iter().map(|finding| format!("{finding}\n")).collect()
    };
    if aborts.len() <= WHOLE_MAX {
        return whole(findings.iter().collect());
    }
    let first = aborts.iter().position(|finding| promise(finding).is_some()).unwrap_or(0);
    let rest: Vec<&Finding> = aborts
        .iter()
        .enumerate()
        .filter(|(nth, _)| *nth != first)
        .map(|(_, abort)| *abort)
        .collect();
    if is_counted && aborts.len() <= ROWS_MAX {
        return whole(others) + &whole(vec![aborts[first]]);
    }
    format!(
        "{}{}aborts: failures also abort at {}\n{}  help: Sweep::allowed(FILE) keeps them in a file, and finds new ones\n\n",
        whole(others),
        whole(vec![aborts[first]]),
        title(rest.len()),
        rows(&rest)
    )
}

/// Whether a request that was refused ended the process.
fn is_abort_by_fault(finding: &Finding) -> bool {
    finding.kind == Kind::Abort && finding.fault.is_some() && finding.schedule.is_none()
}

/// What an inventory of call sites lists.
fn title(sites: usize) -> String {
    let sites_text = count(sites as u64, "call site");
    match sites {
        0..=ROWS_MAX => format!("{sites_text} (the first request, how many, where)"),
        _ => format!("{sites_text}, by function; the JSON has all"),
    }
}

/// The rows of an inventory. Functions that promise an error instead come first: an abort in one is
/// nearly always a bug.
fn rows(inventory: &[&Finding]) -> String {
    let mut out = String::new();
    let (promising, others): (Vec<&Finding>, Vec<&Finding>) =
        inventory.iter().partition(|finding| promise(finding).is_some());
    if inventory.len() <= ROWS_MAX {
        let all = promising.into_iter().chain(others);
        all.for_each(|finding| out.push_str(&format!("  {}\n", line(finding))));
        return out;
    }
    let first = promising.iter().take(ROWS_MAX);
    first.for_each(|finding| out.push_str(&format!("  {}\n", line(finding))));
    if promising.len() > ROWS_MAX {
        let left = count((promising.len() - ROWS_MAX) as u64, "call site");
        let _ = writeln!(out, "  and {left} more in functions that promise an error");
    }
    table(&others, &mut out);
    out
}

/// The outermost function of a finding's call site whose name begins with `try_`.
fn promise(finding: &Finding) -> Option<String> {
    promise_below(finding, "")
}

/// The same below the function of a test, which promises nothing whatever its name is. A function that
/// had returned when the process died has kept its promise.
pub(crate) fn promise_below(finding: &Finding, test: &str) -> Option<String> {
    let frames = &finding.fault.as_ref()?.site.frames;
    let died = finding.steps.iter().find(|step| step.role == Role::Died);
    let is_alive = |function: &str| {
        died.is_none_or(|died| died.site.frames.iter().any(|frame| frame.function == function))
    };
    let promising = frames.iter().rev().skip_while(|frame| last_segment(&frame.function) == test);
    let mut promising = promising.filter(|frame| last_segment(&frame.function).starts_with("try_"));
    let broken = promising.find(|frame| is_alive(&frame.function));
    broken.map(|frame| last_segment(&frame.function).to_owned())
}

/// The name of a function without its path, and without the closures in it.
fn last_segment(function: &str) -> &str {
    function.rsplit("::").find(|segment| !segment.starts_with("{{")).unwrap_or(function)
}

/// The crate that asked for the memory that a finding needs to be refused; empty if that is unknown.
#[cfg(feature = "preload")]
pub(crate) fn crate_of_fault(finding: &Finding) -> String {
    let frame = finding.fault.as_ref().and_then(|fault| fault.site.frames.first());
    frame.map_or_else(String::new, |frame| crate_of(&frame.function).to_owned())
}

/// The crate that a function belongs to.
fn crate_of(function: &str) -> &str {
    let path = function.trim_start_matches(['<', '&']);
    let path = path.strip_prefix("impl ").unwrap_or(path);
    path.split([':', '<', ' ', '>']).next().unwrap_or(path)
}

/// A finding in one line.
fn line(finding: &Finding) -> String {
    let is_by_fault = matches!(finding.kind, Kind::Abort | Kind::Panic);
    let step = finding.steps.first().filter(|_| !is_by_fault || finding.fault.is_none());
    let site = step.map(|step| &step.site).or(finding.fault.as_ref().map(|fault| &fault.site));
    let frames = site.map_or(&[][..], |site| &site.frames);
    let names = frames.iter().take(FRAMES_IN_LINE).map(Frame::short_name);
    let mut names: Vec<String> = names.collect();
    match frames.len().saturating_sub(FRAMES_IN_LINE) {
        _ if names.is_empty() => names.push("(site unavailable)".to_owned()),
        0 => {}
        left => names.push(format!("{left} more")),
    }
    let place = frames.first().map_or("", |frame| &frame.place);
    let gap = if place.is_empty() { "" } else { "  " };
    let (id, at, times) = (&finding.id, finding.fault(), format!("{}×", finding.count));
    let at = at.map_or_else(|| "no fault".to_owned(), |at| at.to_string());
    let promise = promise(finding).map(|name| format!("  ({name} promises an error)"));
    let promise = promise.unwrap_or_default();
    format!("{id}  {at:<8} {times:>6}  {}{gap}{place}{promise}", names.join(" ← "))
}

/// A row for each function that asks for memory, those with the most call sites first.
fn table(findings: &[&Finding], out: &mut String) {
    // By crate and function: its call sites and the requests at which they aborted.
    let mut rows: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for finding in findings {
        let frame = finding.fault.as_ref().and_then(|fault| fault.site.frames.first());
        let row = frame.map_or_else(
            || (String::new(), "(site unavailable)".to_owned()),
            |frame| (crate_of(&frame.function).to_owned(), frame.short_name()),
        );
        let (sites, requests) = rows.entry(row).or_default();
        (*sites, *requests) = (*sites + 1, *requests + finding.count);
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, (sites, _))| std::cmp::Reverse(*sites));
    let width = rows.iter().take(ROWS_MAX).map(|((name, _), _)| name.len()).max().unwrap_or(0);
    let _ = writeln!(out, "  {:>6} {:>9}  function", "sites", "requests");
    for ((name, function), (sites, requests)) in rows.iter().take(ROWS_MAX) {
        let (sites, requests) = (thousands(*sites), thousands(*requests));
        let _ = writeln!(out, "  {sites:>6} {requests:>9}  {name:<width$}  {function}");
    }
    if let Some(left) = rows.get(ROWS_MAX..).filter(|left| !left.is_empty()) {
        let sites: u64 = left.iter().map(|(_, (sites, _))| sites).sum();
        let functions = count(left.len() as u64, "function");
        let _ = writeln!(out, "  {:>6} {:>9}  in {functions} more", thousands(sites), "");
    }
}
