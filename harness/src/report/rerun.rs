//! The command that replays a finding, as reports print it.

use crate::report::token::Token;

/// The kind of program that a finding is replayed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rerun {
    /// A command line with a `replay` command, started by this.
    Command(String),
    /// A test, or a program without that command line, such as one written in C: the command that
    /// runs it.
    Program(String),
    /// A command with the token as an option, and what follows that.
    #[cfg(feature = "preload")]
    Exec(String, String),
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
            #[cfg(feature = "preload")]
            Rerun::Exec(command, rest) => {
                let line = format!("{command} --replay '{token}' {rest}");
                line.trim_end().to_owned()
            }
            Rerun::Command(program) => format!("{program} replay '{token}'"),
            Rerun::Program(program) => format!("MALLORY_REPLAY='{token}' {program}"),
        }
    }
}
