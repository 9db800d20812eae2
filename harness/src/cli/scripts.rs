//! The commands on script files: `run`, `minimise`, `new`, `fmt` and `cases`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cli::fuzz_setup;
use crate::cli::input::cores;
use crate::cli::output::{Format, print_error, print_report, print_row, say};
use crate::error::Error;
use crate::printable;
use crate::process::atomic_file;
use crate::report::Replayed;
use crate::scenario::Scenario;
use crate::script::dyn_system::{AnySystem, Case, Driver, Source};
use crate::script::files;
use crate::script::shrink::Limits;
use crate::sweep::builder::Sweep;

/// The folders in which cases are looked for by default.
const FOLDERS: [&str; 3] = ["cases", "tests/cases", "scenarios/cases"];

#[derive(Args)]
pub(crate) struct RunArgs {
    /// A script file, or `case:<id>`.
    file: String,
    /// A folder into which findings are written as cases.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct MinimiseArgs {
    /// A script file, or `case:<id>`.
    file: String,
    /// The most runs to try.
    #[arg(long, value_name = "N", default_value_t = Limits::default().runs)]
    runs: u64,
    /// The most seconds to take. The result then depends on the machine.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Replaces the file with the smallest script.
    #[arg(long)]
    write: bool,
}

#[derive(Args)]
pub(crate) struct NewArgs {
    /// The script's name; the file is NAME.ron.
    #[arg(required_unless_present = "fuzz")]
    name: Option<String>,
    /// Writes the set-up of a fuzz target for this system instead, in the package of this folder.
    #[arg(long, value_name = "SYSTEM", conflicts_with_all = ["name", "system"])]
    fuzz: Option<String>,
    /// The system that it is for. Default: the one with the script's name.
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
}

#[derive(Args)]
pub(crate) struct FmtArgs {
    /// Script files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Lists the files that would change, and changes none.
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
pub(crate) struct CasesArgs {
    /// Folders of cases, or case files. Default: cases, tests/cases and scenarios/cases.
    places: Vec<PathBuf>,
}

/// The text of a script file.
struct Open<'a> {
    path: PathBuf,
    /// The path as it can be printed.
    file: String,
    text: String,
    scenarios: &'a [Scenario],
}

impl<'a> Open<'a> {
    /// Reads the file that an argument names: a path, or `case:<id>`.
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
                .help("`cases` lists all cases; or give the file's path")
        })?;
        Self::path(scenarios, &path)
    }

    fn path(scenarios: &'a [Scenario], path: &Path) -> Result<Self, Error> {
        let text = files::read(path)?;
        Ok(Open {
            path: path.to_owned(),
            file: printable::command(&path.display().to_string()),
            text,
            scenarios,
        })
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

pub(crate) fn run(scenarios: &[Scenario], args: &RunArgs, format: Format) -> Result<u8, Error> {
    let open = Open::named(scenarios, &args.file)?;
    let (scenario, system) = open.scenario()?;
    let input = input(scenario)?;
    let report = match system.case(open.source(), Arc::clone(&input))? {
        Some(Case { report, .. }) => report,
        // A script that is no case: one run with its faults, or a sweep; with several threads, an
        // exploration.
        None => {
            let sweep = Sweep::new(system.name()).jobs_unless_set(None, cores()).input(input);
            let is_contended = system.is_contended(open.source())?;
            let driver = if is_contended { Driver::Explore } else { Driver::Sweep };
            system.drive(open.source(), driver, sweep, args.cases.as_deref())
        }
    };
    print_report(&report, "run", format)?;
    Ok(report.exit_code())
}

/// What is left of a script.
#[derive(Serialize)]
struct ShrunkScript<'a> {
    removed: &'a str,
    script: &'a str,
}

pub(crate) fn minimise(
    scenarios: &[Scenario],
    args: &MinimiseArgs,
    format: Format,
) -> Result<u8, Error> {
    let open = Open::named(scenarios, &args.file)?;
    let (scenario, system) = open.scenario()?;
    let limits = Limits { runs: args.runs, time: args.seconds.map(Duration::from_secs) };
    let small = system.minimise(open.source(), input(scenario)?, limits)?;
    let small = small.ok_or_else(|| {
        Error::new("the script has no finding")
            .at(&*open.file)
            .help("give it a fault that shows one, or search for one with `run --cases FOLDER`")
    })?;
    let Some(removed) = small.removed else {
        if format == Format::Text {
            say(&small.report.to_string());
        }
        return Err(Error::new("the script has another finding in each run")
            .at(open.file)
            .help("make the system do the same in every run"));
    };
    if format == Format::Text {
        say(&format!("{removed}\n"));
    }
    if args.write {
        write(&open.path, &small.text)?;
    }
    if !args.write || format == Format::Json {
        let json = ShrunkScript { removed: &removed.to_string(), script: &small.text };
        print_row(&small.text, &json, "minimise", format)?;
    }
    Ok(1)
}

pub(crate) fn new(scenarios: &[Scenario], args: &NewArgs, format: Format) -> Result<u8, Error> {
    if let Some(system) = &args.fuzz {
        let (_, known) = named(scenarios, system, "--fuzz")?;
        for file in fuzz_setup::write(Path::new("."), system, known.type_path())? {
            print_file(&file, "new", format)?;
        }
        return Ok(0);
    }
    let name = args.name.as_deref().unwrap_or_default();
    if !crate::report::token::is_name(name) || name.contains('/') {
        return Err(Error::new(format!("{name:?} is no name for a script"))
            .help("use lower-case letters, digits, and _ or - after the first; at most 40"));
    }
    let (scenario, known) = named(scenarios, args.system.as_deref().unwrap_or(name), "--system")?;
    let path = PathBuf::from(format!("{name}.ron"));
    if path.exists() {
        return Err(Error::new("the file exists already")
            .at(path.display().to_string())
            .help("choose another name, or remove it first"));
    }
    let (text, file) = scenario.source.unwrap_or_default();
    let about = "what it is about, on one line";
    write(&path, &known.beginning(Source { text, file }, about)?)?;
    print_file(&path.display().to_string(), "new", format)?;
    Ok(0)
}

