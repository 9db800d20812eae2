//! The installed git, as a process. What std needs to start it is memory of the process, outside of
//! the service's: a server's heap is none of git's business.

use std::env;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::invocation::Invocation;
use super::runner::{Ending, Runner, RunnerError, Stream};

/// How long a git may take that is not told otherwise.
const LIMIT: Duration = Duration::from_secs(60);
/// How long to wait before asking again whether a git has ended that has closed its pipes.
const PAUSE: Duration = Duration::from_millis(1);

/// The git that is installed, in one repository.
#[derive(Clone, Copy, Debug)]
pub struct InstalledGit<'a> {
    program: &'a Path,
    repository: &'a Path,
    limit: Duration,
}

impl<'a> InstalledGit<'a> {
    /// The `git` of the search path, in this folder.
    #[must_use]
    pub fn new(repository: &'a Path) -> Self {
        InstalledGit { program: Path::new("git"), repository, limit: LIMIT }
    }

    /// Another program instead.
    #[must_use]
    pub fn program(self, program: &'a Path) -> Self {
        InstalledGit { program, ..self }
    }

    /// Another time after which git is killed.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        InstalledGit { limit, ..self }
    }
}

impl From<io::Error> for RunnerError {
    fn from(error: io::Error) -> Self {
        RunnerError::Broken(error.kind())
    }
}

impl From<rustix::io::Errno> for RunnerError {
    fn from(error: rustix::io::Errno) -> Self {
        RunnerError::Broken(error.kind())
    }
}

/// A git that runs. It is killed with whatever it has started, unless it was waited for.
struct Running {
    child: Child,
    deadline: Instant,
    has_ended: bool,
}

impl Running {
    fn left(&self) -> Result<Duration, RunnerError> {
        let left = self.deadline.checked_duration_since(Instant::now());
        left.filter(|left| !left.is_zero()).ok_or(RunnerError::TimedOut)
    }

    /// Waits until one of these can be read, and returns which.
    fn wait_for_input(
        &self,
        output: Option<&impl AsFd>,
        error: Option<&impl AsFd>,
    ) -> Result<[bool; 2], RunnerError> {
        let can_read = |at: &PollFd<'_>| !at.revents().is_empty();
        loop {
            let time = Timespec::try_from(self.left()?).ok();
            let done = match (output, error) {
                (Some(output), Some(error)) => {
                    let mut both =
                        [PollFd::new(output, PollFlags::IN), PollFd::new(error, PollFlags::IN)];
                    poll(&mut both, time.as_ref()).map(|_| [can_read(&both[0]), can_read(&both[1])])
                }
                (Some(output), None) => {
                    let mut one = [PollFd::new(output, PollFlags::IN)];
                    poll(&mut one, time.as_ref()).map(|_| [can_read(&one[0]), false])
                }
                (None, Some(error)) => {
                    let mut one = [PollFd::new(error, PollFlags::IN)];
                    poll(&mut one, time.as_ref()).map(|_| [false, can_read(&one[0])])
                }
                (None, None) => return Ok([false; 2]),
            };
            match done {
                Ok([false, false]) | Err(rustix::io::Errno::INTR) => {}
                done => return Ok(done?),
            }
        }
    }

    fn wait(&mut self) -> Result<ExitStatus, RunnerError> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(status);
            }
            thread::sleep(PAUSE.min(self.left()?));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            // Neither can fail in a way that matters: the process is ours, and was not waited for.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads a part of what git writes, and passes it on. At the end the pipe is closed.
fn pass_on(
    stream: Stream,
    pipe: &mut Option<impl Read>,
    buffer: &mut [u8],
    each: &mut dyn FnMut(Stream, &[u8]) -> ControlFlow<()>,
) -> Result<(), RunnerError> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => {
            if each(stream, &buffer[..length]).is_break() {
                return Err(RunnerError::Stopped);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

impl Runner for InstalledGit<'_> {
    fn run(
        &self,
        invocation: &Invocation<'_>,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Stream, &[u8]) -> ControlFlow<()>,
    ) -> Result<Ending, RunnerError> {
        let mut command = Command::new(self.program);
        command.args(invocation.arguments()).current_dir(self.repository);
        command.env_clear().envs(invocation.environment());
        if let Some(path) = env::var_os("PATH") {
            command.env("PATH", path);
        }
        // In a group of its own, so that whatever it starts is killed with it.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|error| RunnerError::NotStarted(error.kind()))?;
        let deadline = Instant::now() + self.limit;
        let mut running = Running { child, deadline, has_ended: false };
        let mut output = running.child.stdout.take();
        let mut error = running.child.stderr.take();
        while output.is_some() || error.is_some() {
            let [has_output, has_error] =
                running.wait_for_input(output.as_ref(), error.as_ref())?;
            if has_output {
                pass_on(Stream::Output, &mut output, buffer, each)?;
            }
            if has_error {
                pass_on(Stream::Error, &mut error, buffer, each)?;
            }
        }
        let status = running.wait()?;
        let killed = status.signal().map(Ending::Killed);
        Ok(killed.unwrap_or_else(|| Ending::Exited(status.code().unwrap_or_default())))
    }
}
