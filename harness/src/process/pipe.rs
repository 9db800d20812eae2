//! The pipe by which a child tells what it found, however its subject treats descriptors.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::process::codec;

/// A pipe that nothing which the subject starts inherits.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors were just opened and are nobody else's.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    for end in [&read, &write] {
        // SAFETY: plain flags on an open descriptor.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok((read, write))
}

/// The child's end of the pipe.
///
/// A subject may close descriptors that aren't its own, and open others under their numbers: the
/// pipe is looked at before each message, and opened anew where it is gone.
pub(crate) struct Pipe {
    end: Cell<RawFd>,
    /// Which pipe it is, by device and number.
    identity: (u64, u64),
    /// The process that may write: not one that the subject forks.
    owner: libc::pid_t,
    /// Where the system shows the parent's end.
    way_back: CString,
}

impl Pipe {
    /// The end of the pipe whose other end the parent reads from.
    pub(crate) fn new(end: OwnedFd, parent: u32, far: RawFd) -> Pipe {
        let end = end.into_raw_fd();
        let way_back = CString::new(format!("/proc/{parent}/fd/{far}")).unwrap_or_default();
        // SAFETY: asks for a number.
        let owner = unsafe { libc::getpid() };
        Pipe { end: Cell::new(end), identity: identity(end), owner, way_back }
    }

    /// Whether there is a descriptor to write to.
    fn is_open(&self) -> bool {
        if identity(self.end.get()) == self.identity {
            return true;
        }
        // SAFETY: opens a path, which ends in a zero.
        let end = unsafe { libc::open(self.way_back.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
        self.end.set(end);
        identity(end) == self.identity
    }

    /// Sends a message. One that can't be sent is missed by the parent, which knows from the board
    /// that there is one.
    pub(crate) fn send(&self, value: &impl codec::Codec) {
        // SAFETY: asks for a number.
        if unsafe { libc::getpid() } != self.owner || !self.is_open() {
            return;
        }
        let bytes = codec::message(value);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            // SAFETY: `rest` is readable; the descriptor is the pipe (`is_open`).
            let sent = unsafe { libc::write(self.end.get(), rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(sent) {
                Ok(sent) => rest = &rest[sent..],
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The parent is gone: nobody to tell.
                Err(_) => return,
            }
        }
    }
}

/// What is behind a descriptor, by device and number; zeros where there is nothing.
fn identity(descriptor: RawFd) -> (u64, u64) {
    // SAFETY: zeroed is a good `stat`, which is filled in where the descriptor is open.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(descriptor, &raw mut stat) != 0 {
            return (0, 0);
        }
        (stat.st_dev as u64, stat.st_ino as u64)
    }
}
