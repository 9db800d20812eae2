//! How this program was started, as the command that starts it again: a test by the runner that ran
//! it, an example, a benchmark, a documentation test, another program of a package, or a program that
//! cargo knows nothing of. Replay lines begin with it.
//!
//! Cargo doesn't say what it was told, so this is read from where it puts programs, from the variables
//! that it and nextest set, and (on Linux) from the words with which the runner was started. Nothing
//! else of the machine is in the command: no path but one that was typed, and no process.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

/// What a program knows of how it was started.
struct Launch<'a> {
    /// The program's file.
    file: PathBuf,
    /// The words of its command, the program first.
    words: Vec<String>,
    /// The name of this thread: `main`, or the test that runs in it.
    thread: Option<String>,
    /// The words with which cargo or nextest was started, if one of them started this program.
    runner: Vec<String>,
    /// A variable.
    look: &'a dyn Fn(&str) -> Option<String>,
}

/// What cargo built a program as.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Test,
    /// Tests with a `main` of their own.
    OwnMain(String),
    Bench(String),
    Example(String),
    Bin(String),
    Doctest,
}

/// The most processes above this one among which cargo is looked for. A documentation test is started
/// by a program that rustdoc starts.
const ANCESTORS_MAX: usize = 4;

/// The command that starts this program again: the test that this thread runs, or the program.
pub(crate) fn program() -> String {
    read(|launch| launch.again())
}

/// The command that runs the test of this name again, by the runner that runs this program.
#[cfg(feature = "ron")]
pub(crate) fn test(name: &str) -> String {
    read(|launch| launch.test(name))
}

/// The command that runs all tests of this package whose names contain this, in whichever program.
#[cfg(feature = "ron")]
pub(crate) fn tests_with(part: &str) -> String {
    read(|launch| launch.cargo(launch.runner_command(), &[&quoted(part)]))
}

/// The command that a program with Mallory's command line is started by, with this feature.
pub(crate) fn command_line(feature: Option<&str>) -> String {
    read(|launch| launch.command_line(feature))
}

/// The command that started this program, quoted for a shell. An absolute path is cut to the file's
/// name, `./name`, since reports hold no paths of the machine.
#[cfg(feature = "c")]
pub(crate) fn started() -> String {
    read(|launch| launch.as_typed())
}

/// Calls `work` with how this program was started.
fn read<R>(work: impl FnOnce(&Launch<'_>) -> R) -> R {
    let file = std::env::current_exe().unwrap_or_default();
    let mut words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.is_empty() {
        // Rust knows no arguments inside a library of a C program on some systems.
        words.push(file.to_string_lossy().into_owned());
    }
    let thread = std::thread::current().name().map(str::to_owned);
    let look = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    work(&Launch { file, words, thread, runner: runner(), look: &look })
}

/// The words with which the nearest cargo or nextest above this process was started.
fn runner() -> Vec<String> {
    let mut process = "self".to_owned();
    for _ in 0..ANCESTORS_MAX {
        let Some(parent) = parent_of(&process) else { break };
        process = parent;
        let text = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let words = text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into());
        let words: Vec<String> = words.collect();
        let program = words.first().and_then(|word| Path::new(word).file_stem()?.to_str());
        if matches!(program, Some("cargo" | "cargo-nextest")) {
            return words;
        }
    }
    Vec::new()
}

/// The process that started this one, where the system says so in a file.
fn parent_of(process: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before the state may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1).map(str::to_owned)
}