/// The system of this name, which the flag gives.
fn named<'a>(
    scenarios: &'a [Scenario],
    system: &str,
    flag: &str,
) -> Result<(&'a Scenario, &'a dyn AnySystem), Error> {
    by_system(scenarios, system).ok_or_else(|| {
        let all = scenarios.iter().filter_map(|one| one.systems.first());
        let mut all: Vec<&str> = all.map(|system| system.name()).collect();
        all.dedup();
        Error::new(format!("there is no system `{system}`"))
            .help(format!("name one with {flag}: {}", all.join(", ")))
    })
}

/// The line of a script's first comment, which formatting would lose.
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
        // An escaped backslash escapes nothing.
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    None
}

pub(crate) fn fmt(scenarios: &[Scenario], args: &FmtArgs, format: Format) -> Result<u8, Error> {
    let mut unformatted = 0;
    for path in &args.files {
        let open = Open::path(scenarios, path)?;
        let tidy = open.scenario()?.1.tidy(open.source())?;
        if tidy == open.text {
            continue;
        }
        unformatted += 1;
        if args.check {
            print_file(&open.file, "fmt", format)?;
        } else if let Some(line) = comment(&open.text) {
            return Err(Error::new("formatting would lose a comment")
                .at(format!("{}:{line}", open.file))
                .help("move its text to `about`, and remove the comment"));
        } else {
            write(path, &tidy)?;
        }
    }
    Ok(u8::from(args.check && unformatted > 0))
}

/// A file that was written, or would be.
#[derive(Serialize)]
struct NamedFile<'a> {
    file: &'a str,
}

/// Prints the name of a file that a command wrote, or would write.
///
/// # Errors
/// Standard output can't be written to.
fn print_file(file: &str, command: &str, format: Format) -> Result<(), Error> {
    print_row(&format!("{file}\n"), &NamedFile { file }, command, format)
}

/// Replaces a file with a text: all of it or nothing.
///
/// # Errors
/// The file can't be written.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    atomic_file::write(path, text).map_err(|error| {
        Error::new(format!("cannot write the file: {error}"))
            .at(path.display().to_string())
            .help("check the folder's permissions and free space")
    })
}

/// Replays and lists cases. One that can't be replayed is an error among the others' lines.
pub(crate) fn cases(scenarios: &[Scenario], args: &CasesArgs, format: Format) -> Result<u8, Error> {
    let default_places = FOLDERS.map(PathBuf::from);
    let is_default = args.places.is_empty();
    let places = if is_default { &default_places[..] } else { &args.places };
    let mut files = Vec::new();
    for place in places {
        if !is_default && !place.exists() {
            return Err(Error::new("there is no such folder or file")
                .at(place.display().to_string())
                .help("name a folder of cases, or a case file"));
        }
        if is_default || place.is_dir() {
            files.extend(files::tree(place)?);
        } else {
            files.push(place.clone());
        }
    }
    if files.is_empty() {
        let places: Vec<String> = places.iter().map(|at| at.display().to_string()).collect();
        return Err(Error::new(format!("there are no cases in {}", places.join(", ")))
            .help("name the folder in which they are"));
    }
    let mut code = 0;
    for path in files {
        match row(scenarios, &path, format) {
            Ok(is_as_expected) => code = code.max(u8::from(!is_as_expected)),
            Err(error) => {
                print_error(None, &error, format);
                code = 2;
            }
        }
    }
    Ok(code)
}

/// A case and what replaying it showed.
#[derive(Serialize)]
struct ReplayedCase<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    /// What replaying it showed, or why it was left out.
    replayed: &'a str,
    planted: bool,
}

/// Prints the row of a case. Returns whether it is as expected: a planted bug still shows, and no other
/// one does. There is no row for a script that is no case, or in text for one that needs a model
/// checker this build lacks.
fn row(scenarios: &[Scenario], path: &Path, format: Format) -> Result<bool, Error> {
    let open = Open::path(scenarios, path)?;
    let (scenario, system) = open.scenario()?;
    let file = &*open.file;
    if cfg!(not(feature = "shuttle")) && system.is_contended(open.source())? {
        let replayed = "left out, since it has several threads: build with --features shuttle";
        if format == Format::Text {
            say(&format!("{file}: {replayed}\n"));
        } else {
            let json = ReplayedCase { file, id: None, kind: None, replayed, planted: false };
            print_row("", &json, "cases", format)?;
        }
        return Ok(true);
    }
    let Some(case) = system.case(open.source(), input(scenario)?)? else { return Ok(true) };
    let Case { kind, id, is_planted, report } = case;
    if let Some(error) = report.error() {
        return Err(error.clone());
    }
    let replayed = report.replayed.map_or_else(String::new, |replayed| replayed.to_string());
    let planted = if is_planted { " (planted)" } else { "" };
    let text = format!("{kind:<20} {id}  {replayed}{planted}  {file}\n");
    let kind = kind.to_string();
    let (id, kind) = (Some(&*id), Some(&*kind));
    let json = ReplayedCase { file, id, kind, replayed: &replayed, planted: is_planted };
    print_row(&text, &json, "cases", format)?;
    Ok(is_planted == (report.replayed == Some(Replayed::Reproduced)))
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
