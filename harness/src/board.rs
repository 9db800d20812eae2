//! The board: memory that a parent and its workers share, and that outlives any death.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Memory that parent and children share.
pub(crate) struct Board {
    start: NonNull<AtomicU64>,
    pub(crate) jobs: usize,
    points: usize,
    bytes: usize,
}

/// A worker that has run out of points stands on this one.
pub(crate) const DONE: u64 = u64::MAX;

const HEADER: usize = 1;

const PER_JOB: usize = 2;

impl Board {
    pub(crate) fn new(jobs: usize, points: usize) -> io::Result<Board> {
        let bytes = (HEADER + jobs * PER_JOB) * 8 + points.next_multiple_of(8);
        // SAFETY: a fresh anonymous mapping, at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Board { start, jobs, points, bytes })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < HEADER + self.jobs * PER_JOB, "[mallory bug] beyond the board");
        // SAFETY: the mapping begins with so many words (asserted), is zeroed, aligned to a page,
        // and lives as long as `self`.
        unsafe { self.start.add(index).as_ref() }
    }

    /// Takes the next point off the list.
    pub(crate) fn claim(&self) -> Option<usize> {
        let point = self.word(0).fetch_add(1, Ordering::Relaxed);
        usize::try_from(point).ok().filter(|point| *point < self.points)
    }

    /// Whether points are left that nobody has taken.
    pub(crate) fn has_more(&self) -> bool {
        self.word(0).load(Ordering::Relaxed) < self.points as u64
    }

    pub(crate) fn place(&self, job: usize) -> &AtomicU64 {
        self.word(HEADER + job * PER_JOB)
    }

    /// Where a job's requests are counted, as a sign of life.
    pub(crate) fn beat(&self, job: usize) -> &AtomicU64 {
        self.word(HEADER + job * PER_JOB + 1)
    }

    /// Says what a job is at.
    pub(crate) fn stand(&self, job: usize, point: Option<usize>) {
        let place = point.map_or(DONE, |point| point as u64 + 1);
        self.place(job).store(place, Ordering::Relaxed);
    }

    pub(crate) fn standing(&self, job: usize) -> Option<usize> {
        match self.place(job).load(Ordering::Relaxed) {
            0 | DONE => None,
            point => Some(point as usize - 1),
        }
    }

    /// A point's outcome; 0 until there is one.
    pub(crate) fn outcome(&self, point: usize) -> &AtomicU8 {
        assert!(point < self.points, "[mallory bug] beyond the board");
        // SAFETY: the bytes of the outcomes follow the words, one for each point (asserted).
        unsafe {
            self.start.add(HEADER + self.jobs * PER_JOB).cast::<AtomicU8>().add(point).as_ref()
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: `new` mapped just this; nobody holds a reference beyond `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
