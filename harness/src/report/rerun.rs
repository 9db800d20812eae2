//! How a reader is told to run a finding again.

use crate::report::token::Token;

/// How a reader is told to run a finding again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rerun {
    /// Through a command line with a `replay` command.
    Command(String),
    /// Through the test of this name.
    Test(String),
    /// Through a program that has no command line of ours, such as one of C's.
    Program(String),
    /// By this line, for runs that no token holds.
    #[cfg(feature = "ron")]
    Line(String),
}

impl Rerun {
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

/// How a scenario of a command line is run.
pub(crate) const PROGRAM: &str = "cargo run --release --";

/// The same where threads take turns.
pub(crate) const PROGRAM_SHUTTLE: &str = "cargo run --release --features shuttle --";
