//! How this program was started, as a command that starts it again the same way: a test under the
//! runner that runs it, an example, a program of Cargo's or any other, in the same profile.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The command that started this program, quoted for a shell. An absolute path is cut to the file's
/// name, `./name`, since reports hold no paths of the machine.
pub(crate) fn started() -> String {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if !words.is_empty() {
        return quoted(&words);
    }
    // Rust knows no arguments inside a library of a C program on some systems.
    let own = std::env::current_exe().ok();
    quoted(&[own.map_or_else(|| "program".to_owned(), |own| own.to_string_lossy().into_owned())])
}

/// A word, quoted for a shell if it needs to be.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:+@%".contains(c);
    match word {
        word if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn quoted(words: &[String]) -> String {
    let (program, rest) = words.split_first().map_or(("", words), |(first, rest)| (&**first, rest));
    let path = Path::new(program);
    let name = path.file_name().filter(|_| path.is_absolute()).map(|name| name.to_string_lossy());
    let program = name.map_or_else(|| program.to_owned(), |name| format!("./{name}"));
    let words = std::iter::once(&*program).chain(rest.iter().map(|word| &**word));
    words.map(quote).collect::<Vec<_>>().join(" ")
}

/// What is known of this program's start.
struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    /// Whether nextest runs it.
    is_nextest: bool,
    /// Whether its folder has one with Cargo's build results.
    has_deps: bool,
}

impl Launch {
    fn of_this_program() -> Launch {
        let program = std::env::current_exe().unwrap_or_default();
        let has_deps = program.parent().is_some_and(|folder| folder.join("deps").is_dir());
        Launch {
            arguments: std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            is_nextest: std::env::var_os("NEXTEST").is_some_and(|set| set == "1"),
            has_deps,
            program,
        }
    }

    /// The name of the folder in which the program is.
    fn folder(&self) -> &str {
        let folder = self.program.parent().and_then(Path::file_name);
        folder.and_then(OsStr::to_str).unwrap_or_default()
    }

    fn is_doctest(&self) -> bool {
        let is_it = |part: &OsStr| part.to_string_lossy().starts_with("rustdoctest");
        self.program.iter().any(is_it)
    }

    /// Cargo's flag for the profile that it was built in, behind a space; empty for the default one.
    fn profile(&self) -> String {
        let inner = matches!(self.folder(), "deps" | "examples");
        let folder = if inner { self.program.parent() } else { Some(&*self.program) };
        let folder = folder.and_then(Path::parent).and_then(Path::file_name);
        match folder.and_then(OsStr::to_str) {
            None | Some("debug") => String::new(),
            Some("release") => " --release".to_owned(),
            // Nextest has profiles of its own.
            Some(other) if self.is_nextest => format!(" --cargo-profile {other}"),
            Some(other) => format!(" --profile {other}"),
        }
    }

    /// The name of the target, without the hash that Cargo adds to those in `deps`.
    fn target(&self) -> String {
        let name = self.program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match name.rsplit_once('-') {
            Some((target, hash)) if self.folder() == "deps" && hash.len() == 16 => {
                target.to_owned()
            }
            _ => name,
        }
    }

    /// The command that runs the test of this name, or all tests of this program.
    fn test(&self, name: Option<&str>) -> String {
        let name = name.map(str::to_owned).or_else(|| {
            let exact = self.arguments.iter().any(|word| word == "--exact");
            self.arguments.iter().find(|word| exact && !word.starts_with('-')).cloned()
        });
        let name = name.map(|name| format!(" {}", quote(&name)));
        let profile = self.profile();
        match name {
            _ if self.is_doctest() => "cargo test --doc".to_owned(),
            Some(name) if self.is_nextest => format!("cargo nextest run{profile}{name}"),
            _ if self.arguments.iter().any(|word| word == "--bench") => {
                format!("cargo bench --bench {}", quote(&self.target()))
            }
            Some(name) => format!("cargo test{profile}{name} -- --exact"),
            None => format!("cargo test{profile}"),
        }
    }

    /// The command that runs all tests with this in their names.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are written in it"))]
    fn tests_with(&self, part: &str) -> String {
        let (profile, part) = (self.profile(), quote(part));
        let runner = if self.is_nextest { "nextest run" } else { "test" };
        format!("cargo {runner}{profile} {part}")
    }

