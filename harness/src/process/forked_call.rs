//! Calls a closure in a fork of this process, which is itself a child of the harness, and takes what
//! it returns. The fork begins in the state that this process is in, so calls that follow each other
//! all begin in the same state.
//!
//! To its parent this process stands for the fork: it dies as the fork dies, and hands on the signal
//! that asks where it hangs.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use crate::process::pipe::{Pipe, pipe};
use crate::process::{codec, status};
use crate::report::format::panic_message;

/// The fork that this process waits for; 0 if there is none.
static WAITS_FOR: AtomicI32 = AtomicI32::new(0);

/// How long to wait for the fork's answer before its end is looked for, in milliseconds.
const POLL_MILLIS: i32 = 20;

/// Passes a signal on to the fork, if this process waits for one.
pub(crate) fn forward(signal: i32) -> bool {
    let pid = WAITS_FOR.load(Ordering::Relaxed);
    // SAFETY: the fork isn't reaped before `WAITS_FOR` is cleared, so the process id is its own.
    pid != 0 && unsafe { libc::kill(pid, signal) == 0 }
}

/// Calls `work` in a fork, and returns its answer. Doesn't return if the fork dies.
///
/// # Errors
/// The system's error if it can't fork.
pub(crate) fn call<T: codec::Codec>(work: &mut dyn FnMut() -> T) -> io::Result<T> {
    let (read, write) = pipe()?;
    // SAFETY: `getpid` has no precondition. This process has no thread that the harness started, and
    // the fork leaves by `_exit`.
    let (parent, pid) = unsafe { (libc::getpid(), libc::fork()) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        let pipe = Pipe::new(write, parent as u32, read.as_raw_fd());
        drop(read);
        live_with(parent);
        let work = std::panic::AssertUnwindSafe(work);
        match std::panic::catch_unwind(work) {
            Ok(answer) => pipe.send(&answer),
            Err(payload) => status::report_bug(&panic_message(&*payload)),
        }
        // SAFETY: `_exit` has no precondition; it ends this process at once.
        unsafe { libc::_exit(0) }
    }
    drop(write);
    WAITS_FOR.store(pid, Ordering::Relaxed);
    match answer_of(pid, &read) {
        Ok(answer) => Ok(answer),
        Err(status) => die_alike(status),
    }
}

/// Makes a new fork die with its parent, and write to the parent's status.
fn live_with(parent: libc::pid_t) {
    WAITS_FOR.store(0, Ordering::Relaxed);
    // SAFETY: the arguments are plain numbers. The parent may have ended before the first call takes
    // effect, hence the check after it.
    unsafe {
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != parent {
            libc::_exit(0);
        }
    }
    status::adopt();
}

/// The fork's answer once it has ended, or the wait status of one that died before it answered.
fn answer_of<T: codec::Codec>(pid: libc::pid_t, end: &OwnedFd) -> Result<T, i32> {
    let mut buffer = Vec::new();
    let mut chunk = [0_u8; 1 << 16];
    loop {
        let mut polled = libc::pollfd { fd: end.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointers are to one entry, to a writable buffer of the given length and to a
        // value for which zeroed is valid; `pid` is a child that was not reaped yet.
        let (count, has_ended) = unsafe {
            let is_ready = libc::poll(&raw mut polled, 1, POLL_MILLIS) > 0;
            let count = match is_ready {
                true => libc::read(end.as_raw_fd(), chunk.as_mut_ptr().cast(), chunk.len()),
                false => -1,
            };
            // A process that the subject left behind may hold the pipe open, so its closing is not
            // waited for.
            let how = libc::WEXITED | libc::WNOWAIT | if count == 0 { 0 } else { libc::WNOHANG };
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let looked =
                count <= 0 && libc::waitid(libc::P_PID, pid as u32, &raw mut info, how) == 0;
            (count, looked && info.si_signo != 0)
        };
        if let Ok(count) = usize::try_from(count) {
            buffer.extend_from_slice(&chunk[..count]);
        }
        if has_ended {
            WAITS_FOR.store(0, Ordering::Relaxed);
            let mut status = 0;
            // SAFETY: it has ended and is reaped here, once; the status is writable.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            // It may have written between the look at the pipe and its end.
            while let Some(count) = read_now(end, &mut chunk) {
                buffer.extend_from_slice(&chunk[..count]);
            }
            let body = codec::next_message(&mut buffer);
            return body.and_then(|body| codec::unpack(&body)).ok_or(status);
        }
    }
}

/// Reads what is in the pipe already. `None` if nothing is.
fn read_now(end: &OwnedFd, chunk: &mut [u8]) -> Option<usize> {
    let mut polled = libc::pollfd { fd: end.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointers are to one entry, and to a writable buffer of the given length.
    let count = unsafe {
        match libc::poll(&raw mut polled, 1, 0) > 0 {
            true => libc::read(end.as_raw_fd(), chunk.as_mut_ptr().cast(), chunk.len()),
            false => 0,
        }
    };
    usize::try_from(count).ok().filter(|count| *count > 0)
}

/// Ends this process as the fork ended, so that its parent sees the same death.
fn die_alike(status: i32) -> ! {
    // SAFETY: plain numbers; restoring a default action needs no handler.
    unsafe {
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::signal(signal, libc::SIG_DFL);
            let mut only: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, signal);
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
            libc::kill(libc::getpid(), signal);
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}
