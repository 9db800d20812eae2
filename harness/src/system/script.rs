//! Scripts as text: RON, one file per script. A script is read with errors at `file:line:column`,
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

/// The size of the largest script that is read, in bytes: 16 MiB.
pub(crate) const SCRIPT_MAX: usize = 16 << 20;

/// A scenario as data: a system, operations for each thread, faults, a schedule, and expectations.
///
/// ```
/// use mallory::script::Script;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Op {
///     Add(u32),
///     Take(u32),
/// }
///
/// let text = r#"(system: "counter", threads: [[Add(3), Take(1)]], fault: Some("T0#2"))"#;
/// let script = Script::<Op>::read(text, "count.ron")?;
/// assert_eq!(script.threads[0].len(), 2);
///
/// let error = Script::<Op>::read(r#"(system: "counter")"#, "count.ron").err().unwrap();
/// assert!(error.to_string().contains("\n  --> count.ron:1:"));
/// # Ok::<(), mallory::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script<Op> {
    /// The system's name.
    pub system: String,
    /// A description, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The seed of everything random in a run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: u64,
    /// The operations of each thread, in order. The first thread is the run's own, which opens the
    /// system. Several threads are scheduled by shuttle, and need the feature `shuttle`.
    pub threads: Vec<Vec<Op>>,
    /// Which requests fail. `T0#18`: only thread 0's 18th. `T0#18..`: that one and all after it.
    /// `T0#18..=20`: the 18th to the 20th. `budget=4096`: those that would make more than 4096
    /// bytes live. Several are separated by commas. `None`: every request in turn, in a run of its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The schedule, as in a replay token. `T1@8>T2`: at its 8th scheduling point thread 1 is
    /// preempted by thread 2. Several preemptions are separated by commas. With a schedule, and
    /// with or without a fault, the script is one run. `None`: every schedule in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// How runs deviate from the default: see [`Mode`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<Mode>,
    /// If the script is a case: the finding that it showed when it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// What is demanded beyond the default rules, and which findings are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: Expect,
}

/// How the runs of a script deviate from the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// The kill switch is on: [`Heap::bypass`](crate::Heap::bypass).
    Bypass,
    /// The heap is over the adversarial one: [`Adversary`](crate::adversary::Adversary).
    Adversary,
}

/// The finding that a case showed when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Its kind, as reports print it, such as `leak`.
    pub kind: String,
    /// Its id, as reports print it, such as `L-13f83241`.
    pub id: String,
}

/// What a script demands beyond the default rules, and which findings it accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Whether absorbing a failed request is a finding.
    #[serde(skip_serializing_if = "is_default")]
    pub strict: bool,
    /// Whether the finding of a [case](Script::found) has to occur, since its bug is planted.
    /// Otherwise the case has to be clean, which it is once the bug is corrected.
    #[serde(skip_serializing_if = "is_default")]
    pub reproduces: bool,
    /// Functions in which a failed request must not change the result: parts of their paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub benign: Vec<String>,
    /// Findings that are known and accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allowed>,
}

/// A finding that is known and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Its kind's name.
    pub kind: String,
    /// A part of the path of one of the functions of its call site.
    pub function: String,
    /// The most requests at which it may occur.
    pub max: u64,
    /// Why it is accepted.
    pub reason: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A script without its operations, of which only the number is left: what code needs that is the same
/// for all systems.
pub(crate) type ScriptHeader = Script<()>;

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

    /// The same script without its operations.
    pub(crate) fn header(&self) -> ScriptHeader {
        Script {
            system: self.system.clone(),
            about: self.about.clone(),
            seed: self.seed,
            threads: self.threads.iter().map(|ops| vec![(); ops.len()]).collect(),
            fault: self.fault.clone(),
            schedule: self.schedule.clone(),
            modes: self.modes.clone(),
            found: self.found.clone(),
            expect: self.expect.clone(),
        }
    }
}

impl<Op: DeserializeOwned> Script<Op> {
    /// Reads a script. `file` is the name that errors print.
    ///
    /// # Errors
    /// The first mistake in the text, with its `file:line:column`; that a fault, schedule, kind or
    /// id is wrong, with the file; or that the text has more than 16 MiB.
    pub fn read(text: &str, file: &str) -> Result<Self, Error> {
        limit(text, file)?;
        let script: Self = parse(text, file)?;
        script.check().map_err(|error| error.at(file))?;
        Ok(script)
    }
}

impl<Op: Serialize> Script<Op> {
    /// Prints a script as text that [`read`](Self::read) accepts. Equal scripts have equal texts.
    ///
    /// # Errors
    /// That an operation contains a value that RON can't express.
    pub fn print(&self) -> Result<String, Error> {
        let style = ron::ser::PrettyConfig::new().new_line("\n").compact_structs(false);
        let text = ron::ser::to_string_pretty(self, style);
        text.map(|text| text + "\n").map_err(|error| {
            Error::new(format!("the script can't be printed as RON: {error}"))
                .help("use only types in the operations that serde can serialize to RON")
        })
    }
}

