//! Scenario scripts in and out: RON, one file per scenario, read with errors at file:line:column
//! and printed back unchanged.
//!
//! ```ron
//! (
//!     system: "counter",
//!     about: "counts up and down",
//!     threads: [[Add(3), Take(1)]],
//! )
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plan::syntax::Shortages;
use crate::report::kind::Kind;
#[cfg(any(feature = "proptest", feature = "shuttle"))]
use crate::schedule;
use crate::schedule::Preemption;

/// The largest script that is read, in bytes.
pub(crate) const SCRIPT_MAX: usize = 16 << 20;

/// A scenario as data: a system, a seed, operations for each thread, faults and expectations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script<Op> {
    /// The system's name.
    pub system: String,
    /// What it is about, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The one number that all chance comes from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: u64,
    /// The operations of each thread, in order. The first is the run's own, which opens the system;
    /// several take turns by shuttle's engine, and need that feature.
    pub threads: Vec<Vec<Op>>,
    /// Which requests fail: `T0#18` once, `T0#18..` for good, `T0#18..=20` up to that one,
    /// `budget=4096` above so many live bytes; several with commas between. All in turn where
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Where threads are switched, as a token has it: `T1@8>T2`, several with commas between; with
    /// or without a fault it is one run. Every schedule in turn where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// In what runs deviate from the default: see [`Mode`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<Mode>,
    /// What it showed when it was written down, if it is a case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// What is demanded beyond the rules, and what is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: Expect,
}

/// In what the runs of a script deviate from the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// The kill switch is on: [`Heap::bypass`](crate::Heap::bypass).
    Bypass,
    /// On the adversarial heap: [`Adversary`](crate::adversary::Adversary).
    Adversary,
}

/// What a case showed when it was written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The finding's kind, as reports print it.
    pub kind: String,
    /// The finding's id.
    pub id: String,
}

/// What a script demands beyond the rules, and what it accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Absorbing a failed request is a finding.
    #[serde(skip_serializing_if = "is_default")]
    pub strict: bool,
    /// What a case [found](Script::found) is to be seen: its bug is planted. Without this a case
    /// is to be clean, which it is once the bug is corrected.
    #[serde(skip_serializing_if = "is_default")]
    pub reproduces: bool,
    /// Functions below which a failed request is to change nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub benign: Vec<String>,
    /// Findings that are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allowed>,
}

/// A finding that is known and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Its kind's name.
    pub kind: String,
    /// A text that is in the path of one of its functions.
    pub function: String,
    /// At how many requests at most.
    pub max: u64,
    /// Why it is accepted.
    pub reason: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<Op> Script<Op> {
    /// A script of these operations on one thread, and nothing else.
    #[must_use]
    pub fn of(system: &str, ops: Vec<Op>) -> Self {
        Script {
            system: system.to_owned(),
            about: String::new(),
            seed: 0,
            threads: vec![ops],
            fault: None,
            schedule: None,
            modes: Vec::new(),
            found: None,
            expect: Expect::default(),
        }
    }
}

impl<Op: DeserializeOwned> Script<Op> {
    /// Reads a script; `file` is what errors call it.
    ///
    /// # Errors
    /// Where it is no script of this system, with the place.
    pub fn read(text: &str, file: &str) -> Result<Self, Error> {
        limit(text, file)?;
        let script: Self = parse(text, file)?;
        let wrong = |error: Error| Error::new(format!("{file}: {error}"));
        script.check().map_err(wrong)?;
        Ok(script)
    }
}

impl<Op: Serialize> Script<Op> {
    /// Prints a script as it is read, in the one way that all scripts are printed.
    ///
    /// # Errors
    /// Where an operation holds something that has no text in RON.
    pub fn print(&self) -> Result<String, Error> {
        let style = ron::ser::PrettyConfig::new().new_line("\n").compact_structs(false);
        let text = ron::ser::to_string_pretty(self, style);
        text.map(|text| text + "\n").map_err(|error| Error::new(format!("the script: {error}")))
    }
}

impl<Op> Script<Op> {
    /// What no type says of a script's parts.
    fn check(&self) -> Result<(), Error> {
        self.shortages()?;
        self.turns()?;
        self.allowances()?;
        if let Some(found) = &self.found {
            kind("found", &found.kind)?;
            if found.id.is_empty() || !found.id.chars().all(|c| c == '-' || c.is_alphanumeric()) {
                return Err(Error::new(format!(
                    "found: {:?} is no finding's id",
                    short(&found.id)
                ))
                .help("an id is written as reports print it, such as \"L-13f83241\""));
            }
        } else if self.expect.reproduces {
            return Err(Error::new("expect.reproduces: nothing is said to be found")
                .help("add found, with the kind and the id, or leave reproduces out"));
        }
        Ok(())
    }

    /// Which requests fail.
    pub(crate) fn shortages(&self) -> Result<Option<Shortages>, Error> {
        let Some(text) = &self.fault else { return Ok(None) };
        let wrong =
            |what| Error::new(format!("fault {:?}: {what}", short(text))).help("write \"T0#18\"");
        text.parse().map(Some).map_err(wrong)
    }

    /// Where threads are switched.
    pub(crate) fn turns(&self) -> Result<Vec<Preemption>, Error> {
        let Some(text) = &self.schedule else { return Ok(Vec::new()) };
        let turn = |one: &str| {
            let one = one.trim();
            let wrong = |what| {
                Error::new(format!("schedule: {:?} is no preemption: {what}", short(one)))
                    .help("write \"T1@8>T2\": thread 1 gives way to thread 2 at its 8th step")
            };
            let turn: Preemption = one.parse().map_err(wrong)?;
            match Preemption::loom_iteration(&[turn]) {
                None => Ok(turn),
                Some(_) => Err(wrong("loom's schedules are no script's")),
            }
        };
        text.split(',').map(turn).collect()
    }

