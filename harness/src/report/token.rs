//! The token: one short line that replays a run. It lists only how the run deviates from the
//! default.
//!
//! ```text
//! v1 <scenario> [f=<faults>] [s=<preemptions>] [r=<seed>] [i=<input hash>] [m=<modes>] fp=<24 bits>
//! ```
//!
//! `s=T1@8>T2,T2@3>T1` lists where a schedule deviates from the default one (see the module
//! `schedule`), and `s=-` is the default schedule itself. Without `s=` the system schedules the
//! threads.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::printable::is_plain;
use crate::schedule::{self, Preemption};
use crate::trace::Coordinate;

/// The most characters in a scenario's name.
pub(crate) const NAME_MAX: usize = 40;

/// A fault of a token: `T0#18` fails once, `T0#18..` for good. `@<site>.<occurrence>` finds the
/// request again after an edit: the Nth of its thread from this call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Coordinate,
    pub(crate) persistent: bool,
    pub(crate) site: Option<(u32, u64)>,
}

/// One line that replays a finding, such as `v1 lfs-batch f=T0#18 fp=5d0e91`.
///
/// ```
/// let token: mallory::Token = "v1 lfs-batch f=T0#18 fp=5d0e91".parse()?;
/// assert_eq!(token.scenario(), "lfs-batch");
/// assert_eq!(token.to_string(), "v1 lfs-batch f=T0#18 fp=5d0e91");
/// # Ok::<(), mallory::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) scenario: String,
    pub(crate) fault: Option<Fault>,
    /// The deviations from the default schedule, if a model checker scheduled the threads.
    pub(crate) preemptions: Option<Vec<Preemption>>,
    pub(crate) seed: u64,
    /// The hash of the input, unless it was the scenario's own.
    pub(crate) input: Option<u32>,
    pub(crate) modes: Vec<RunMode>,
    /// The upper 24 bits of the run's fingerprint.
    pub(crate) fingerprint: u32,
}

/// A way in which runs deviate from the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RunMode {
    /// `MALLORY_DISABLE_CUSTOM_ALLOCATORS`: memory parts pass every allocation to their port.
    Bypass,
    /// The port decides whether a growing block moves.
    InPlace,
    /// Detectors that need more than the ledger of blocks are off.
    Ledger,
    /// The run is the first one of its process.
    Cold,
}

impl RunMode {
    const ALL: [(RunMode, &'static str); 4] = [
        (RunMode::Bypass, "bypass"),
        (RunMode::InPlace, "in-place"),
        (RunMode::Ledger, "ledger"),
        (RunMode::Cold, "cold"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }
}

/// Whether this is a valid name of a scenario: `[a-z0-9][a-z0-9/_-]{0,39}`.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    (1..=NAME_MAX).contains(&bytes.len())
        && plain(bytes[0])
        && bytes.iter().all(|c| plain(*c) || b"/_-".contains(c))
}

impl Token {
    /// The scenario that it replays.
    #[must_use]
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// Whether it replays a schedule, by [`Explore`](crate::Explore) instead of a sweep.
    #[must_use]
    pub fn explores(&self) -> bool {
        self.preemptions.is_some()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, if self.persistent { ".." } else { "" })?;
        match self.site {
            Some((site, occurrence)) => write!(f, "@{site:06x}.{occurrence}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1 {}", self.scenario)?;
        if let Some(fault) = &self.fault {
            write!(f, " f={fault}")?;
        }
        match self.preemptions.as_deref() {
            None => {}
            Some([]) => f.write_str(" s=-")?,
            Some(preemptions) => write!(f, " s={}", schedule::format_schedule(preemptions))?,
        }
        if self.seed != 0 {
            write!(f, " r={}", self.seed)?;
        }
        if let Some(input) = self.input {
            write!(f, " i={input:08x}")?;
        }
        if !self.modes.is_empty() {
            let names: Vec<&str> = self.modes.iter().map(|mode| mode.name()).collect();
            write!(f, " m={}", names.join(","))?;
        }
        write!(f, " fp={:06x}", self.fingerprint)
    }
}

/// A word of a token, and the column where it begins.
struct Word<'a> {
    text: &'a str,
    column: usize,
}

