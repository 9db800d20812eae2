//! The pipe through which a child sends what it found. It works even if the subject closes
//! descriptors that are not its own.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::process::descriptors::out_of_the_way;
use crate::process::{codec, status};

/// The read and the write end of a new pipe, which programs that the subject starts don't inherit.
///
/// # Errors
/// The system's error if there is no pipe to be had.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors were just opened, and nothing else owns them.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    let (read, write) = (out_of_the_way(read), out_of_the_way(write));
    for end in [&read, &write] {
        // SAFETY: plain flags on an open descriptor.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok((read, write))
}

/// The child's end of the pipe.
///
/// A subject may close descriptors that aren't its own, and its own may then have their numbers. So
/// before each message the pipe is checked, and reopened through `/proc` if it is gone.
pub(crate) struct Pipe {
    end: Cell<RawFd>,
    /// The pipe's device and inode.
    identity: (u64, u64),
    /// The path of the parent's end.
    parent_end: CString,
}

impl Pipe {
    /// The write end of a pipe whose read end is the descriptor `far` of the process `parent`.
    pub(crate) fn new(end: OwnedFd, parent: u32, far: RawFd) -> Pipe {
        let end = end.into_raw_fd();
        let parent_end = CString::new(format!("/proc/{parent}/fd/{far}")).unwrap_or_default();
        Pipe { end: Cell::new(end), identity: identity(end), parent_end }
    }

    /// Whether there is a descriptor to write to, after reopening it if necessary.
    fn is_open(&self) -> bool {
        if identity(self.end.get()) == self.identity {
            return true;
        }
        // SAFETY: the path is a C string.
        let end = unsafe { libc::open(self.parent_end.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
        self.end.set(end);
        identity(end) == self.identity
    }

    /// Sends a message. If it can't be sent, the parent misses it, but learns from shared memory
    /// that there was something to send.
    pub(crate) fn send(&self, value: &impl codec::Codec) {
        // A process that the subject forked sends nothing.
        if !status::is_owner() || !self.is_open() {
            return;
        }
        let bytes = codec::message(value);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            // SAFETY: pointer and length are those of `rest`; the descriptor is the pipe
            // (`is_open`).
            let sent = unsafe { libc::write(self.end.get(), rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(sent) {
                Ok(sent) => rest = &rest[sent..],
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The parent is gone, so there is no reader.
                Err(_) => return,
            }
        }
    }
}

/// Device and inode of an open file; zeros if the descriptor is not open.
fn identity(descriptor: RawFd) -> (u64, u64) {
    // SAFETY: zeroed is a valid `stat`, and `fstat` fills it in or fails.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(descriptor, &raw mut stat) != 0 {
            return (0, 0);
        }
        (stat.st_dev as u64, stat.st_ino as u64)
    }
}