    /// The same script by this schedule.
    #[cfg(any(feature = "proptest", feature = "shuttle"))]
    pub(crate) fn by(mut self, turns: &[Preemption]) -> Self {
        self.schedule = (!turns.is_empty()).then(|| schedule::format_schedule(turns));
        self
    }

    /// Whether its threads have to be made to take turns.
    pub(crate) fn is_contended(&self) -> bool {
        self.threads.len() > 1 || self.schedule.is_some()
    }

    pub(crate) fn allowances(&self) -> Result<Vec<(Kind, &Allowed)>, Error> {
        let with_kind = |allowed: &'_ Allowed| kind("expect.allow", &allowed.kind);
        let allow = self.expect.allow.iter();
        allow.map(|allowed| Ok((with_kind(allowed)?, allowed))).collect()
    }
}

fn kind(place: &str, name: &str) -> Result<Kind, Error> {
    let known = Kind::ALL.into_iter().find(|known| known.name() == name);
    known.ok_or_else(|| {
        Error::new(format!("{place}: there is no kind {:?}", short(name)))
            .help("a kind is written as reports print it, such as \"leak\"")
    })
}

/// Whether a text is short enough to be read.
pub(crate) fn limit(text: &str, file: &str) -> Result<(), Error> {
    if text.len() <= SCRIPT_MAX {
        return Ok(());
    }
    Err(Error::new(format!("{file}: a script of {} bytes", text.len()))
        .help("16 MiB are read at most: give it less to do"))
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Error> {
    ron::from_str(text).map_err(|error| {
        let ron::error::Position { line, col } = error.span.start;
        let what = short(&error.code.to_string());
        Error::new(format!("{file}:{line}:{col}: {what}")).help(help(&error.code))
    })
}

/// A text of somebody else's, as a message can hold it.
fn short(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn help(code: &ron::Error) -> &'static str {
    match code {
        ron::Error::ExceededRecursionLimit => "nest it less deeply",
        ron::Error::NoSuchEnumVariant { .. } => "write one of the system's operations",
        ron::Error::NoSuchStructField { .. } => "write one of the fields that are expected",
        ron::Error::MissingStructField { .. } => "add the field",
        _ => "a script looks like (system: \"…\", threads: [[…]])",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Op {
        Add(u32),
        Rename { from: String, to: String },
        Clear,
    }

    const WHOLE: &str = r#"(
    system: "counter",
    about: "counts up and down",
    seed: 7,
    threads: [
        [
            Add(3),
            Rename(
                from: "a",
                to: "b\n",
            ),
            Clear,
        ],
    ],
    fault: Some("T0#18.."),
    schedule: Some("T1@8>T2,T2@3>T1"),
    modes: [
        bypass,
        adversary,
    ],
    found: Some((
        kind: "leak",
        id: "L-13f83241",
    )),
    expect: (
        strict: true,
        reproduces: true,
        benign: [
            "warm",
        ],
        allow: [
            (
                kind: "leak",
                function: "stage",
                max: 2,
                reason: "known",
            ),
        ],
    ),
)
"#;

    #[test]
    fn a_script_is_printed_back_unchanged() {
        let script = Script::<Op>::read(WHOLE, "it.ron").expect("a script");
        assert_eq!(script.print().expect("text"), WHOLE);
        let turns = script.turns().expect("a schedule");
        assert_eq!(crate::schedule::format_schedule(&turns), "T1@8>T2,T2@3>T1");
        let short = Script::<Op>::read("(system: \"x\", threads: [])", "it.ron").expect("short");
        assert_eq!(short.print().expect("text"), "(\n    system: \"x\",\n    threads: [],\n)\n");
    }

    #[test]
    fn a_bad_script_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "it.ron:1:1: "),
            ("(", "it.ron:1:1: "),
            ("(system: \"x\"", "it.ron:1:"),
            ("(system: \"x\")", "threads"),
            ("(system: \"x\", threads: [[Sub(1)]])", "it.ron:1:26: "),
            ("(system: \"x\", threads: [[Add(-1)]])", "it.ron:1:31: "),
            ("(system: \"x\", threads: [[Add(99999999999)]])", "it.ron:1:"),
            ("(system: \"x\",\n threads: [[Clear]],\n extra: 1)", "it.ron:3:2: "),
            ("(system: 3, threads: [])", "it.ron:1:9: "),
            ("(system: \"x\", threads: []) more", "it.ron:1:27: "),
            ("(system: \"x\", threads: [], fault: Some(\"18\"))", "expected a coordinate"),
            ("(system: \"x\", threads: [], fault: Some(\"T0#0\"))", "requests count from 1"),
            (
                "(system: \"x\", threads: [], expect: (allow: [(kind: \"bad\", function: \"\", \
                 max: 1, reason: \"\")]))",
                "there is no kind \"bad\"",
            ),
        ] {
            let error = Script::<Op>::read(text, "it.ron").expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.contains("help: "), "{text}: {error}");
        }
    }

    #[test]
    fn ten_megabytes_of_nesting_are_refused_in_no_time() {
        for open in ["(", "[", "(system: \"x\", threads: [[Add("] {
            let text = open.repeat(10_000_000 / open.len());
            let error = Script::<Op>::read(&text, "it.ron").expect_err("nested").to_string();
            assert!(error.len() < 500, "{error}");
        }
        let long = " ".repeat(SCRIPT_MAX + 1);
        let error = Script::<Op>::read(&long, "it.ron").expect_err("long").to_string();
        assert!(error.contains("16 MiB"), "{error}");
    }
}
