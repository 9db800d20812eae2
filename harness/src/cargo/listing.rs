//! The tests of a program: it is asked for them, as `cargo test` runs them with these words.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::error::Error;

/// A test of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedTest {
    pub(super) name: String,
    /// Whether it is marked to be ignored, and the user didn't ask for those.
    pub(super) is_ignored: bool,
}

/// Flags of libtest's with a value that say nothing about which tests there are.
const VALUES: [&str; 5] = ["--test-threads", "--format", "--color", "--logfile", "--shuffle-seed"];
/// The same without a value.
const FLAGS: [&str; 8] = [
    "--nocapture",
    "--no-capture",
    "--show-output",
    "--quiet",
    "-q",
    "--report-time",
    "--shuffle",
    "--ensure-time",
];

/// Of the words for libtest, those that choose tests.
pub(super) fn choosing(words: &[OsString]) -> Vec<OsString> {
    let mut chosen = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        let name = text.split('=').next().unwrap_or(&text);
        if VALUES.contains(&name) {
            if !text.contains('=') {
                rest.next();
            }
        } else if !FLAGS.contains(&name) {
            chosen.push(word.clone());
        }
    }
    chosen
}

/// The tests of a program that these words choose. `command` starts the program, unwatched.
///
/// # Errors
/// The program can't be started, or doesn't understand the words.
pub(super) fn tests(
    command: &dyn Fn() -> Command,
    words: &[OsString],
) -> Result<Vec<ListedTest>, Error> {
    let choosing = choosing(words);
    let asks_ignored = |word: &OsString| word == "--ignored" || word == "--include-ignored";
    let all = names(command, &choosing, &[])?;
    let ignored = match choosing.iter().any(asks_ignored) {
        true => Vec::new(),
        false => names(command, &choosing, &["--ignored"])?,
    };
    let test = |name: String| ListedTest { is_ignored: ignored.contains(&name), name };
    Ok(all.into_iter().map(test).collect())
}

/// The names of the tests that the program lists.
fn names(
    command: &dyn Fn() -> Command,
    choosing: &[OsString],
    more: &[&str],
) -> Result<Vec<String>, Error> {
    let mut command = command();
    command.args(["--list", "--format", "terse"]).args(more).args(choosing);
    command.stdin(Stdio::null());
    let place = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        Error::new(format!("cannot start the test program: {error}")).at(place.clone())
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<String> = said.lines().take(8).map(str::to_owned).collect();
        return Err(Error::new("the test program doesn't list its tests")
            .at(place)
            .listing(&said)
            .help("behind `--` stand names of tests, and flags of libtest's that choose tests"));
    }
    Ok(listed(&String::from_utf8_lossy(&output.stdout)))
}

/// The tests in a list, in the order of their names. Benchmarks are none.
fn listed(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_output_choose_nothing() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let all =
            words("--nocapture a --test-threads 4 --format=json --skip b --exact --color never");
        assert_eq!(choosing(&all), words("a --skip b --exact"));
    }

    #[test]
    fn benchmarks_are_no_tests() {
        assert_eq!(listed("b::two: test\na: test\nfast: benchmark\n\nnoise\n"), ["a", "b::two"]);
    }
}
