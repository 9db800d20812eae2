//! The turns of a night of fuzzing that are done, and their summary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

use crate::fuzz::attack::Turn;
use crate::fuzz::folder;
use crate::{Step, root};

/// The turns that are done, kept in a file so that a killed run can be resumed.
pub(crate) struct Progress {
    path: PathBuf,
    done: Mutex<BTreeMap<(String, u64), Turn>>,
    /// Findings whose cases existed before this run.
    committed: BTreeSet<String>,
}

impl Progress {
    pub(crate) fn open(resume: bool) -> Result<Progress, String> {
        let path = folder().join("target/night.txt");
        let mut done = BTreeMap::new();
        if resume {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for line in text.lines() {
                let mut words = line.split('\t');
                let (Some(name), Some(turn), Some(executions), Some(coverage), Some(findings)) =
                    (words.next(), words.next(), words.next(), words.next(), words.next())
                else {
                    continue;
                };
                let number = |word: &str| word.parse::<u64>().unwrap_or(0);
                let found = findings.split('|').filter(|one| !one.is_empty()).map(str::to_owned);
                let (executions, coverage) = (number(executions), number(coverage));
                let result = Turn { executions, coverage, findings: found.collect() };
                done.insert((name.to_owned(), number(turn)), result);
            }
        } else {
            let _ = std::fs::remove_file(&path);
        }
        Ok(Progress { path, done: Mutex::new(done), committed: committed() })
    }

    pub(crate) fn has(&self, name: &str, turn: u64) -> bool {
        self.done.lock().expect("no one panics").contains_key(&(name.to_owned(), turn))
    }

    pub(crate) fn note(&self, name: &str, turn: u64, result: &Turn) -> Step {
        use std::io::Write as _;
        let mut done = self.done.lock().expect("no one panics");
        let findings: Vec<&str> = result.findings.iter().map(String::as_str).collect();
        let line = format!(
            "{name}\t{turn}\t{}\t{}\t{}\n",
            result.executions,
            result.coverage,
            findings.join("|")
        );
        eprint!("{}", row(name, result));
        done.insert((name.to_owned(), turn), result.clone());
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// Prints the results of all turns. New findings are an error.
    pub(crate) fn summary(&self) -> Step {
        let mut by_name: BTreeMap<String, Turn> = BTreeMap::new();
        for ((name, _), result) in self.done.lock().expect("no one panics").iter() {
            by_name.entry(name.clone()).or_default().add(result);
        }
        println!("{:<16} {:>14} {:>10}  findings", "target", "executions", "covered");
        let mut all = BTreeSet::new();
        for (name, result) in &by_name {
            print!("{}", row(name, result));
            all.extend(result.findings.iter().cloned());
        }
        let new: Vec<&String> = all.difference(&self.committed).collect();
        let places = "cases lie in scenarios/cases, bytes in fuzz/regressions";
        println!("{} findings, {} new; {places}", all.len(), new.len());
        if new.is_empty() { Ok(()) } else { Err(format!("new findings: {new:?}")) }
    }
}

fn row(name: &str, result: &Turn) -> String {
    let findings: Vec<&str> = result.findings.iter().map(String::as_str).collect();
    let (executions, coverage) = (result.executions, result.coverage);
    let row = format!("{name:<16} {executions:>14} {coverage:>10}  {}", findings.join(", "));
    row.trim_end().to_owned() + "\n"
}

/// The folder of cases. Each case is a test.
pub(crate) fn cases() -> PathBuf {
    root().join("scenarios/cases")
}

/// The ids of the existing cases.
fn committed() -> BTreeSet<String> {
    let files = std::fs::read_dir(cases()).into_iter().flatten().flatten();
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    files.filter_map(|entry| stem(entry.path())).collect()
}
