//! The command that replays a finding, as reports print it.

use crate::report::token::Token;

/// The kind of program that a finding is replayed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rerun {
    /// A command line with a `replay` command, started by this.
    Command(String),
    /// The test of this name.
    Test(String),
    /// A program without that command line, such as one written in C.
    Program(String),
    /// This whole line, for runs that no token describes.
    #[cfg(feature = "ron")]
    Line(String),
}

impl Rerun {
    /// The line to type.
    pub(crate) fn line(&self, token: &Token) -> String {
        match self {
            #[cfg(feature = "ron")]
            Rerun::Line(line) => line.clone(),
            Rerun::Command(program) => format!("{program} replay '{token}'"),
            Rerun::Test(name) => {
                format!("MALLORY_REPLAY='{token}' cargo nextest run {name}")
            }
            Rerun::Program(program) => format!("MALLORY_REPLAY='{token}' {program}"),
        }
    }
}

/// The command that starts a scenario's command line.
pub(crate) const PROGRAM: &str = "cargo run --release --";

/// The same with the feature that schedules replay needs.
pub(crate) const PROGRAM_SHUTTLE: &str = "cargo run --release --features shuttle --";
