//! A child process as its parent sees it: the read end of its pipe, its status in shared memory,
//! and how it is waited for, killed and reaped.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::process::codec;
use crate::process::descriptors::out_of_the_way;
use crate::process::exit::Death;
#[cfg(target_os = "linux")]
use crate::process::leftovers::{self, Adopting};
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::{ChildStatus, Mark};
use crate::process::watchdog::Watchdog;
use crate::process::{signal_handlers, stalls, status};

/// How long the parent waits for its children before it looks at shared memory again.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a child that hangs has to write where it is. On a busy machine it may wait for its turn.
const SAMPLE_TIME: Duration = Duration::from_secs(1);

/// A running child. Dropping it kills the child and removes its scratch directory.
pub(crate) struct Child<'a> {
    pid: libc::pid_t,
    pipe: OwnedFd,
    /// Becomes readable when the child ends; `None` where the system has no such descriptor.
    pidfd: Option<OwnedFd>,
    status: &'a ChildStatus,
    buffer: Vec<u8>,
    is_reaped: bool,
    /// How many times in a row its pipe was found closed.
    closed: u32,
    /// Set if what its subject leaves behind is ended with it.
    #[cfg(target_os = "linux")]
    adopting: Option<Adopting>,
    /// Whether other threads may have been running beside the one that forked it.
    pub(crate) had_other_threads: bool,
}

impl<'a> Child<'a> {
    /// The handle of a child that was just forked and writes to the other end of `pipe`.
    pub(crate) fn new(
        pid: libc::pid_t,
        pipe: OwnedFd,
        status: &'a ChildStatus,
        had_other_threads: bool,
    ) -> Self {
        Child {
            pid,
            pipe,
            pidfd: pidfd(pid),
            status,
            buffer: Vec::new(),
            is_reaped: false,
            closed: 0,
            #[cfg(target_os = "linux")]
            adopting: None,
            had_other_threads,
        }
    }

    /// Ends what its subject leaves behind, also outside of its process group, when it is reaped.
    #[cfg(target_os = "linux")]
    pub(crate) fn end_leftovers(&mut self, adopting: Adopting) {
        self.adopting = Some(adopting);
    }

    /// Whether this descriptor belongs to the handle.
    pub(crate) fn holds(&self, descriptor: RawFd) -> bool {
        let pidfd = self.pidfd.as_ref().map(OwnedFd::as_raw_fd);
        self.pipe.as_raw_fd() == descriptor || pidfd == Some(descriptor)
    }

    /// Reads what the child sent and reaps it if it has ended. Kills it if the watchdog has
    /// expired. Returns how it ended, once it has; whole messages are then taken by
    /// [`next`](Self::next).
    pub(crate) fn check(&mut self, watchdog: &mut Watchdog) -> Option<Death> {
        let is_open = self.read_if_ready();
        let ended = self.reap();
        if ended.is_some() {
            return ended;
        }
        if !is_open {
            self.back_off();
        }
        if !watchdog.has_expired(self.status) {
            return None;
        }
        self.sample_stack();
        self.kill_and_reap();
        Some(Death::of_silence(self.status))
    }

