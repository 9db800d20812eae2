//! A process of a traced tree: the program that `mallory exec --trace-children` starts, or one that is
//! started by it. At `main` a fork of the process makes the sweep, with all that the process finds
//! there: its arguments, its environment, its folder, its input. Then the process itself goes on as if
//! nothing had happened.
#![allow(unsafe_code)]

use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::c_int;

use crate::exec::order::{Answer, SentReport, VARIABLE};
use crate::process::{codec, descriptors};

/// The most bytes of input that are kept for the runs.
const INPUT_MAX: usize = 1 << 20;
/// How long whoever writes the input may take to end it, in milliseconds.
const INPUT_WAIT: c_int = 10_000;

/// What this process has in its environment because it is traced.
struct Traced {
    socket: CString,
    preload: CString,
}

static TRACED: OnceLock<Traced> = OnceLock::new();
/// The file with the input of the runs; -1 if there is none.
static INPUT: AtomicI32 = AtomicI32::new(-1);

/// Notes that this process is traced, by whom, and what it has preloaded.
pub(super) fn set(socket: &[u8], preload: &[u8]) {
    let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let _ = TRACED.set(Traced { socket: text(socket), preload: text(preload) });
}

/// The path by which each run reads its input, if this process has some.
pub(super) fn input() -> Option<String> {
    let file = INPUT.load(Ordering::Relaxed);
    (file >= 0).then(|| format!("/proc/self/fd/{file}"))
}

/// Has a fork of this process sweep it, if it is traced. Returns the fork's socket in the fork, and
/// `None` in the process itself, once that is done. A process that isn't traced gets what it has.
pub(super) fn sweeper(socket: RawFd) -> Option<RawFd> {
    let Some(traced) = TRACED.get() else { return Some(socket) };
    let path = OsStr::from_bytes(traced.socket.to_bytes());
    if let Ok(mut socket) = UnixStream::connect(path) {
        match take_input() {
            Ok(input) => {
                // SAFETY: the process has reached `main`, and the fork needs no other thread.
                let fork = unsafe { libc::fork() };
                if fork == 0 {
                    // SAFETY: plain numbers.
                    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                    let high = |file: OwnedFd| {
                        let file = descriptors::out_of_the_way(file);
                        let number = file.as_raw_fd();
                        std::mem::forget(file);
                        number
                    };
                    INPUT.store(input.map_or(-1, high), Ordering::Relaxed);
                    return Some(high(OwnedFd::from(socket)));
                }
                drop(socket);
                let mut status = 0;
                // SAFETY: the status is written; a signal may interrupt the wait.
                while fork > 0 && unsafe { libc::waitpid(fork, &raw mut status, 0) } < 0 {
                    if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                        break;
                    }
                }
            }
            Err(why) => {
                let text = format!("error: {why}\n");
                let report =
                    SentReport { exit_code: 3, text, is_error: true, ..SentReport::default() };
                let _ = socket.write_all(&codec::message(&Answer::Report(report)));
            }
        }
    }
    // What this process starts is traced too.
    let name = CString::new(VARIABLE).unwrap_or_default();
    // SAFETY: the names and values are C strings, and this process has one thread.
    unsafe {
        libc::setenv(name.as_ptr(), traced.socket.as_ptr(), 1);
        libc::setenv(c"LD_PRELOAD".as_ptr(), traced.preload.as_ptr(), 1);
    }
    None
}

/// A copy of what is still to be read from standard input, which stays there. `None` if it is no file
/// and no pipe.
///
/// # Errors
/// There is too much, or it does not end.
fn take_input() -> Result<Option<OwnedFd>, &'static str> {
    const TOO_MUCH: &str = "there is too much on its standard input to keep it for each run";
    // SAFETY: `stat` is written; plain numbers.
    let (kind, from) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(0, &raw mut stat) != 0 {
            return Ok(None);
        }
        (stat.st_mode & libc::S_IFMT, libc::lseek(0, 0, libc::SEEK_CUR))
    };
    let mut bytes = vec![0; INPUT_MAX + 1];
    let count = match kind {
        libc::S_IFREG => read_file(&mut bytes, from),
        libc::S_IFIFO => read_pipe(&mut bytes)?,
        _ => return Ok(None),
    };
    if count > INPUT_MAX {
        return Err(TOO_MUCH);
    }
    descriptors::file_of(&bytes[..count]).map(Some).map_err(|_| "there is no memory for its input")
}

/// Reads a file from this offset on, without moving on in it.
fn read_file(bytes: &mut [u8], from: libc::off_t) -> usize {
    let mut count = 0;
    while count < bytes.len() {
        let rest = &mut bytes[count..];
        // SAFETY: the buffer has the length that is given.
        let read = unsafe {
            libc::pread(0, rest.as_mut_ptr().cast(), rest.len(), from + count as libc::off_t)
        };
        match usize::try_from(read) {
            Ok(read) if read > 0 => count += read,
            _ => break,
        }
    }
    count
}

/// Reads what is in a pipe, and leaves it there: others may read from it too.
///
/// # Errors
/// Somebody may still write to it.
fn read_pipe(bytes: &mut [u8]) -> Result<usize, &'static str> {
    let mut input = libc::pollfd { fd: 0, events: 0, revents: 0 };
    let mut ends = [0; 2];
    // SAFETY: one descriptor is polled; the two new ones are written, and nobody else's. A pipe may
    // be too small for all at once: then what is missing is seen by the count.
    unsafe {
        libc::poll(&raw mut input, 1, INPUT_WAIT);
        if input.revents & libc::POLLHUP == 0 {
            return Err("its standard input is a pipe to which somebody may still write");
        }
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
            return Err("there is no pipe for a copy of its input");
        }
        let ends = ends.map(|end| OwnedFd::from_raw_fd(end));
        let mut held: c_int = 0;
        libc::ioctl(0, libc::FIONREAD, &raw mut held);
        let held = usize::try_from(held).unwrap_or(0);
        libc::fcntl(ends[1].as_raw_fd(), libc::F_SETPIPE_SZ, INPUT_MAX as c_int);
        let copied = match held {
            0 => 0,
            _ => libc::tee(0, ends[1].as_raw_fd(), held, libc::SPLICE_F_NONBLOCK),
        };
        if usize::try_from(copied) != Ok(held) || held > bytes.len() {
            return Err("its standard input can't be copied");
        }
        let mut count = 0;
        while count < held {
            let rest = &mut bytes[count..held];
            let read = libc::read(ends[0].as_raw_fd(), rest.as_mut_ptr().cast(), rest.len());
            match usize::try_from(read) {
                Ok(read) if read > 0 => count += read,
                _ => return Err("its standard input can't be copied"),
            }
        }
        Ok(held)
    }
}
