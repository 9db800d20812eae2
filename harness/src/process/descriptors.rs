//! The harness's descriptors in a preloaded library, out of the program's way: the lowest free number
//! is what a program gets when it opens something, and many a program closes all that it didn't open.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::memory::preloaded::is_preloaded;

/// The highest number that a descriptor of the harness's is looked for from.
const BASE_MAX: RawFd = 1 << 19;
/// How many numbers below the system's limit are the harness's.
const OWN: RawFd = 64;

/// The lowest number of the harness's descriptors; 0 until it is known.
static BASE: AtomicI32 = AtomicI32::new(0);

fn base() -> RawFd {
    let known = BASE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is written.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let limit = RawFd::try_from(limit.rlim_cur).unwrap_or(RawFd::MAX);
    let base = limit.min(BASE_MAX).saturating_sub(OWN).max(3);
    BASE.store(base, Ordering::Relaxed);
    base
}

/// The numbers of the harness's descriptors, from the first up to the one behind the last.
#[cfg(feature = "preload")]
pub(crate) fn own_range() -> (RawFd, RawFd) {
    (base(), base() + OWN)
}

/// Moves a descriptor out of the way, if this is a preloaded library. Programs that the program starts
/// don't inherit it.
pub(crate) fn out_of_the_way(descriptor: OwnedFd) -> OwnedFd {
    if !is_preloaded() {
        return descriptor;
    }
    // SAFETY: plain numbers; the copy, if there is one, is nobody else's.
    unsafe {
        let copy = libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, base());
        if copy < 0 { descriptor } else { OwnedFd::from_raw_fd(copy) }
    }
}

/// The file in place of standard error, or -1.
static SAID: AtomicI32 = AtomicI32::new(-1);

/// Reads the end of what the program has said on standard error. Returns the number of bytes. Signal
/// handlers call this.
pub(crate) fn last_said(buffer: &mut [u8]) -> usize {
    let file = SAID.load(Ordering::Relaxed);
    if file < 0 {
        return 0;
    }
    // SAFETY: `stat` is written, and the buffer has the length that is given.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(file, &raw mut stat) != 0 {
            return 0;
        }
        let from = (stat.st_size - buffer.len() as libc::off_t).max(0);
        usize::try_from(libc::pread(file, buffer.as_mut_ptr().cast(), buffer.len(), from))
            .unwrap_or(0)
    }
}

/// A file in memory, which stands for one of the program's streams.
pub(crate) struct StreamFile(File);

impl StreamFile {
    /// An empty file in place of this descriptor.
    ///
    /// # Errors
    /// The system's error if it refuses a file.
    pub(crate) fn in_place_of(stream: RawFd) -> io::Result<StreamFile> {
        // SAFETY: the name is a C string, and the new descriptor nobody else's.
        let file = unsafe {
            let new = libc::memfd_create(c"stream".as_ptr(), libc::MFD_CLOEXEC);
            if new < 0 {
                return Err(io::Error::last_os_error());
            }
            out_of_the_way(OwnedFd::from_raw_fd(new))
        };
        replace(stream, file.as_raw_fd())?;
        if stream == 2 {
            SAID.store(file.as_raw_fd(), Ordering::Relaxed);
        }
        Ok(StreamFile(File::from(file)))
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> u64 {
        self.0.metadata().map_or(0, |file| file.len())
    }

    /// All that was written.
    ///
    /// # Errors
    /// The system's error if it can't be read.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.rewind()?;
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A new file with these bytes, at the lowest free number, to be read from its beginning.
///
/// # Errors
/// The system's error if it refuses a file.
#[cfg(feature = "preload")]
pub(crate) fn file_of(bytes: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string, and the new descriptor nobody else's.
    let mut file = unsafe {
        let new = libc::memfd_create(c"random".as_ptr(), 0);
        if new < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(new)
    };
    io::Write::write_all(&mut file, bytes)?;
    file.rewind()?;
    Ok(OwnedFd::from(file))
}

/// Opens a file to be read through this descriptor, from its beginning.
///
/// # Errors
/// The system's error if it can't be opened.
pub(crate) fn open_as(path: &Path, stream: RawFd) -> io::Result<()> {
    let file = File::open(path)?;
    if file.as_raw_fd() == stream {
        // SAFETY: plain numbers: the program shall inherit it.
        unsafe { libc::fcntl(file.into_raw_fd(), libc::F_SETFD, 0) };
        return Ok(());
    }
    replace(stream, file.as_raw_fd())
}

/// Makes `stream` a copy of another descriptor.
fn replace(stream: RawFd, with: RawFd) -> io::Result<()> {
    // SAFETY: plain numbers.
    if unsafe { libc::dup2(with, stream) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
