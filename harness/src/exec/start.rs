//! Starts a program with the library preloaded, gives it the order, and hears what it answers.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::error::Error;
use crate::exec::order::{Answer, Order, PRELOADED, SentReport, VARIABLE};
use crate::process::codec;

/// A program to be started.
#[derive(Clone, Debug)]
pub(crate) struct ProgramStart {
    /// Its file.
    pub(crate) file: PathBuf,
    /// Its words: its name as it was typed, and its arguments.
    pub(crate) words: Vec<OsString>,
    /// Variables that are set for it.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// Variables that it doesn't see.
    pub(crate) hidden: Vec<OsString>,
}

impl ProgramStart {
    /// The value that a variable will have in the program's environment.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        let given = self.variables.iter().rev().find(|(known, _)| known == name);
        given.map(|(_, value)| value.clone()).or_else(|| std::env::var_os(name))
    }
}

/// Starts the program, has the library make the sweep, and returns the report. `on_progress` is called
/// with the runs that are done, of how many.
///
/// # Errors
/// The program can't be started, or it ends without a report.
pub(crate) fn sweep(
    start: &ProgramStart,
    library: &[u8],
    order: &Order,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<SentReport, Error> {
    let started = spawn(start, library);
    let (mut child, mut socket, mut said) = started.map_err(|error| {
        Error::new(format!("cannot start the program: {error}"))
            .at(start.file.display().to_string())
    })?;
    let (has_begun, report) = give(&mut socket, order, on_progress);
    if report.is_none() {
        // It may be running without the library.
        let _ = child.kill();
    }
    let status = child.wait().ok();
    report.ok_or_else(|| no_report(start, has_begun, status, &mut said))
}

/// Gives the order, and hears what the library answers: whether the program has begun, and the report.
pub(crate) fn give(
    socket: &mut UnixStream,
    order: &Order,
    on_progress: &mut dyn FnMut(u64, u64),
) -> (bool, Option<SentReport>) {
    // A library that takes no order may have said why.
    let _ = socket.write_all(&codec::message(order));
    let mut buffer = Vec::new();
    let mut has_begun = false;
    loop {
        match codec::next_message(&mut buffer).and_then(|body| codec::unpack(&body)) {
            Some(Answer::Started) => has_begun = true,
            Some(Answer::Progress(done, total)) => on_progress(done, total),
            Some(Answer::Report(report)) => return (has_begun, Some(report)),
            None => {
                let mut chunk = [0; 1 << 16];
                match socket.read(&mut chunk) {
                    Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return (has_begun, None),
                }
            }
        }
    }
}

/// The mistake behind a program that ended without a report.
fn no_report(
    start: &ProgramStart,
    has_begun: bool,
    status: Option<std::process::ExitStatus>,
    said: &mut File,
) -> Error {
    let mut text = String::new();
    let _ = said.rewind().and_then(|()| said.read_to_string(&mut text));
    let lines: Vec<String> = text.lines().take(8).map(str::to_owned).collect();
    let end = match status.and_then(|status| status.signal()) {
        Some(signal) if has_begun => format!("it died of signal {signal}"),
        _ => "it ended".to_owned(),
    };
    let error = match has_begun {
        true => Error::new(format!("[mallory bug] the sweep has no result: {end}")),
        false if text.contains("error while loading shared libraries") => {
            Error::new("the program can't be loaded").help("install the library that is missing")
        }
        false => Error::new("the program can't be watched: it never called the C library's start")
            .help(
                "it may have a start of its own, as runtimes without C do; sweep one that begins at \
                 the C library's",
            ),
    };
    error.at(start.file.display().to_string()).listing(&lines)
}

/// The program with its words and its environment.
pub(crate) fn command(start: &ProgramStart) -> Command {
    let mut command = Command::new(&start.file);
    if let Some((name, arguments)) = start.words.split_first() {
        command.arg0(name).args(arguments);
    }
    start.hidden.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs(start.variables.iter().map(|(name, value)| (name, value)));
    command
}

/// Ends the command with this process, however that ends.
pub(crate) fn end_with_this(command: &mut Command, also: impl Fn() + Send + Sync + 'static) {
    let parent = std::process::id();
    // SAFETY: plain system calls, which touch no memory of this process's.
    unsafe {
        command.pre_exec(move || {
            also();
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Starts the program. Returns it with the socket to the library, and the file of what it says on
/// standard error.
fn spawn(start: &ProgramStart, library: &[u8]) -> io::Result<(Child, UnixStream, File)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut file = in_memory()?;
    file.write_all(library)?;
    let said = in_memory()?;
    let mut command = command(start);
    // The program inherits the file, which the library closes.
    let place = format!("{PRELOADED}{}", file.as_raw_fd());
    command.env("LD_PRELOAD", preload(&place, start.variable("LD_PRELOAD").as_deref()));
    command.env(VARIABLE, theirs.as_raw_fd().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    let (socket, file) = (theirs.as_raw_fd(), file.as_raw_fd());
    end_with_this(&mut command, move || {
        // SAFETY: plain numbers.
        unsafe {
            libc::fcntl(socket, libc::F_SETFD, 0);
            libc::fcntl(file, libc::F_SETFD, 0);
        }
    });
    let child = command.spawn()?;
    Ok((child, ours, said))
}

/// The list of libraries to preload: ours first.
pub(crate) fn preload(own: &str, others: Option<&OsStr>) -> OsString {
    let mut list = OsString::from(own);
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        list.push(":");
        list.push(others);
    }
    list
}

/// An empty file in memory.
fn in_memory() -> io::Result<File> {
    // SAFETY: the name is a C string; the descriptor is new, and nobody else's.
    unsafe {
        let new = libc::memfd_create(c"mallory".as_ptr(), libc::MFD_CLOEXEC);
        if new < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from(OwnedFd::from_raw_fd(new)))
    }
}
