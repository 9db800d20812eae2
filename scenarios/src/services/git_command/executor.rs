//! The executor: one command after the other, each in an arena. Of a command nothing is left but its
//! reply and two counts.

use std::ops::ControlFlow;

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};
use sha2::{Digest as _, Sha256};

use super::invocation::{Invocation, Mistake, mistake_in, mistake_in_setting};
use super::operation::{Op, Reply, ReplyText};
use super::runner::{Ending, Runner, RunnerError, Stream};
use crate::memory::bytes::{Bytes, refused, try_copy, try_with_capacity};
use crate::memory::with_arena;
use crate::services::git_log::{Digest, Log};

/// The most memory that one command takes for itself: the largest output grows in it by doubling.
pub const ARENA_CAP: usize = 8 << 20;
/// The size of the buffer that git's output is read into.
pub const BUFFER: usize = 4 << 10;
/// No output that is longer is kept, whatever is asked for.
pub const OUTPUT_MAX: usize = 1 << 20;
/// How much of a failing git's standard error is kept.
pub const SAID_MAX: usize = 256;

/// A variable that was set.
#[derive(Debug)]
pub(super) struct Setting {
    name: Vec<u8, Heap>,
    value: Vec<u8, Heap>,
}

impl Setting {
    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or_default()
    }

    pub(super) fn value(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap_or_default()
    }
}

/// Runs commands of git, one at a time.
#[derive(Debug)]
pub struct Executor {
    heap: Heap,
    /// In the order of the names.
    pub(super) settings: Vec<Setting, Heap>,
    pub(super) started: u64,
    pub(super) failed: u64,
}

/// Why the reader of an output wants no more of it.
enum Enough {
    TooMuch,
    Refused,
}

/// How a command ended that did not end well.
enum Failure<'a> {
    Ending { ending: Ending, said: Vec<u8, &'a Heap> },
    TooMuch,
    Unfinished(RunnerError),
}

impl Failure<'_> {
    /// As a reply whose text is the caller's.
    fn reply(self, heap: &Heap) -> Result<Reply<ReplyText>, Refused> {
        Ok(match self {
            Failure::Ending { ending, said } => {
                Reply::Failed { ending, said: Bytes(try_copy(&said, heap.clone())?) }
            }
            Failure::TooMuch => Reply::TooMuch,
            Failure::Unfinished(why) => Reply::Unfinished(why),
        })
    }
}

