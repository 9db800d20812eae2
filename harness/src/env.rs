//! The `MALLORY_*` variables of the environment, each an error if it can't be parsed.

use std::path::PathBuf;

use crate::error::Error;
use crate::report::token::Token;

/// What the environment asks for. An empty variable counts as unset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    /// `MALLORY_OOM_AFTER`: one run in which every request after this many fails.
    pub(crate) oom_after: Option<u64>,
    /// `MALLORY_REPLAY`: the token to replay.
    pub(crate) replay: Option<Token>,
    /// `MALLORY_SEQUENCE`: a file with the sequence that conformance runs instead of random ones.
    pub(crate) sequence: Option<PathBuf>,
    /// `MALLORY_SEED`.
    pub(crate) seed: Option<u64>,
    /// `MALLORY_JOBS`, at most 1,024.
    pub(crate) jobs: Option<usize>,
    /// `MALLORY_HISTOGRAM`: whether reports give percentiles of the request sizes.
    pub(crate) histogram: bool,
    /// `MALLORY_UPDATE`: whether files of allowed call sites are written anew.
    pub(crate) update: bool,
    /// `MALLORY_DISABLE_CUSTOM_ALLOCATORS`: whether memory parts pass every allocation to their
    /// port.
    pub(crate) bypass: bool,
}

/// What the names of all variables begin with.
pub(crate) const PREFIX: &str = "MALLORY_";

/// The variables that there are. A fuzz target reads three of the last four; a program that a subject
/// starts inherits the last one.
const KNOWN: [&str; 14] = [
    "MALLORY_DISABLE_CUSTOM_ALLOCATORS",
    "MALLORY_HISTOGRAM",
    "MALLORY_JOBS",
    "MALLORY_OOM_AFTER",
    "MALLORY_REPLAY",
    "MALLORY_SEED",
    "MALLORY_SEQUENCE",
    "MALLORY_UPDATE",
    "MALLORY_CASES",
    "MALLORY_KNOWN",
    "MALLORY_TRIAGE",
    "MALLORY_CHILD",
    "MALLORY_EXEC",
    "MALLORY_CARGO",
];

/// Refuses a variable that looks like one of ours and is none: a misspelt one would silently ask for
/// nothing.
fn check_names(names: impl Iterator<Item = String>) -> Result<(), Error> {
    let mut unknown: Vec<String> =
        names.filter(|name| name.starts_with(PREFIX) && !KNOWN.contains(&&**name)).collect();
    unknown.sort();
    let Some(name) = unknown.first() else { return Ok(()) };
    let what = "there is no such variable";
    let own = |name: &'static str| name.trim_start_matches(PREFIX);
    let (asked, known) = (name.trim_start_matches(PREFIX), KNOWN.map(own));
    Err(Error::new(what).at(name).help(
        match similar::get_close_matches(asked, &known, 1, 0.6)[..] {
            [nearest] => format!("did you mean {PREFIX}{nearest}? Otherwise unset it"),
            _ => format!("unset it, or set one of {}", KNOWN.join(", ")),
        },
    ))
}

/// A variable's value, by `look`; tests inject their own.
fn value(name: &str, look: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    look(name).filter(|value| !value.is_empty())
}

fn number(name: &str, look: &dyn Fn(&str) -> Option<String>) -> Result<Option<u64>, Error> {
    let Some(text) = value(name, look) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Error::new(format!("expected a whole number, found `{text}`"))
            .at(name)
            .help(format!("set {name} to a number, or unset it"))
    })
}

fn switch(name: &str, look: &dyn Fn(&str) -> Option<String>) -> Result<bool, Error> {
    match value(name, look).as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(text) => Err(Error::new(format!("expected 0 or 1, found `{text}`"))
            .at(name)
            .help(format!("set {name} to 0 or 1, or unset it"))),
    }
}

impl Env {
    /// Reads all variables.
    ///
    /// # Errors
    /// One that can't be parsed, or that doesn't exist.
    pub(crate) fn read() -> Result<Self, Error> {
        check_names(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        Self::from(&|name| std::env::var(name).ok())
    }

    fn from(look: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let replay = match value("MALLORY_REPLAY", look) {
            None => None,
            Some(line) => {
                let token = line.parse().map_err(|error: Error| error.within("MALLORY_REPLAY"));
                Some(token?)
            }
        };
        let jobs = match number("MALLORY_JOBS", look)? {
            Some(0) => {
                return Err(Error::new("at least one job is needed, found `0`")
                    .at("MALLORY_JOBS")
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
            update: switch("MALLORY_UPDATE", look)?,
            bypass: switch("MALLORY_DISABLE_CUSTOM_ALLOCATORS", look)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Env, Error> {
        Env::from(&move |asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn each_variable_is_read() {
        assert_eq!(read("MALLORY_OOM_AFTER", "37").expect("read").oom_after, Some(37));
        assert_eq!(read("MALLORY_SEED", "9").expect("read").seed, Some(9));
        assert_eq!(read("MALLORY_JOBS", "2").expect("read").jobs, Some(2));
        assert!(read("MALLORY_HISTOGRAM", "1").expect("read").histogram);
        assert!(read("MALLORY_UPDATE", "1").expect("read").update);
        assert!(read("MALLORY_DISABLE_CUSTOM_ALLOCATORS", "1").expect("read").bypass);
        assert!(!read("MALLORY_DISABLE_CUSTOM_ALLOCATORS", "0").expect("read").bypass);
        let sequence = read("MALLORY_SEQUENCE", "found.txt").expect("read").sequence;
        assert_eq!(sequence, Some(PathBuf::from("found.txt")));
        let replay = read("MALLORY_REPLAY", "v1 x fp=000001").expect("read").replay;
        assert_eq!(replay.expect("there").scenario(), "x");
    }

    #[test]
    fn an_unknown_variable_is_an_error_with_the_nearest_name() {
        let check = |name: &str| check_names(["PATH".to_owned(), name.to_owned()].into_iter());
        for (name, nearest) in [
            ("MALLORY_SEDE", "did you mean MALLORY_SEED?"),
            ("MALLORY_REPLY", "did you mean MALLORY_REPLAY?"),
            ("MALLORY_OOM_AFTR", "did you mean MALLORY_OOM_AFTER?"),
            ("MALLORY_XYZZY", "set one of"),
        ] {
            let error = check(name).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(nearest), "{error}");
        }
        for name in KNOWN.into_iter().chain(["MALLORYX", "OTHER"]) {
            assert!(check(name).is_ok(), "{name}");
        }
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
