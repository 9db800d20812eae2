//! The board: memory that a parent and its workers share, and that outlives any death.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Memory that parent and children share.
pub(crate) struct SharedMemory {
    start: NonNull<AtomicU64>,
    pub(crate) jobs: usize,
    points: usize,
    bytes: usize,
}

/// A worker that has run out of points stands on this one.
pub(crate) const DONE: u64 = u64::MAX;

/// What a child knows of its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The subject asks for memory without end.
    Stuck,
    /// The harness panicked, not the subject.
    Bug,
    /// A bad memory access, and not by a stack that overflowed.
    Fault,
    /// A bad memory access, at a guard page of a block that it told of.
    Guard,
    /// The stack overflowed.
    Overflow,
    /// A bad memory access, on a machine whose stack pointer is not known here.
    Unsure,
    /// It looks where it aborted.
    Aborting,
}

impl Mark {
    const ALL: [Mark; 7] = [
        Mark::Stuck,
        Mark::Bug,
        Mark::Fault,
        Mark::Guard,
        Mark::Overflow,
        Mark::Unsure,
        Mark::Aborting,
    ];
}

/// What a child tells of itself, however it ends: one for each job.
///
/// Written also by handlers of signals, so it is atomics and nothing else.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ChildStatus {
    /// What it is at: a point's number and one, 0 before the first, [`DONE`] after the last.
    place: AtomicU64,
    /// Changes while it makes requests.
    beat: AtomicU64,
    /// A [`Mark`]'s place in the list and one; 0 is none.
    mark: AtomicU64,
    /// How many of the words are written.
    said: AtomicU64,
    /// The stack of an abort, whose guard page was touched and from where, or the text of a bug.
    words: [AtomicU64; ChildStatus::WORDS],
    /// Schedules begun at this point, and how the runs that have ended ended.
    schedules: AtomicU64,
    pub(crate) ends: [AtomicU64; ChildStatus::ENDS],
    /// Deviations that the present schedule has made, and as many of them as there is room for.
    turned: AtomicU64,
    turns: [AtomicU64; ChildStatus::TURNS],
}

impl ChildStatus {
    const WORDS: usize = 124;
    const ENDS: usize = 10;
    const TURNS: usize = 64;

    /// Forgets the job's last child.
    pub(crate) fn begin(&self) {
        self.place.store(0, Ordering::Relaxed);
        self.said.store(0, Ordering::Relaxed);
        self.mark.store(0, Ordering::Relaxed);
    }

    /// Says what it is at. What was marked before was survived.
    pub(crate) fn stand(&self, point: Option<usize>) {
        let place = point.map_or(DONE, |point| point as u64 + 1);
        self.mark.store(0, Ordering::Relaxed);
        self.schedules.store(0, Ordering::Relaxed);
        self.ends.iter().for_each(|end| end.store(0, Ordering::Relaxed));
        self.place.store(place, Ordering::Relaxed);
    }

    /// Says that another schedule begins.
    pub(crate) fn schedule(&self) {
        self.schedules.fetch_add(1, Ordering::Relaxed);
        self.turned.store(0, Ordering::Relaxed);
    }

    /// Says that the present schedule deviates once more.
    pub(crate) fn turn(&self, word: u64) {
        let turned = self.turned.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.turns.get(turned as usize) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// The deviations of the present schedule; `None` where there were more than there is room for.
    pub(crate) fn turns(&self) -> Option<Vec<u64>> {
        let turned = self.turned.load(Ordering::Relaxed) as usize;
        let turns = self.turns.get(..turned)?;
        Some(turns.iter().map(|turn| turn.load(Ordering::Relaxed)).collect())
    }

    /// Schedules begun at this point.
    pub(crate) fn schedules(&self) -> u64 {
        self.schedules.load(Ordering::Relaxed)
    }

    pub(crate) fn standing(&self) -> Option<usize> {
        match self.place.load(Ordering::Relaxed) {
            0 | DONE => None,
            point => Some(point as usize - 1),
        }
    }

    /// Whether its first run, the one without a fault, is behind it.
    pub(crate) fn has_begun(&self) -> bool {
        self.place.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn is_done(&self) -> bool {
        self.place.load(Ordering::Relaxed) == DONE
    }

    pub(crate) fn live(&self) {
        self.beat.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn beat(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    pub(crate) fn set_mark(&self, mark: Mark) {
        self.mark.store(mark as u64 + 1, Ordering::Relaxed);
    }

    pub(crate) fn mark(&self) -> Option<Mark> {
        let place = usize::try_from(self.mark.load(Ordering::Relaxed)).ok()?;
        Mark::ALL.get(place.checked_sub(1)?).copied()
    }

    /// Adds a word; false once there is no room for another.
    pub(crate) fn say(&self, word: u64) -> bool {
        let place = self.said.load(Ordering::Relaxed);
        let Some(free) = self.words.get(place as usize) else {
            return false;
        };
        free.store(word, Ordering::Relaxed);
        self.said.store(place + 1, Ordering::Relaxed);
        true
    }

    /// What was said.
    pub(crate) fn said(&self) -> impl Iterator<Item = u64> {
        let words = self.said.load(Ordering::Relaxed) as usize;
        self.words.iter().take(words).map(|word| word.load(Ordering::Relaxed))
    }
}

/// The points that were claimed stand first, on a cache line of their own.
const HEADER: usize = 8;

const PER_JOB: usize = size_of::<ChildStatus>() / size_of::<AtomicU64>();

impl SharedMemory {
    pub(crate) fn new(jobs: usize, points: usize) -> io::Result<SharedMemory> {
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
        Ok(SharedMemory { start, jobs, points, bytes })
    }

    fn claimed(&self) -> &AtomicU64 {
        // SAFETY: the mapping begins with so many words, is zeroed, aligned to a page, and lives
        // as long as `self`.
        unsafe { self.start.as_ref() }
    }

    /// Takes the next point off the list.
    pub(crate) fn claim(&self) -> Option<usize> {
        let point = self.claimed().fetch_add(1, Ordering::Relaxed);
        usize::try_from(point).ok().filter(|point| *point < self.points)
    }

    /// Adds requests that were made.
    pub(crate) fn count(&self, requests: u64) {
        self.requests().fetch_add(requests, Ordering::Relaxed);
    }

    /// All requests that were made, as far as whoever made them lived to say so.
    pub(crate) fn requests(&self) -> &AtomicU64 {
        // SAFETY: as in `claimed`; the second word.
        unsafe { self.start.add(1).as_ref() }
    }

    /// Whether points are left that nobody has taken.
    pub(crate) fn has_more(&self) -> bool {
        self.claimed().load(Ordering::Relaxed) < self.points as u64
    }

    /// What a job's present child tells of itself.
    pub(crate) fn life(&self, job: usize) -> &ChildStatus {
        assert!(job < self.jobs, "[mallory bug] beyond the board");
        // SAFETY: so many lives follow the header (asserted); all of it is atomics, for which
        // zeroed memory is good.
        unsafe { self.start.add(HEADER + job * PER_JOB).cast::<ChildStatus>().as_ref() }
    }

    /// A point's outcome; 0 until there is one.
    pub(crate) fn outcome(&self, point: usize) -> &AtomicU8 {
        assert!(point < self.points, "[mallory bug] beyond the board");
        // SAFETY: the bytes of the outcomes follow the lives, one for each point (asserted).
        unsafe {
            self.start.add(HEADER + self.jobs * PER_JOB).cast::<AtomicU8>().add(point).as_ref()
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: `new` mapped just this; nobody holds a reference beyond `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
