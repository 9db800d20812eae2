//! The commands that take script files: run, minimise, new, fmt, cases.

use crate::process::atomic_file;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::output::print;
use crate::error::Error;
use crate::report::Replayed;
use crate::scenario::Scenario;
use crate::script::dyn_system::{AnySystem, Case, Driver, Source};
use crate::script::files;
use crate::script::shrink::Limits;
use crate::sweep::builder::Sweep;

/// Where cases lie unless a folder is named.
const FOLDERS: [&str; 3] = ["cases", "tests/cases", "scenarios/cases"];

#[derive(Args)]
pub(crate) struct RunArgs {
    /// A script's file, or `case:<id>`.
    file: String,
    /// A folder to write what is found into, as cases.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = crate::cli::output::Format::Text)]
    format: crate::cli::output::Format,
}

#[derive(Args)]
pub(crate) struct MinimiseArgs {
    /// A script's file, or `case:<id>`.
    file: String,
    /// Runs at the most.
    #[arg(long, value_name = "N", default_value_t = Limits::default().runs)]
    runs: u64,
    /// Seconds at the most; what comes out then hangs on the machine.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Puts the smallest script in the file's place.
    #[arg(long)]
    write: bool,
}

#[derive(Args)]
pub(crate) struct NewArgs {
    /// What to call the script; the file is NAME.ron.
    name: String,
    /// The system that it is for; unless given, the one that is called like the script.
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
}

#[derive(Args)]
pub(crate) struct FmtArgs {
    /// Scripts' files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only tells which are not as they would be printed.
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
pub(crate) struct CasesArgs {
    /// Folders of cases, or cases.
    places: Vec<PathBuf>,
}

/// A script's file, read.
struct Open<'a> {
    path: PathBuf,
    file: String,
    text: String,
    scenarios: &'a [Scenario],
}

impl<'a> Open<'a> {
    /// Opens what a person named: a path, or `case:<id>`.
    fn named(scenarios: &'a [Scenario], name: &str) -> Result<Self, Error> {
        let Some(id) = name.strip_prefix("case:") else {
            return Self::path(scenarios, Path::new(name));
        };
        let mut known = Vec::new();
        for folder in FOLDERS {
            known.extend(files::tree(Path::new(folder))?);
        }
        let found = known.into_iter().find(|path| path.file_stem().is_some_and(|name| name == id));
        let path = found.ok_or_else(|| {
            Error::new(format!("there is no case `{id}` in {}", FOLDERS.join(", ")))
                .help("`cases` lists them; or name the file itself")
        })?;
        Self::path(scenarios, &path)
    }

    fn path(scenarios: &'a [Scenario], path: &Path) -> Result<Self, Error> {
        let text = files::read(path)?;
        Ok(Open { path: path.to_owned(), file: path.display().to_string(), text, scenarios })
    }

    fn source(&self) -> Source<'_> {
        Source { text: &self.text, file: &self.file }
    }

    /// The scenario whose system the script is for.
    fn scenario(&self) -> Result<(&'a Scenario, &'a dyn AnySystem), Error> {
        let name = files::system_of(self.source())?;
        by_system(self.scenarios, &name).ok_or_else(|| files::unknown(self.source(), &name))
    }
}

fn by_system<'a>(
    scenarios: &'a [Scenario],
    name: &str,
) -> Option<(&'a Scenario, &'a dyn AnySystem)> {
    let of = |one: &'a Scenario| one.systems.iter().map(move |system| (one, &**system));
    scenarios.iter().flat_map(of).find(|(_, system)| system.name() == name)
}

fn input(scenario: &Scenario) -> Result<Arc<[u8]>, Error> {
    scenario.input.as_ref().map_or_else(|| Ok(Arc::from([])), |read| read())
}

pub(crate) fn run(scenarios: &[Scenario], args: &RunArgs) -> Result<u8, Error> {
    let open = Open::named(scenarios, &args.file)?;
    let (scenario, system) = open.scenario()?;
    let input = input(scenario)?;
    let report = match system.case(open.source(), Arc::clone(&input))? {
        Some(Case { report, .. }) => report,
        // What it says: one run with its faults, or every request in turn; with several threads, in
        // every order of theirs.
        None => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let sweep = Sweep::new(system.name()).jobs_unless_set(None, cores).input(input);
            let is_contended = system.is_contended(open.source())?;
            let driver = if is_contended { Driver::Explore } else { Driver::Sweep };
            system.drive(open.source(), driver, sweep, args.cases.as_deref())
        }
    };
    match args.format {
        crate::cli::output::Format::Text if report.error().is_none() => print(&report.to_string())?,
        crate::cli::output::Format::Text => eprint!("{}", report.details()),
        crate::cli::output::Format::Json => crate::cli::output::print_json(&report, "run")?,
    }
    Ok(report.exit_code())
}

pub(crate) fn minimise(scenarios: &[Scenario], args: &MinimiseArgs) -> Result<u8, Error> {
    let open = Open::named(scenarios, &args.file)?;
    let (scenario, system) = open.scenario()?;
    let limits = Limits { runs: args.runs, time: args.seconds.map(Duration::from_secs) };
    let small = system.minimise(open.source(), input(scenario)?, limits)?;
    let small = small.ok_or_else(|| {
        Error::new(format!("{}: it shows nothing", open.file))
            .help("give it a fault under which it does, or let `run --cases FOLDER` look for one")
    })?;
    let Some(removed) = small.removed else {
        eprint!("{}", small.report);
        return Err(Error::new(format!("{}: it shows something else each time", open.file))
            .help("make the system do the same in every run, then it can be made smaller"));
    };
    eprintln!("{removed}");
    if args.write {
        write(&open.path, &small.text)?;
    } else {
        print(&small.text)?;
    }
    Ok(1)
}