impl Launch<'_> {
    fn again(&self) -> String {
        let runner = self.runner_command();
        let by_cargo = (self.look)("CARGO_PKG_NAME").is_some();
        // A runner that runs one test says so; else the thread is named like the test.
        let test = self.exact_test().or_else(|| self.thread.clone());
        match (self.target(), &test) {
            (Some((Target::Test, _)), Some(test)) => self.test(test),
            // A thread of the test's own.
            (Some((Target::Test, _)), None) => self.cargo(runner, &[]),
            (Some((Target::OwnMain(name), _)), _) => self.cargo(runner, &["--test", &name]),
            (Some((Target::Bench(name), _)), _) => self.cargo("bench", &["--bench", &name]),
            (Some((Target::Doctest, _)), _) => self.cargo("test", &["--doc"]),
            (Some((Target::Example(name), _)), _) if by_cargo => {
                self.with_arguments(self.cargo("run", &["--example", &name]))
            }
            (Some((Target::Bin(name), _)), _) if by_cargo => {
                self.with_arguments(self.cargo("run", &["--bin", &name]))
            }
            _ => self.as_typed(),
        }
    }

    /// The name of the only test that this program was told to run.
    fn exact_test(&self) -> Option<String> {
        let words = self.words.get(1..)?;
        let is_exact = words.iter().any(|word| word == "--exact");
        words.iter().find(|word| is_exact && !word.starts_with('-')).cloned()
    }

    fn test(&self, name: &str) -> String {
        let name = quoted(name);
        let program = self.test_program();
        let program: Vec<&str> = program.iter().flat_map(|name| ["--test", name]).collect();
        if self.is_nextest() {
            return self.cargo("nextest run", &[&program, &[&*name][..]].concat());
        }
        self.cargo("test", &[&program, &[&*name, "--", "--exact"][..]].concat())
    }

    /// The name of the test program that this one is, so that no other has to be built, if it is where
    /// cargo looks for it. Tests inside of a library or of a program are selected by their names alone.
    fn test_program(&self) -> Option<String> {
        let name = without_hash(self.file.file_stem()?.to_str()?);
        let tests = PathBuf::from((self.look)("CARGO_MANIFEST_DIR")?).join("tests");
        let known = [format!("{name}.rs"), format!("{name}/main.rs")];
        known.iter().any(|file| tests.join(file).is_file()).then(|| name.to_owned())
    }

    fn command_line(&self, feature: Option<&str>) -> String {
        let features: Vec<&str> =
            feature.into_iter().flat_map(|feature| ["--features", feature]).collect();
        match self.target() {
            Some((_, profile)) => {
                let flags = [profile_flags("run", &profile), self.package()].concat();
                let flags = flags.iter().map(String::as_str).chain(features);
                let words = std::iter::once("cargo run").chain(flags).chain(["--"]);
                words.collect::<Vec<_>>().join(" ")
            }
            // It is installed.
            None => {
                let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
                quoted(&name.unwrap_or_else(|| "mallory".to_owned()))
            }
        }
    }

    /// What runs tests.
    fn runner_command(&self) -> &'static str {
        if self.is_nextest() { "nextest run" } else { "test" }
    }

    fn is_nextest(&self) -> bool {
        (self.look)("NEXTEST").is_some()
    }

    /// The command of cargo for this package and profile, with these words behind the flags.
    fn cargo(&self, command: &str, words: &[&str]) -> String {
        let profile = self.target().map(|(_, profile)| profile).unwrap_or_default();
        let mut all = vec![format!("cargo {command}")];
        all.extend(profile_flags(command, &profile));
        all.extend(self.package());
        all.extend(self.features());
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all.join(" ")
    }

    /// The flag that names the package, unless it is the only one of its folder.
    fn package(&self) -> Vec<String> {
        let Some(name) = (self.look)("CARGO_PKG_NAME") else { return Vec::new() };
        let folder = (self.look)("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let is_alone = folder.is_some_and(|folder| self.file.starts_with(folder.join("target")));
        if is_alone { Vec::new() } else { vec!["-p".to_owned(), name] }
    }

    /// The flags for features and the target that the runner was given.
    fn features(&self) -> Vec<String> {
        let mut flags = Vec::new();
        let mut words = self.runner.iter().take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (&**word, None),
            };
            match name {
                "--all-features" | "--no-default-features" => flags.push(name.to_owned()),
                "--features" | "-F" => {
                    let value = value.or_else(|| words.next().map(String::as_str)).unwrap_or("");
                    let own = self.own_features(value);
                    if !own.is_empty() {
                        flags.extend(["--features".to_owned(), quoted(&own)]);
                    }
                }
                "--target" => {
                    let value = value.or_else(|| words.next().map(String::as_str)).unwrap_or("");
                    flags.extend([name.to_owned(), quoted(value)]);
                }
                _ => {}
            }
        }
        flags
    }

    /// These features without those of other packages, which cargo refuses where one is named.
    fn own_features(&self, features: &str) -> String {
        let package = (self.look)("CARGO_PKG_NAME");
        let is_own = |feature: &&str| match (feature.split_once('/'), &package) {
            (Some((of, _)), Some(package)) => of == package,
            _ => !feature.is_empty(),
        };
        features.split([',', ' ']).filter(is_own).collect::<Vec<_>>().join(",")
    }

    /// What cargo built this program as, and the name of the profile's folder.
    fn target(&self) -> Option<(Target, String)> {
        let name = self.file.file_stem()?.to_str()?;
        let text = |path: Option<&Path>| path?.file_name()?.to_str().map(str::to_owned);
        let folder = self.file.parent()?;
        let is_doctest =
            |path: &Path| text(Some(path)).is_some_and(|name| name.starts_with("rustdoctest"));
        if folder.ancestors().any(is_doctest) {
            // It is in a folder for what is temporary. Whoever releases tests in release.
            let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
            return Some((Target::Doctest, profile.to_owned()));
        }
        let is_test = self.thread.as_deref() != Some("main");
        let profile = || text(folder.parent());
        match text(Some(folder))?.as_str() {
            "deps" if self.words.iter().any(|word| word == "--bench") => {
                Some((Target::Bench(without_hash(name).to_owned()), profile()?))
            }
            "deps" if !is_test => {
                Some((Target::OwnMain(without_hash(name).to_owned()), profile()?))
            }
            "examples" if without_hash(name) == name => {
                Some((Target::Example(name.to_owned()), profile()?))
            }
            "deps" | "examples" => Some((Target::Test, profile()?)),
            own if folder.join("deps").is_dir() => {
                Some((Target::Bin(name.to_owned()), own.to_owned()))
            }
            _ => None,
        }
    }

    fn with_arguments(&self, command: String) -> String {
        match self.words.get(1..) {
            None | Some([]) => command,
            Some(rest) => {
                let rest = rest.iter().map(|word| quoted(word));
                format!("{command} -- {}", rest.collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn as_typed(&self) -> String {
        let (program, rest) =
            self.words.split_first().map_or(("program", &[][..]), |(first, rest)| (&**first, rest));
        let path = Path::new(program);
        let name =
            path.file_name().filter(|_| path.is_absolute()).map(|name| name.to_string_lossy());
        let program = name.map_or_else(|| program.to_owned(), |name| format!("./{name}"));
        let words = std::iter::once(&*program).chain(rest.iter().map(|word| &**word));
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// The flags with which cargo builds in this profile, by the name of its folder.
fn profile_flags(command: &str, folder: &str) -> Vec<String> {
    let flag = if command == "nextest run" { "--cargo-profile" } else { "--profile" };
    match folder {
        "" => Vec::new(),
        "release" if command == "bench" => Vec::new(),
        "release" => vec!["--release".to_owned()],
        "debug" => Vec::new(),
        other => vec![flag.to_owned(), quoted(other)],
    }
}

/// The name of a target without the hash that cargo puts behind it.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
            name
        }
        _ => name,
    }
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
