//! The page docs/programs.md, which ends with the table.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::programs::list::Task;
use crate::{Step, root};

const PAGE: &str = "docs/programs.md";
/// The first words of the table.
const HEAD: &str = "| program |";
/// The outcomes that have a column, with their names in a report.
const OUTCOMES: [(&str, &str); 7] = [
    ("propagated", "propagated"),
    ("absorbed", "absorbed"),
    ("degraded", "degraded"),
    ("silent-wrong", "silent_wrong"),
    ("crash", "crashed"),
    ("abort", "aborted"),
    ("no-progress", "hung"),
];

/// What came out for one program.
pub(crate) struct Row<'a> {
    pub(crate) task: &'a Task,
    pub(crate) version: String,
    pub(crate) took: Duration,
    pub(crate) report: Option<Value>,
    /// Why there is no report.
    pub(crate) instead: String,
}

impl Row<'_> {
    /// The findings by kind, the most frequent first.
    fn kinds(&self) -> Vec<(String, usize)> {
        let findings = self.report.as_ref().and_then(|report| report["findings"].as_array());
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in findings.into_iter().flatten() {
            *counts.entry(finding["kind"].as_str().unwrap_or_default()).or_default() += 1;
        }
        let mut kinds: Vec<(String, usize)> =
            counts.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
        kinds.sort_by_key(|(_, count)| usize::MAX - count);
        kinds
    }

    pub(crate) fn findings(&self) -> usize {
        self.kinds().iter().map(|(_, count)| count).sum()
    }

    /// The findings in words, or why there is no report.
    pub(crate) fn in_short(&self) -> String {
        let kinds = self.kinds();
        let words: Vec<String> =
            kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        match &self.report {
            None => self.instead.clone(),
            Some(report) if words.is_empty() => {
                report["verdict"].as_str().unwrap_or_default().to_owned()
            }
            Some(_) => words.join(", "),
        }
    }

    fn crash_sites(&self) -> usize {
        self.kinds().iter().filter(|(kind, _)| kind == "crash").map(|(_, count)| count).sum()
    }

    fn line(&self) -> String {
        let number = |part: &str, key: &str| {
            let value = self.report.as_ref().map(|report| report[part][key].as_u64().unwrap_or(0));
            value.map_or_else(String::new, |value| value.to_string())
        };
        let Task { name, package, .. } = self.task;
        let mut cells = vec![name.clone(), format!("{package} {}", self.version)];
        cells.extend(["requests", "sites", "runs"].map(|key| number("coverage", key)));
        cells.extend(OUTCOMES.map(|(_, key)| number("outcomes", key)));
        cells.push(
            self.report.as_ref().map_or_else(String::new, |_| self.crash_sites().to_string()),
        );
        cells.extend([self.in_short().replace('|', "\\|"), self.took.as_secs().to_string()]);
        format!("| {} |", cells.join(" | "))
    }
}

/// The page with its rows, in the order of the list.
pub(crate) struct Table {
    text: String,
    names: Vec<String>,
    rows: BTreeMap<String, String>,
}

impl Table {
    pub(crate) fn read(tasks: &[Task]) -> Result<Table, String> {
        let page = std::fs::read_to_string(root().join(PAGE));
        let page = page.map_err(|error| format!("error: {PAGE}: {error}"))?;
        let (text, table) = page.split_at(page.find(HEAD).unwrap_or(page.len()));
        let name = |line: &str| line.split('|').nth(1).map(|name| name.trim().to_owned());
        let rows = table.lines().skip(2).filter_map(|line| Some((name(line)?, line.to_owned())));
        let names = tasks.iter().map(|task| task.name.clone()).collect();
        Ok(Table { text: text.to_owned(), names, rows: rows.collect() })
    }

    pub(crate) fn set(&mut self, name: &str, row: &Row<'_>) {
        self.rows.insert(name.to_owned(), row.line());
    }

    /// Writes the page, so that a sweep that is stopped later loses nothing.
    pub(crate) fn write(&self) -> Step {
        let outcomes = OUTCOMES.map(|(name, _)| name).join(" | ");
        let head = format!(
            "{HEAD} package | requests | call sites | runs | {outcomes} | crash sites | findings | seconds |"
        );
        let rule = "|---".repeat(head.matches('|').count() - 1) + "|";
        let rows = self.names.iter().filter_map(|name| self.rows.get(name).cloned());
        let lines: Vec<String> = [head, rule].into_iter().chain(rows).collect();
        let page = format!("{}{}\n", self.text, lines.join("\n"));
        std::fs::write(root().join(PAGE), page).map_err(|error| format!("error: {PAGE}: {error}"))
    }
}