impl<Op> Script<Op> {
    /// Checks what the types of the fields don't.
    fn check(&self) -> Result<(), Error> {
        self.shortages()?;
        self.preemptions()?;
        self.allowances()?;
        if let Some(found) = &self.found {
            kind("found", &found.kind)?;
            if found.id.is_empty() || !found.id.chars().all(|c| c == '-' || c.is_alphanumeric()) {
                let what = format!("found: {:?} is not a finding's id", short(&found.id));
                return Err(
                    Error::new(what).help("copy the id from the report, such as \"L-13f83241\"")
                );
            }
        } else if self.expect.reproduces {
            return Err(Error::new("expect.reproduces is set, but found is missing")
                .help("add found, with the finding's kind and id, or remove reproduces"));
        }
        Ok(())
    }

    /// Which requests fail, parsed.
    pub(crate) fn shortages(&self) -> Result<Option<Shortages>, Error> {
        let Some(text) = &self.fault else { return Ok(None) };
        text.parse().map(Some).map_err(|what| {
            Error::new(format!("fault {:?}: {what}", short(text)))
                .help("write \"T0#18\" to fail thread 0's 18th request")
        })
    }

    /// The schedule, parsed.
    pub(crate) fn preemptions(&self) -> Result<Vec<Preemption>, Error> {
        let Some(text) = &self.schedule else { return Ok(Vec::new()) };
        let turn = |one: &str| {
            let one = one.trim();
            let wrong = |what| {
                Error::new(format!("schedule: {:?} is not a preemption: {what}", short(one))).help(
                    "write \"T1@8>T2\" to preempt thread 1 by thread 2 at its 8th scheduling point",
                )
            };
            let turn: Preemption = one.parse().map_err(wrong)?;
            match Preemption::loom_iteration(&[turn]) {
                None => Ok(turn),
                Some(_) => Err(wrong("scripts can't have loom's schedules")),
            }
        };
        text.split(',').map(turn).collect()
    }

    /// The same script with this schedule.
    #[cfg(any(feature = "proptest", feature = "shuttle"))]
    pub(crate) fn by(mut self, preemptions: &[Preemption]) -> Self {
        self.schedule = (!preemptions.is_empty()).then(|| schedule::format_schedule(preemptions));
        self
    }

    /// Whether its threads have to be scheduled.
    pub(crate) fn is_contended(&self) -> bool {
        self.threads.len() > 1 || self.schedule.is_some()
    }

    /// The accepted findings, with their kinds parsed.
    pub(crate) fn allowances(&self) -> Result<Vec<(Kind, &Allowed)>, Error> {
        let with_kind = |allowed: &'_ Allowed| kind("expect.allow", &allowed.kind);
        let allow = self.expect.allow.iter();
        allow.map(|allowed| Ok((with_kind(allowed)?, allowed))).collect()
    }
}

/// The kind of this name; `field` is what errors call it.
fn kind(field: &str, name: &str) -> Result<Kind, Error> {
    let known = Kind::ALL.into_iter().find(|known| known.name() == name);
    known.ok_or_else(|| {
        Error::new(format!("{field}: there is no kind {:?}", short(name)))
            .help("copy the kind from the report, such as \"leak\"")
    })
}

/// Checks that a text is short enough to be read.
///
/// # Errors
/// That it has more than [`SCRIPT_MAX`] bytes.
pub(crate) fn limit(text: &str, file: &str) -> Result<(), Error> {
    if text.len() <= SCRIPT_MAX {
        return Ok(());
    }
    Err(Error::new(format!("the script has {} bytes", text.len()))
        .at(file)
        .help("a script has at most 16 MiB: write fewer operations"))
}

/// Parses RON; `file` is the name that errors print.
///
/// # Errors
/// The first mistake in the text, with its place.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Error> {
    ron::from_str(text).map_err(|error| {
        let ron::error::Position { line, col } = error.span.start;
        let what = short(&error.code.to_string());
        Error::new(what).at(format!("{file}:{line}:{col}")).help(help(&error.code))
    })
}

/// A text from a script, cut to 200 characters, so that a message stays short.
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
        ron::Error::NoSuchStructField { .. } => "write one of the expected fields",
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
        let preemptions = script.preemptions().expect("a schedule");
        assert_eq!(crate::schedule::format_schedule(&preemptions), "T1@8>T2,T2@3>T1");
        let short = Script::<Op>::read("(system: \"x\", threads: [])", "it.ron").expect("short");
        assert_eq!(short.print().expect("text"), "(\n    system: \"x\",\n    threads: [],\n)\n");
    }

    #[test]
    fn a_bad_script_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "--> it.ron:1:1\n"),
            ("(", "--> it.ron:1:1\n"),
            ("(system: \"x\"", "--> it.ron:1:"),
            ("(system: \"x\")", "threads"),
            ("(system: \"x\", threads: [[Sub(1)]])", "--> it.ron:1:26\n"),
            ("(system: \"x\", threads: [[Add(-1)]])", "--> it.ron:1:31\n"),
            ("(system: \"x\", threads: [[Add(99999999999)]])", "--> it.ron:1:"),
            ("(system: \"x\",\n threads: [[Clear]],\n extra: 1)", "--> it.ron:3:2\n"),
            ("(system: 3, threads: [])", "--> it.ron:1:9\n"),
            ("(system: \"x\", threads: []) more", "--> it.ron:1:27\n"),
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
            assert!(error.contains("\n  --> it.ron"), "{text}: {error}");
            assert!(error.contains("\nhelp: "), "{text}: {error}");
        }
    }

    #[test]
    fn ten_megabytes_of_nesting_are_refused_at_once() {
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