    /// Has the child write where it is, several times, unless it is dying already.
    fn sample_stack(&self) {
        for _ in 0..stalls::SAMPLES {
            let before = self.status.word_count();
            // SAFETY: the child was not reaped yet (`is_reaped`), so the process id is its own.
            unsafe { libc::kill(self.pid, signal_handlers::STALL_SIGNAL) };
            let asked = Instant::now();
            while self.status.word_count() == before {
                if asked.elapsed() > SAMPLE_TIME {
                    return;
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            // Samples that are taken one right after the other may be taken in the same place.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The next whole message that it sent.
    pub(crate) fn next<T: codec::Codec>(&mut self) -> Option<T> {
        codec::unpack(&codec::next_message(&mut self.buffer)?)
    }

    /// Waits up to `millis` milliseconds for the first message, and returns it. `None` if there is
    /// none.
    pub(crate) fn first_message<T: codec::Codec>(&mut self, millis: i32) -> Option<T> {
        loop {
            if !self.has_input(millis) || !self.read() {
                return None;
            }
            if let Some(message) = self.next() {
                return Some(message);
            }
        }
    }

    /// Whether its pipe becomes readable, or is closed, within `millis` milliseconds.
    fn has_input(&self, millis: i32) -> bool {
        let mut polled =
            libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one entry, and the count says one.
        unsafe { libc::poll(&raw mut polled, 1, millis) > 0 }
    }

    /// Reads without waiting; false once nothing more can come.
    fn read_if_ready(&mut self) -> bool {
        !self.has_input(0) || self.read()
    }

    /// Reads once; false once nothing more can come.
    fn read(&mut self) -> bool {
        let mut chunk = [0_u8; 1 << 16];
        // SAFETY: the buffer is writable for its length; the descriptor is open (`OwnedFd`).
        let count =
            unsafe { libc::read(self.pipe.as_raw_fd(), chunk.as_mut_ptr().cast(), chunk.len()) };
        match usize::try_from(count) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                self.closed = 0;
                true
            }
            Err(_) => io::Error::last_os_error().kind() == io::ErrorKind::Interrupted,
        }
    }

    /// Sleeps for 50 µs to 3.2 ms after the pipe was found closed, where no pidfd tells of the
    /// child's end. The child is usually about to end; but its subject may also have closed the
    /// pipe, and then it may live long, so the time doubles.
    fn back_off(&mut self) {
        if self.pidfd.is_none() {
            std::thread::sleep(Duration::from_micros(50 << self.closed.min(6)));
        }
        self.closed += 1;
    }

    /// How it ended, if it has. Everything that it sent is then in the buffer, and on Linux the
    /// processes that the subject started and left behind are killed.
    fn reap(&mut self) -> Option<Death> {
        let death = match self.wait_status(libc::WNOHANG) {
            Ok(None) => return None,
            Ok(Some(status)) if libc::WIFSTOPPED(status) => {
                self.kill();
                let _ = self.wait_status(0);
                Death::Stopped(libc::WSTOPSIG(status))
            }
            Ok(Some(status)) => Death::of(status, self.status),
            Err(_) => Death::Unseen,
        };
        self.is_reaped = true;
        #[cfg(target_os = "linux")]
        if self.adopting.is_some() {
            leftovers::end_those_of(self.pid as u32);
        }
        // A process that left the child's group may still hold the pipe open, so read only what is
        // there. SAFETY: plain flags on an open descriptor (`OwnedFd`).
        unsafe { libc::fcntl(self.pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        while self.read() {}
        assert!(
            self.status.mark() != Some(Mark::Bug),
            "[mallory bug] a child panicked outside of the subject: {}",
            status::bug_text(self.status)
        );
        Some(death)
    }

    /// Its new wait status, if there is one: it ended, or it was stopped.
    fn wait_status(&mut self, how: i32) -> io::Result<Option<i32>> {
        #[cfg(target_os = "linux")]
        // SAFETY: zeroed is a valid `siginfo_t`. The child was not reaped yet (`is_reaped`), so its
        // process id and group id are still its own.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | how;
            if libc::waitid(libc::P_PID, self.pid as u32, &raw mut info, flags) != 0 {
                return none_if_interrupted();
            }
            if info.si_signo == 0 {
                return Ok(None);
            }
            if info.si_code != libc::CLD_STOPPED {
                libc::kill(-self.pid, libc::SIGKILL);
            }
        }
        let stopped = if cfg!(target_os = "linux") { libc::WUNTRACED } else { 0 };
        let mut status = 0;
        // SAFETY: `status` is writable, and this child of ours was not reaped yet (`is_reaped`).
        match unsafe { libc::waitpid(self.pid, &raw mut status, how | stopped) } {
            -1 => none_if_interrupted(),
            pid => Ok((pid == self.pid).then_some(status)),
        }
    }

    fn kill_and_reap(&mut self) {
        self.kill();
        while self.reap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn kill(&self) {
        // SAFETY: the child was not reaped yet (`is_reaped`), so the process id is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
            while matches!(self.wait_status(0), Ok(None)) {}
            #[cfg(target_os = "linux")]
            if self.adopting.is_some() {
                leftovers::end_those_of(self.pid as u32);
            }
        }
        ScratchDir::remove(self.pid as u32);
    }
}

/// A descriptor that becomes readable when the process ends. The system opens it close-on-exec.
fn pidfd(pid: libc::pid_t) -> Option<OwnedFd> {
    #[cfg(target_os = "linux")]
    // SAFETY: the arguments are plain numbers; a result that is not negative is a new descriptor
    // that nothing else owns.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        (pidfd >= 0).then(|| out_of_the_way(OwnedFd::from_raw_fd(pidfd as RawFd)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// No status yet if the call was interrupted by a signal; otherwise the error.
fn none_if_interrupted() -> io::Result<Option<i32>> {
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        error => Err(error),
    }
}

/// Waits until one of the children sends something or ends, at most for `time` or a second.
pub(crate) fn wait(children: &[&Child], time: Duration) {
    let poll = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut polled = Vec::with_capacity(2 * children.len());
    for child in children {
        // A closed pipe is always ready, so it is left out where the pidfd tells of the end.
        let is_useful = child.closed == 0 || child.pidfd.is_none();
        polled.extend(is_useful.then(|| poll(child.pipe.as_raw_fd())));
        polled.extend(child.pidfd.iter().map(|pidfd| poll(pidfd.as_raw_fd())));
    }
    let millis = time.as_millis().min(1000) as i32;
    // SAFETY: pointer and count are those of `polled`.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
}
