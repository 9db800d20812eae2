//! A lock on a file, against a second process that uses it. It ends with the process that holds it,
//! however that dies.
//!
//! A lock of `flock(2)` belongs to the open file, which forks share. So that no process of a subject
//! that outlives a killed sweep keeps the lock, children of the harness close these files.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

/// Files that children close: their descriptors plus one, or 0.
static HELD: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];

/// A file that this process alone uses. It is unlocked when it is dropped.
pub(crate) struct LockedFile {
    file: File,
    place: Option<&'static AtomicI32>,
    /// The process that locked it.
    owner: u32,
}

/// Locks an open file. Returns whether it is this process's now: no other process has locked it, nor
/// this one through another open file. Where the file system has no locks, none is taken.
///
/// # Errors
/// The system's error.
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open (`File`), and the flags are numbers.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EWOULDBLOCK) => Ok(false),
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOLCK | libc::EINVAL) => Ok(true),
        _ => Err(error),
    }
}

impl LockedFile {
    /// As [`lock`]; `None` if the file is another's.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn of(file: File) -> io::Result<Option<Self>> {
        if !lock(&file)? {
            return Ok(None);
        }
        let descriptor = file.as_raw_fd() + 1;
        let takes = |place: &&AtomicI32| {
            place.compare_exchange(0, descriptor, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        let owner = std::process::id();
        Ok(Some(LockedFile { file, place: HELD.iter().find(takes), owner }))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // A child that was forked by another thread before the file was noted, or after that, has a
        // copy, which would keep the lock.
        if self.owner == std::process::id() {
            // SAFETY: the descriptor is open (`File`), and the flag is a number.
            unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_UN) };
        }
        if let Some(place) = self.place {
            place.store(0, Ordering::Relaxed);
        }
    }
}

/// Closes the locked files of the parent in a new child, which leaves without dropping them.
pub(crate) fn close_in_child() {
    for place in &HELD {
        let descriptor = place.swap(0, Ordering::Relaxed) - 1;
        if descriptor >= 0 {
            // SAFETY: the parent's file of this number was open at the fork. The child never uses its
            // copy of the `File`, and never drops it, since it leaves by `_exit`.
            unsafe { libc::close(descriptor) };
        }
    }
}
