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
use crate::kind::Kind;
use crate::trace::Coordinate;

/// The largest script that is read, in bytes.
const SCRIPT_MAX: usize = 16 << 20;

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
    /// The operations of each thread, in order.
    pub threads: Vec<Vec<Op>>,
    /// The one request that fails, as a token has it (`T0#18`, `T0#18..`); all in turn where there
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What is demanded beyond the rules, and what is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: Expect,
}

/// What a script demands beyond the rules, and what it accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Absorbing a failed request is a finding.
    #[serde(skip_serializing_if = "is_default")]
    pub strict: bool,
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

impl<Op: DeserializeOwned> Script<Op> {
    /// Reads a script; `file` is what errors call it.
    ///
    /// # Errors
    /// Where it is no script of this system, with the place.
    pub fn read(text: &str, file: &str) -> Result<Self, Error> {
        if text.len() > SCRIPT_MAX {
            let what = format!("{file}: a script of {} bytes", text.len());
            return Err(Error::new(what).mend("16 MiB are read at most: give it less to do"));
        }
        let script: Self = ron::from_str(text).map_err(|error| {
            let ron::error::Position { line, col } = error.span.start;
            Error::new(format!("{file}:{line}:{col}: {}", error.code)).mend(mend(&error.code))
        })?;
        script.fault()?;
        script.allowances()?;
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
    /// The one request that fails, and whether for good.
    pub(crate) fn fault(&self) -> Result<Option<(Coordinate, bool)>, Error> {
        let Some(text) = &self.fault else { return Ok(None) };
        let (place, persistent) = match text.strip_suffix("..") {
            Some(place) => (place, true),
            None => (text.as_str(), false),
        };
        let wrong = |what| Error::new(format!("fault {text:?}: {what}")).mend("write \"T0#18\"");
        Ok(Some((place.parse().map_err(wrong)?, persistent)))
    }

    pub(crate) fn allowances(&self) -> Result<Vec<(Kind, &Allowed)>, Error> {
        let kind = |name: &str| {
            let known = Kind::ALL.into_iter().find(|known| known.name() == name);
            known.ok_or_else(|| {
                Error::new(format!("expect.allow: there is no kind {name:?}"))
                    .mend("a kind is written as reports print it, such as \"leak\"")
            })
        };
        self.expect.allow.iter().map(|allowed| Ok((kind(&allowed.kind)?, allowed))).collect()
    }
}

fn mend(code: &ron::Error) -> &'static str {
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
    expect: (
        strict: true,
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
        assert_eq!(script.fault(), Ok(Some((Coordinate { thread: 0, ordinal: 18 }, true))));
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
            assert!(error.contains("mend: "), "{text}: {error}");
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
