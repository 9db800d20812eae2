//! What starts git: the border between the service's memory and the system's.

use std::io;
use std::ops::ControlFlow;

use super::invocation::Invocation;

/// What git writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Output,
    /// Its standard error.
    Error,
}

/// How git ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// Why there is no ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerError {
    /// Git could not be started.
    NotStarted(io::ErrorKind),
    /// Reading what git writes failed.
    Broken(io::ErrorKind),
    /// Git took too long, and was killed.
    TimedOut,
    /// Whoever reads had enough; git was killed.
    Stopped,
}

/// Starts git and passes on what it writes.
pub trait Runner {
    /// Runs git to its end. Everything that it writes is read into `buffer`, one part after the
    /// other, and passed to `each`, which may stop it. Git is no longer there when this returns.
    ///
    /// # Errors
    /// Why git did not run to its end.
    fn run(
        &self,
        invocation: &Invocation<'_>,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Stream, &[u8]) -> ControlFlow<()>,
    ) -> Result<Ending, RunnerError>;
}
