//! A recording of git: it answers as the installed git did, without a process.
//!
//! ```text
//! run
//! set GIT_LITERAL_PATHSPECS=1        any number of settings, in the order of their names
//! arg rev-list                       the command and its arguments
//! arg HEAD
//! exit 0                             or `killed 9`
//! out 41                             a length, a line's end, this many bytes, a line's end
//! 4d3c…
//! err 0
//!
//! ```

use std::io;
use std::ops::ControlFlow;

use super::invocation::Invocation;
use super::runner::{Ending, Runner, RunnerError, Stream};

/// A recording, borrowed. Nothing here allocates.
#[derive(Clone, Copy, Debug)]
pub struct RecordedGit<'a> {
    text: &'a [u8],
}

impl<'a> RecordedGit<'a> {
    /// From the text of a recording.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        RecordedGit { text }
    }
}

/// What a git did.
struct Recorded<'a> {
    ending: Ending,
    output: &'a [u8],
    error: &'a [u8],
}

/// The part of a recording that is still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(line).ok()
    }

    /// The rest of the next line, if it begins with this word.
    fn after(&mut self, word: &str) -> Option<&'a str> {
        let mut ahead = Reader(self.0);
        let rest = ahead.line()?.strip_prefix(word)?.strip_prefix(' ')?;
        self.0 = ahead.0;
        Some(rest)
    }

    fn block(&mut self, word: &str) -> Option<&'a [u8]> {
        let length = self.after(word)?.parse().ok()?;
        let (block, rest) = self.0.split_at_checked(length)?;
        self.0 = rest.strip_prefix(b"\n")?;
        Some(block)
    }

    /// The next run: whether it is this invocation's, and what git did. `None` if it is none.
    fn run(&mut self, invocation: &Invocation<'_>) -> Option<(bool, Recorded<'a>)> {
        if self.line()? != "run" {
            return None;
        }
        let (mut settings, mut arguments) = (invocation.settings(), invocation.arguments());
        let mut is_it = true;
        while let Some(setting) = self.after("set") {
            is_it &= settings.next() == setting.split_once('=');
        }
        while let Some(argument) = self.after("arg") {
            is_it &= arguments.next() == Some(argument);
        }
        is_it &= settings.next().is_none() && arguments.next().is_none();
        let ending = match (self.after("exit"), self.after("killed")) {
            (Some(status), None) => Ending::Exited(status.parse().ok()?),
            (None, Some(signal)) => Ending::Killed(signal.parse().ok()?),
            _ => return None,
        };
        let (output, error) = (self.block("out")?, self.block("err")?);
        Some((is_it, Recorded { ending, output, error }))
    }
}

impl Runner for RecordedGit<'_> {
    fn run(
        &self,
        invocation: &Invocation<'_>,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Stream, &[u8]) -> ControlFlow<()>,
    ) -> Result<Ending, RunnerError> {
        let mut reader = Reader(self.text);
        while !reader.0.is_empty() {
            let run = reader.run(invocation);
            let (is_it, recorded) = run.ok_or(RunnerError::Broken(io::ErrorKind::InvalidData))?;
            if !is_it {
                continue;
            }
            for (stream, bytes) in
                [(Stream::Output, recorded.output), (Stream::Error, recorded.error)]
            {
                for part in bytes.chunks(buffer.len()) {
                    let buffer = &mut buffer[..part.len()];
                    buffer.copy_from_slice(part);
                    if each(stream, buffer).is_break() {
                        return Err(RunnerError::Stopped);
                    }
                }
            }
            return Ok(recorded.ending);
        }
        Err(RunnerError::NotStarted(io::ErrorKind::NotFound))
    }
}