impl Executor {
    /// An executor on this heap; takes no memory of it yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        let settings = Vec::new_in(heap.clone());
        Executor { heap: heap.clone(), settings, started: 0, failed: 0 }
    }

    /// Performs one operation. A text in the reply is freed when the reply is dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; nothing has changed. A command may have run nevertheless,
    /// so those that change a repository have to be asked for by `Digest`: it takes all of its
    /// memory before git is started.
    pub fn handle(&mut self, op: &Op, runner: &impl Runner) -> Result<Reply<ReplyText>, Refused> {
        match op {
            Op::Set { name, value } => self.set(name, value),
            Op::Unset { name } => Ok(Reply::Unset(self.unset(name))),
            Op::Output { arguments, cap } => self.output(arguments, *cap, runner),
            Op::Digest { arguments } => self.digest(arguments, runner),
            Op::Commits { revision } => self.commits(revision, runner),
            Op::Count => Ok(Reply::Count { started: self.started, failed: self.failed }),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<Reply<ReplyText>, Refused> {
        if let Some(mistake) = mistake_in_setting(name, value) {
            return Ok(Reply::Rejected(mistake));
        }
        let value = try_copy(value.as_bytes(), self.heap.clone())?;
        match self.settings.binary_search_by(|setting| setting.name().cmp(name)) {
            Ok(place) => self.settings[place].value = value,
            Err(place) => {
                let name = try_copy(name.as_bytes(), self.heap.clone())?;
                self.settings.try_reserve(1).map_err(refused)?;
                self.settings.insert(place, Setting { name, value });
            }
        }
        Ok(Reply::Set)
    }

    fn unset(&mut self, name: &str) -> bool {
        let place = self.settings.binary_search_by(|setting| setting.name().cmp(name));
        place.map(|place| self.settings.remove(place)).is_ok()
    }

    fn output(
        &mut self,
        arguments: &[impl AsRef<str>],
        cap: usize,
        runner: &impl Runner,
    ) -> Result<Reply<ReplyText>, Refused> {
        if cap > OUTPUT_MAX {
            return Ok(Reply::Rejected(Mistake::Cap));
        }
        self.keep(arguments, cap, runner, |output, heap| {
            Ok(Reply::Output(Bytes(try_copy(output, heap.clone())?)))
        })
    }

    fn commits(
        &mut self,
        revision: &str,
        runner: &impl Runner,
    ) -> Result<Reply<ReplyText>, Refused> {
        let options = ["log", "--raw", "--no-abbrev", "--end-of-options", revision, "--"];
        self.keep(&options, OUTPUT_MAX, runner, |output, _| {
            let (mut commits, mut changes) = (0, 0);
            for commit in Log::new(output) {
                match commit {
                    Ok(commit) => {
                        commits += 1;
                        changes += commit.changes().count();
                    }
                    Err(error) => return Ok(Reply::NotALog(error.line)),
                }
            }
            Ok(Reply::Commits { commits, changes })
        })
    }

    /// Keeps the output in the arena, up to a cap, and makes a reply of it.
    fn keep(
        &mut self,
        arguments: &[impl AsRef<str>],
        cap: usize,
        runner: &impl Runner,
        reply: impl FnOnce(&[u8], &Heap) -> Result<Reply<ReplyText>, Refused>,
    ) -> Result<Reply<ReplyText>, Refused> {
        self.command(arguments, |invocation, arena, heap| {
            let mut output = Vec::new_in(arena);
            let failure = run(runner, invocation, arena, &mut |bytes| {
                // Up to the cap also where more comes: what is asked of the arena is then the same
                // however the output is cut into pieces.
                let fitting = bytes.len().min(cap - output.len());
                make_room(&mut output, fitting).map_err(|Refused| Enough::Refused)?;
                output.extend_from_slice(&bytes[..fitting]);
                if fitting == bytes.len() { Ok(()) } else { Err(Enough::TooMuch) }
            })?;
            match failure {
                Some(failure) => failure.reply(heap),
                None => reply(&output, heap),
            }
        })
    }

    fn digest(
        &mut self,
        arguments: &[impl AsRef<str>],
        runner: &impl Runner,
    ) -> Result<Reply<ReplyText>, Refused> {
        self.command(arguments, |invocation, arena, heap| {
            let (mut length, mut hash) = (0, Sha256::new());
            // What a failing git says is the caller's, so there has to be room for it beforehand.
            let mut room = try_with_capacity(SAID_MAX, heap.clone())?;
            let failure = run(runner, invocation, arena, &mut |bytes| {
                length += bytes.len();
                hash.update(bytes);
                Ok(())
            })?;
            Ok(match failure {
                Some(Failure::Ending { ending, said }) => {
                    room.extend_from_slice(&said);
                    Reply::Failed { ending, said: Bytes(room) }
                }
                Some(Failure::TooMuch) => Reply::TooMuch,
                Some(Failure::Unfinished(why)) => Reply::Unfinished(why),
                None => Reply::Digest { length, digest: Digest(hash.finalize().into()) },
            })
        })
    }

    /// Makes an arena for a command, and counts it when it has a reply.
    fn command(
        &mut self,
        arguments: &[impl AsRef<str>],
        body: impl FnOnce(&Invocation<'_>, &Heap, &Heap) -> Result<Reply<ReplyText>, Refused>,
    ) -> Result<Reply<ReplyText>, Refused> {
        if let Some(mistake) = mistake_in(arguments) {
            return Ok(Reply::Rejected(mistake));
        }
        let reply = with_arena(&self.heap, ARENA_CAP, |arena| {
            let invocation = Invocation::new(arena, arguments, &self.settings)?;
            body(&invocation, arena, &self.heap)
        })?;
        self.started += 1;
        let went_well =
            matches!(reply, Reply::Output(_) | Reply::Digest { .. } | Reply::Commits { .. });
        self.failed += u64::from(!went_well);
        Ok(reply)
    }
}

/// Makes room for at most [`BUFFER`] bytes more. The room is a power of two, and each one from the
/// buffer's size on comes in turn: how a pipe cuts the output into pieces is chance, and makes no
/// difference.
fn make_room(output: &mut Vec<u8, &Heap>, more: usize) -> Result<(), Refused> {
    let needed = output.len() + more;
    if needed <= output.capacity() {
        return Ok(());
    }
    let room = needed.next_power_of_two().max(BUFFER);
    output.try_reserve_exact(room - output.len()).map_err(refused)
}

/// Runs git and passes its output on, buffer by buffer. Takes its memory first.
fn run<'a>(
    runner: &impl Runner,
    invocation: &Invocation<'_>,
    arena: &'a Heap,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Enough>,
) -> Result<Option<Failure<'a>>, Refused> {
    let mut buffer = try_with_capacity(BUFFER, arena)?;
    buffer.resize(BUFFER, 0);
    let mut said = try_with_capacity(SAID_MAX, arena)?;
    let mut enough = None;
    let ended = runner.run(invocation, &mut buffer, &mut |stream, bytes| match stream {
        Stream::Error => {
            let room = SAID_MAX - said.len();
            said.extend_from_slice(&bytes[..bytes.len().min(room)]);
            ControlFlow::Continue(())
        }
        Stream::Output => match take(bytes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => {
                enough = Some(why);
                ControlFlow::Break(())
            }
        },
    });
    Ok(match (enough, ended) {
        (Some(Enough::Refused), _) => return Err(Refused),
        (Some(Enough::TooMuch), _) => Some(Failure::TooMuch),
        (None, Ok(Ending::Exited(0))) => None,
        (None, Ok(ending)) => Some(Failure::Ending { ending, said }),
        (None, Err(why)) => Some(Failure::Unfinished(why)),
    })
}