    /// The command that starts a program that is no test.
    fn program(&self) -> String {
        let (profile, target) = (self.profile(), quote(&self.target()));
        match self.folder() {
            _ if self.is_doctest() => self.test(None),
            "deps" => self.test(None),
            "examples" => format!("cargo run{profile} --example {target}"),
            _ if self.has_deps => format!("cargo run{profile} --bin {target}"),
            _ => started(),
        }
    }

    /// The command in front of a subcommand of the command line, built with these features.
    fn command_line(&self, features: Option<&str>) -> String {
        if !self.has_deps && self.folder() != "deps" {
            return quote(&self.target());
        }
        let features = features.map(|names| format!(" --features {names}")).unwrap_or_default();
        format!("cargo run{}{features} --", self.profile())
    }
}

/// The command that runs the test of this name again.
pub(crate) fn test(name: &str) -> String {
    Launch::of_this_program().test(Some(name))
}

/// The command that runs all tests with this in their names again.
#[cfg(feature = "ron")]
pub(crate) fn tests_with(part: &str) -> String {
    Launch::of_this_program().tests_with(part)
}

/// The command that starts this program again, which is none of Mallory's command lines.
pub(crate) fn program() -> String {
    Launch::of_this_program().program()
}

/// The command that starts this command line again, built with these features.
pub(crate) fn command_line(features: Option<&str>) -> String {
    Launch::of_this_program().command_line(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_as_it_was_started_but_for_the_machines_folders() {
        for (words, line) in [
            (&["target/words", "leak"][..], "target/words leak"),
            (&["words"], "words"),
            (&["/home/somebody/words", "a b", "it's", ""], r"./words 'a b' 'it'\''s' ''"),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(quoted(&words), line);
        }
        assert!(!started().is_empty());
    }

    fn launch(program: &str, arguments: &[&str], is_nextest: bool) -> Launch {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let has_deps = program.contains("/target/");
        Launch { program: PathBuf::from(program), arguments, is_nextest, has_deps }
    }

    #[test]
    fn a_test_is_run_again_by_its_runner_in_its_profile() {
        let name = Some("queue::is_clean");
        for (program, arguments, is_nextest, command) in [
            (
                "/w/target/debug/deps/t-0123456789abcdef",
                &[][..],
                true,
                "cargo nextest run queue::is_clean",
            ),
            (
                "/w/target/release/deps/t-0123456789abcdef",
                &[],
                true,
                "cargo nextest run --release queue::is_clean",
            ),
            (
                "/w/target/quick/deps/t-0123456789abcdef",
                &[],
                true,
                "cargo nextest run --cargo-profile quick queue::is_clean",
            ),
            (
                "/w/target/debug/deps/t-0123456789abcdef",
                &[],
                false,
                "cargo test queue::is_clean -- --exact",
            ),
            (
                "/w/target/quick/deps/t-0123456789abcdef",
                &[],
                false,
                "cargo test --profile quick queue::is_clean -- --exact",
            ),
            ("/tmp/rustdoctestXyZ/rust_out", &[], false, "cargo test --doc"),
            (
                "/w/target/release/deps/speed-0123456789abcdef",
                &["--bench"],
                false,
                "cargo bench --bench speed",
            ),
        ] {
            assert_eq!(launch(program, arguments, is_nextest).test(name), command);
        }
    }

    #[test]
    fn a_program_is_started_again_as_what_it_is() {
        for (program, arguments, command) in [
            ("/w/target/debug/words", &[][..], "cargo run --bin words"),
            ("/w/target/release/words", &[], "cargo run --release --bin words"),
            ("/w/target/debug/examples/first", &[], "cargo run --example first"),
            (
                "/w/target/debug/deps/t-0123456789abcdef",
                &["a::b", "--exact"],
                "cargo test a::b -- --exact",
            ),
            ("/w/target/debug/deps/t-0123456789abcdef", &["--test-threads=1"], "cargo test"),
        ] {
            assert_eq!(launch(program, arguments, false).program(), command);
        }
        let line = |program: &str| launch(program, &[], false).command_line(Some("shuttle"));
        assert_eq!(line("/w/target/release/mallory"), "cargo run --release --features shuttle --");
        assert_eq!(line("/w/target/debug/mallory"), "cargo run --features shuttle --");
        assert_eq!(line("/home/somebody/.cargo/bin/mallory"), "mallory");
    }
}
