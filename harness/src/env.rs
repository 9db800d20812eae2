//! The environment: each variable that Mallory reads, and the error where it can't be read; and how
//! this program was started.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::report::token::Token;

/// What the environment asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    pub(crate) oom_after: Option<u64>,
    pub(crate) replay: Option<Token>,
    /// The file of a sequence that conformance runs in place of drawing any.
    pub(crate) sequence: Option<PathBuf>,
    pub(crate) seed: Option<u64>,
    pub(crate) jobs: Option<usize>,
    pub(crate) histogram: bool,
    pub(crate) bypass: bool,
}

fn value(name: &str, look: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    look(name).filter(|value| !value.is_empty())
}

fn number(name: &str, look: &dyn Fn(&str) -> Option<String>) -> Result<Option<u64>, Error> {
    let Some(text) = value(name, look) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Error::new(format!("{name}={text}: expected a whole number"))
            .help(format!("set {name} to a number, or unset it"))
    })
}

fn switch(name: &str, look: &dyn Fn(&str) -> Option<String>) -> Result<bool, Error> {
    match value(name, look).as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(text) => Err(Error::new(format!("{name}={text}: expected 0 or 1"))
            .help(format!("set {name} to 0 or 1, or unset it"))),
    }
}

impl Env {
    pub(crate) fn read() -> Result<Self, Error> {
        Self::from(&|name| std::env::var(name).ok())
    }

    fn from(look: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let replay = match value("MALLORY_REPLAY", look) {
            None => None,
            Some(line) => {
                Some(line.parse().map_err(|error| Error::new(format!("MALLORY_REPLAY: {error}")))?)
            }
        };
        let jobs = match number("MALLORY_JOBS", look)? {
            Some(0) => {
                return Err(Error::new("MALLORY_JOBS=0: at least one job is needed")
                    .help("set MALLORY_JOBS to 1 or more, or unset it"));
            }
            jobs => jobs.map(|jobs| jobs.min(1024) as usize),
        };
        Ok(Env {
            oom_after: number("MALLORY_OOM_AFTER", look)?,
            replay,
            sequence: value("MALLORY_SEQUENCE", look).map(PathBuf::from),
            seed: number("MALLORY_SEED", look)?,
            jobs,
            histogram: switch("MALLORY_HISTOGRAM", look)?,
            bypass: switch("MALLORY_DISABLE_CUSTOM_ALLOCATORS", look)?,
        })
    }
}

/// How this program was started, in words that a shell takes again. A place that is the machine's own
/// is left out: a program of another folder is named as if it lay here.
pub(crate) fn started() -> String {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if !words.is_empty() {
        return retyped(&words);
    }
    // Where a library of a C program is not told.
    let own = std::env::current_exe().ok();
    retyped(&[own.map_or_else(|| "program".to_owned(), |own| own.to_string_lossy().into_owned())])
}

fn retyped(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:+@%".contains(c);
    let quoted = |word: &str| match word {
        word if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let (program, rest) = words.split_first().map_or(("", words), |(first, rest)| (&**first, rest));
    let path = Path::new(program);
    let name = path.file_name().filter(|_| path.is_absolute()).map(|name| name.to_string_lossy());
    let program = name.map_or_else(|| program.to_owned(), |name| format!("./{name}"));
    let words = std::iter::once(&*program).chain(rest.iter().map(|word| &**word));
    words.map(quoted).collect::<Vec<_>>().join(" ")
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
            assert_eq!(retyped(&words), line);
        }
        assert!(!started().is_empty());
    }

    fn read(name: &'static str, value: &'static str) -> Result<Env, Error> {
        Env::from(&move |asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn each_variable_is_read() {
        assert_eq!(read("MALLORY_OOM_AFTER", "37").expect("read").oom_after, Some(37));
        assert_eq!(read("MALLORY_SEED", "9").expect("read").seed, Some(9));
        assert_eq!(read("MALLORY_JOBS", "2").expect("read").jobs, Some(2));
        assert!(read("MALLORY_HISTOGRAM", "1").expect("read").histogram);
        assert!(read("MALLORY_DISABLE_CUSTOM_ALLOCATORS", "1").expect("read").bypass);
        assert!(!read("MALLORY_DISABLE_CUSTOM_ALLOCATORS", "0").expect("read").bypass);
        let sequence = read("MALLORY_SEQUENCE", "found.txt").expect("read").sequence;
        assert_eq!(sequence, Some(PathBuf::from("found.txt")));
        let replay = read("MALLORY_REPLAY", "v1 x fp=000001").expect("read").replay;
        assert_eq!(replay.expect("there").scenario(), "x");
    }

    #[test]
    fn each_is_an_error_when_it_cannot_be_parsed() {
        for (name, value) in [
            ("MALLORY_OOM_AFTER", "seven"),
            ("MALLORY_SEED", "-1"),
            ("MALLORY_JOBS", "0"),
            ("MALLORY_JOBS", "x"),
            ("MALLORY_HISTOGRAM", "yes"),
            ("MALLORY_DISABLE_CUSTOM_ALLOCATORS", "2"),
            ("MALLORY_REPLAY", "v9 x fp=000001"),
        ] {
            let error = read(name, value).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