/// An error at a column of the token, which is shown with a caret below it.
fn error_at(line: &str, column: usize, what: impl Into<String>, help: &str) -> Error {
    let place = format!("token, column {column}\n  {line}\n  {:>column$}", '^');
    Error::new(what).at_lines(&place).help(help)
}

/// A number of exactly this many lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<u32> {
    let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    (text.len() == digits && text.bytes().all(lower))
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()
}

/// Reads the value of `f=`.
fn fault(text: &str) -> Result<Fault, &'static str> {
    let (text, site) = match text.split_once('@') {
        None => (text, None),
        Some((text, site)) => {
            let (site, occurrence) =
                site.split_once('.').ok_or("expected <site>.<occurrence> after the @")?;
            let site = hex(site, 6).ok_or("expected six hex digits after the @")?;
            let occurrence = occurrence.parse().map_err(|_| "expected a number after the dot")?;
            (text, Some((site, occurrence)))
        }
    };
    let (text, persistent) = match text.strip_suffix("..") {
        Some(text) => (text, true),
        None => (text, false),
    };
    Ok(Fault { at: text.parse()?, persistent, site })
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        const SHAPE: &str = "a token looks like: v1 lfs-batch f=T0#18 fp=5d0e91";
        if line.len() > 400 || !line.chars().all(is_plain) {
            return Err(Error::new("this is not a token: a token is one short line").help(SHAPE));
        }
        let mut column = 1;
        let mut words = Vec::new();
        for piece in line.split(' ') {
            if !piece.is_empty() {
                words.push(Word { text: piece, column });
            }
            column += piece.chars().count() + 1;
        }
        let end = column - 1;
        let mut words = words.into_iter();
        let version = words.next().ok_or_else(|| error_at(line, 1, "the token is empty", SHAPE))?;
        if version.text != "v1" {
            let version_like =
                version.text.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
            return Err(if version_like {
                let what = format!("this is a token of version {}", version.text);
                error_at(
                    line,
                    version.column,
                    what,
                    "this version of Mallory reads v1: use the version that wrote the token",
                )
            } else {
                error_at(line, version.column, "expected v1", SHAPE)
            });
        }
        let name =
            words.next().ok_or_else(|| error_at(line, end, "the scenario is missing", SHAPE))?;
        if !is_name(name.text) {
            return Err(error_at(
                line,
                name.column,
                "this is not a scenario's name",
                "`list` shows all names",
            ));
        }
        let mut token = Token {
            scenario: name.text.to_owned(),
            fault: None,
            preemptions: None,
            seed: 0,
            input: None,
            modes: Vec::new(),
            fingerprint: 0,
        };
        let mut seen: Vec<&str> = Vec::new();
        for word in words {
            let column = word.column;
            let (key, value) = word
                .text
                .split_once('=')
                .ok_or_else(|| error_at(line, column, "expected key=value", SHAPE))?;
            let column = column + key.len() + 1;
            if seen.contains(&key) {
                return Err(error_at(line, word.column, format!("`{key}=` is given twice"), SHAPE));
            }
            seen.push(key);
            match key {
                "f" => {
                    let read = fault(value).map_err(|what| error_at(line, column, what, SHAPE))?;
                    token.fault = Some(read);
                }
                "r" => {
                    let what = "expected the seed, a number";
                    token.seed = value.parse().map_err(|_| error_at(line, column, what, SHAPE))?;
                }
                "i" => {
                    let what = "expected the input's hash, eight hex digits";
                    let read = hex(value, 8).ok_or_else(|| error_at(line, column, what, SHAPE))?;
                    token.input = Some(read);
                }
                "m" => {
                    for name in value.split(',') {
                        let mode = RunMode::ALL.iter().find(|(_, known)| *known == name);
                        let what = format!("unknown mode `{name}`");
                        let mode = mode.ok_or_else(|| error_at(line, column, what, SHAPE))?.0;
                        if !token.modes.contains(&mode) {
                            token.modes.push(mode);
                        }
                    }
                }
                "fp" => {
                    let what = "expected the fingerprint, six hex digits";
                    token.fingerprint =
                        hex(value, 6).ok_or_else(|| error_at(line, column, what, SHAPE))?;
                }
                "s" => {
                    let read =
                        if value == "-" { Ok(Vec::new()) } else { schedule::parse_schedule(value) };
                    let read = read.map_err(|what| error_at(line, column, what, SHAPE))?;
                    token.preemptions = Some(read);
                }
                _ => {
                    return Err(error_at(
                        line,
                        word.column,
                        format!("unknown key `{key}=`"),
                        SHAPE,
                    ));
                }
            }
        }
        if !seen.contains(&"fp") {
            return Err(error_at(line, end, "`fp=` is missing: was the line cut off?", SHAPE));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_as_they_were_printed() {
        for line in [
            "v1 lfs-batch fp=5d0e91",
            "v1 lfs-batch f=T0#18 fp=5d0e91",
            "v1 intern f=T1#2 s=- fp=5d0e91",
            "v1 intern s=T1@8>T2,T2@3>T1 fp=5d0e91",
            "v1 planted/leak f=T3#18..@00ab1f.2 r=7 i=00c0ffee m=bypass,in-place fp=000000",
        ] {
            let token: Token = line.parse().expect(line);
            assert_eq!(token.to_string(), line);
        }
    }

    #[test]
    fn a_bad_token_is_refused_with_its_column() {
        for (line, expected) in [
            ("", "the token is empty"),
            ("v2 lfs-batch fp=5d0e91", "this is a token of version v2"),
            ("lfs-batch fp=5d0e91", "expected v1"),
            ("v1", "the scenario is missing"),
            ("v1 Lfs fp=5d0e91", "this is not a scenario's name"),
            ("v1 lfs-batch", "`fp=` is missing"),
            ("v1 lfs-batch f=T0#18", "`fp=` is missing"),
            ("v1 lfs-batch f=T0#0 fp=5d0e91", "requests count from 1"),
            ("v1 lfs-batch f=T0#99999999999999999999 fp=5d0e91", "the request's number"),
            ("v1 lfs-batch f=T0#18@xyz.1 fp=5d0e91", "expected six hex digits"),
            (
                "v1 lfs-batch fp=5d0e9",
                "expected the fingerprint, six hex digits\n  --> token, column 17\n",
            ),
            ("v1 lfs-batch fp=5d0e91 fp=5d0e91", "`fp=` is given twice\n  --> token, column 24\n"),
            ("v1 lfs-batch q=1 fp=5d0e91", "unknown key `q=`\n  --> token, column 14\n"),
            ("v1 lfs-batch m=odd fp=5d0e91", "unknown mode `odd`"),
            ("v1 lfs-batch s=T1@8 fp=5d0e91", "like T1@8>T2"),
            ("v1 lfs-batch s= fp=5d0e91", "like T1@8>T2"),
            ("v1 lfs-batch s=T1@0>T2 fp=5d0e91", "points count from 1"),
            ("v1 lfs-batch r=-1 fp=5d0e91", "expected the seed"),
        ] {
            let error = line.parse::<Token>().expect_err(line).to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert!("v1 ".repeat(4_000_000).parse::<Token>().is_err());
    }

    #[test]
    fn names_are_of_the_documented_shape() {
        for good in ["a", "0", "lfs-batch", "planted/leak_2", &"a".repeat(40)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "/a", "A", "a b", "ä", &"a".repeat(41)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
