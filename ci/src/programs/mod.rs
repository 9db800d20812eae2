//! Sweeps programs as Debian's packages bring them, each at a small task, and writes the table of
//! docs/programs.md. The tasks are the lines of `ci/programs.toml`, and what they read is in
//! `ci/programs`.

mod list;
mod table;
mod trophies;
mod workplace;

use std::time::{Duration, Instant};

use crate::{Step, run};
use list::{Task, tasks};
use table::{Row, Table};
use workplace::{Ended, Workplace};

/// The most runs of one program by default.
const LIMIT: u64 = 400;
/// The seconds that one program may take by default.
const SECONDS: u64 = 60;

/// What the words behind `programs` ask for.
#[derive(Default)]
pub(crate) struct Options {
    install: bool,
    complete: bool,
    trophies: bool,
    update: bool,
    only: Vec<String>,
    limit: Option<u64>,
    seconds: Option<u64>,
    binary: Option<String>,
}

impl Options {
    pub(crate) fn read(words: &[&str]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("error: {word} needs a value"));
            let number = |text: &str| {
                text.parse()
                    .map_err(|_| format!("error: {word}: expected a number, found `{text}`"))
            };
            match *word {
                "--install" => options.install = true,
                "--complete" => options.complete = true,
                "--trophies" => options.trophies = true,
                "--update" => options.update = true,
                "--only" => options.only.push((*value()?).to_owned()),
                "--limit" => options.limit = Some(number(value()?)?),
                "--seconds" => options.seconds = Some(number(value()?)?),
                "--binary" => options.binary = Some((*value()?).to_owned()),
                _ => return Err(format!("error: `programs` has no option {word}")),
            }
        }
        if options.update && !options.trophies {
            return Err("error: --update belongs to --trophies".to_owned());
        }
        Ok(options)
    }

    fn wants(&self, task: &Task) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| task.name.contains(name.as_str()))
    }

    fn limit_of(&self, task: &Task) -> u64 {
        let limit = self.limit.unwrap_or(LIMIT);
        task.limit.map_or(limit, |own| own.min(limit))
    }

    fn time_of(&self, task: &Task) -> Duration {
        Duration::from_secs(self.seconds.or(task.seconds).unwrap_or(SECONDS))
    }
}

/// Sweeps the programs that are asked for, or replays the trophies.
pub(crate) fn programs(options: &Options) -> Step {
    let all = tasks()?;
    let wanted: Vec<&Task> = all.iter().filter(|task| options.wants(task)).collect();
    if wanted.is_empty() {
        return Err(format!(
            "error: ci/programs.toml has no program like {}",
            options.only.join(", ")
        ));
    }
    let missing = install(options, &wanted)?;
    let workplace = Workplace::new(options.binary.as_deref())?;
    if options.trophies {
        return trophies::trophies(&workplace, &options.only, options.update);
    }
    let mut table = Table::read(&all)?;
    let wanted = wanted.into_iter().filter(|task| !missing.contains(&task.package));
    let wanted: Vec<&Task> = wanted.collect();
    let mut found = 0;
    for (nth, task) in wanted.iter().enumerate() {
        let row = sweep(options, &workplace, task)?;
        eprintln!("{}/{}  {}: {}", nth + 1, wanted.len(), task.name, row.in_short());
        found += row.findings();
        table.set(&task.name, &row);
        table.write()?;
    }
    println!("{} programs, {found} findings", wanted.len());
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    println!("{} packages are missing, and were left out: {list}", missing.len());
    let help = "help: --install installs them";
    if options.complete { Err(format!("error: not complete\n{help}")) } else { Ok(()) }
}

/// The packages that are missing, after they were installed if that is asked for.
fn install(options: &Options, wanted: &[&Task]) -> Result<Vec<String>, String> {
    let missing = || {
        let mut names: Vec<String> = wanted.iter().map(|task| task.package.clone()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| workplace::version(name).is_none());
        names
    };
    let names = missing();
    if !options.install || names.is_empty() {
        return Ok(names);
    }
    let words = ["install", "--yes", "--no-install-recommends"];
    run(std::process::Command::new("apt-get").args(words).args(&names))?;
    Ok(missing())
}

/// Sweeps one program.
fn sweep<'t>(options: &Options, workplace: &Workplace, task: &'t Task) -> Result<Row<'t>, String> {
    let version = workplace::version(&task.package).unwrap_or_default();
    let limit = options.limit_of(task);
    let line = format!("mallory exec --format json --limit {limit} {}", task.line());
    let folder = workplace.fresh_folder()?;
    let start = Instant::now();
    let ended = workplace.run(&folder, &line, options.time_of(task))?;
    let row = Row { task, version, took: start.elapsed(), report: None, instead: String::new() };
    Ok(match ended {
        Ended::Stopped => Row { instead: format!("stopped after {} s", row.took.as_secs()), ..row },
        Ended::Exited { out, said } => match serde_json::from_str(&out) {
            Ok(report) => Row { report: Some(report), ..row },
            Err(_) => Row { instead: first_line(&said), ..row },
        },
    })
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no report").trim().to_owned()
}