pub(crate) fn new(scenarios: &[Scenario], args: &NewArgs) -> Result<u8, Error> {
    let name = &args.name;
    if !crate::report::token::is_name(name) || name.contains('/') {
        return Err(Error::new(format!("{name:?} is no name for a script"))
            .help("lower-case letters, digits, and _ or - after the first; at most 40"));
    }
    let system = args.system.as_ref().unwrap_or(name);
    let Some((scenario, known)) = by_system(scenarios, system) else {
        let all = scenarios.iter().filter_map(|one| one.systems.first());
        let mut all: Vec<&str> = all.map(|system| system.name()).collect();
        all.dedup();
        return Err(Error::new(format!("there is no system `{system}`"))
            .help(format!("name one with --system: {}", all.join(", "))));
    };
    let path = PathBuf::from(format!("{name}.ron"));
    if path.exists() {
        return Err(Error::new(format!("{}: it is there already", path.display()))
            .help("choose another name, or remove it first"));
    }
    let (text, file) = scenario.source.unwrap_or_default();
    let about = "what it is about, in one line";
    write(&path, &known.beginning(Source { text, file }, about)?)?;
    print(&format!("{}\n", path.display()))?;
    Ok(0)
}

/// Where a script has a comment, which printing it back would lose.
fn comment(text: &str) -> Option<usize> {
    let mut in_string = false;
    let mut before = ' ';
    let mut line = 1;
    for c in text.chars() {
        match c {
            '\n' => line += 1,
            '"' if before != '\\' => in_string = !in_string,
            '/' | '*' if before == '/' && !in_string => return Some(line),
            _ => {}
        }
        // A backslash that is itself escaped escapes nothing.
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    None
}

pub(crate) fn fmt(scenarios: &[Scenario], args: &FmtArgs) -> Result<u8, Error> {
    let mut others = 0;
    for path in &args.files {
        let open = Open::path(scenarios, path)?;
        let tidy = open.scenario()?.1.tidy(open.source())?;
        if tidy == open.text {
            continue;
        }
        others += 1;
        if args.check {
            print(&format!("{}\n", open.file))?;
        } else if let Some(line) = comment(&open.text) {
            return Err(Error::new(format!("{}:{line}: a comment would be lost", open.file))
                .help("say it in `about`, and take the comment out"));
        } else {
            write(path, &tidy)?;
        }
    }
    Ok(u8::from(args.check && others > 0))
}

/// Puts a text in a file's place: whole, or not at all.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    atomic_file::write(path, text).map_err(|error| {
        Error::new(format!("{}: cannot be written: {error}", path.display()))
            .help("look after the folder's rights and space")
    })
}

/// Lists cases. One that can't be played doesn't hide the others: it is told of among them.
pub(crate) fn cases(scenarios: &[Scenario], args: &CasesArgs) -> Result<u8, Error> {
    let usual = FOLDERS.map(PathBuf::from);
    let is_usual = args.places.is_empty();
    let places = if is_usual { &usual[..] } else { &args.places };
    let mut files = Vec::new();
    for place in places {
        if is_usual || place.is_dir() {
            files.extend(files::tree(place)?);
        } else {
            // What was named and isn't there says so when it is read.
            files.push(place.clone());
        }
    }
    if files.is_empty() {
        let places: Vec<String> = places.iter().map(|at| at.display().to_string()).collect();
        eprintln!("there are no cases in {}", places.join(", "));
    }
    let mut code = 0;
    for path in files {
        match row(scenarios, &path) {
            Ok(None) => {}
            Ok(Some((row, is_as_told))) => {
                print(&row)?;
                code = code.max(u8::from(!is_as_told));
            }
            Err(error) => {
                eprintln!("error: {error}");
                code = 2;
            }
        }
    }
    Ok(code)
}

/// What is listed of a case, and whether it is as told: a planted one is there, no other one is.
/// A script that is no case has no row, nor one whose threads nobody here can let take turns.
fn row(scenarios: &[Scenario], path: &Path) -> Result<Option<(String, bool)>, Error> {
    let open = Open::path(scenarios, path)?;
    let (scenario, system) = open.scenario()?;
    if cfg!(not(feature = "shuttle")) && system.is_contended(open.source())? {
        eprintln!("{}: has several threads, left out: build with --features shuttle", open.file);
        return Ok(None);
    }
    let Some(case) = system.case(open.source(), input(scenario)?)? else { return Ok(None) };
    let Case { kind, id, is_planted, report } = case;
    let became = report.replayed.map_or_else(String::new, |replayed| replayed.to_string());
    let planted = if is_planted { " (planted)" } else { "" };
    let row = format!("{kind:<20} {id}  {became}{planted}  {}\n", open.file);
    Ok(Some((row, is_planted == (report.replayed == Some(Replayed::Reproduced)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_seen_and_strings_are_not() {
        assert_eq!(comment("(a: 1,\n // why\n)"), Some(2));
        assert_eq!(comment("(a: 1, /* why */)"), Some(1));
        assert_eq!(comment(r#"(a: "https://x", b: "\"//", c: "\\")"#), None);
        assert_eq!(comment(r#"(c: "\\") // why"#), Some(1));
    }
}
