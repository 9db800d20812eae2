//! Memory that a parent shares with its children, and that survives the death of any of them.
//!
//! It holds the number of items claimed, the number of requests made, a [`ChildStatus`] for each
//! job (a place for one child at a time), and one byte for each item, which is its outcome.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// An anonymous mapping that the children inherit.
pub(crate) struct SharedMemory {
    start: NonNull<AtomicU64>,
    /// How many children there are at a time.
    pub(crate) jobs: usize,
    items: usize,
    bytes: usize,
}

/// The item of a worker for which there are no more.
const DONE: u64 = u64::MAX;

/// What a child knows of its own death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The subject makes requests without end.
    Endless,
    /// The harness panicked, not the subject.
    Bug,
    /// A bad memory access that is not a stack overflow.
    BadAccess,
    /// A bad memory access at the guard page of a block, which the words name.
    GuardPage,
    /// The stack overflowed.
    StackOverflow,
    /// A bad memory access or a stack overflow, on a machine whose stack pointer can't be read
    /// here.
    BadAccessOrOverflow,
    /// An abort whose call stack is being written.
    Aborting,
    /// It made no request for too long, and wrote where it is.
    Stalled,
    /// It became another program, whose path is its last words.
    Replaced,
}

impl Mark {
    const ALL: [Mark; 9] = [
        Mark::Endless,
        Mark::Bug,
        Mark::BadAccess,
        Mark::GuardPage,
        Mark::StackOverflow,
        Mark::BadAccessOrOverflow,
        Mark::Aborting,
        Mark::Stalled,
        Mark::Replaced,
    ];
}

/// What a child writes about itself, to be read however it ends. There is one for each job.
///
/// Signal handlers write to it as well, so all of it is atomics.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ChildStatus {
    /// The present item's number plus 1; 0 before the first, [`DONE`] after the last.
    item: AtomicU64,
    /// Increases while the child makes requests.
    heartbeats: AtomicU64,
    /// A [`Mark`]'s index in [`Mark::ALL`] plus 1; 0 is none.
    mark: AtomicU64,
    /// How many of the words are written.
    word_count: AtomicU64,
    /// The call stack of a death, the block whose guard page was touched and from where, samples
    /// of the call stack of a child that hangs, or the text of a bug.
    words: [AtomicU64; ChildStatus::WORDS],
    /// What the C library or a panic said last, as text.
    last_words: [AtomicU64; ChildStatus::LAST_WORDS],
    /// The bytes of the last request that the allocator refused without a fault; 0 if none.
    refused: AtomicU64,
    /// Not 0 while the harness itself works in the child, which is no silence of the subject's.
    busy: AtomicU64,
    /// Schedules begun at this item.
    schedules: AtomicU64,
    /// How many runs of this item ended in each outcome, in the order of `Outcome::ALL`.
    pub(crate) outcomes: [AtomicU64; ChildStatus::OUTCOMES],
    /// The number of preemptions that the present schedule has made.
    preemption_count: AtomicU64,
    /// The first of them, packed.
    preemptions: [AtomicU64; ChildStatus::PREEMPTIONS],
}

impl ChildStatus {
    const WORDS: usize = 1020;
    const LAST_WORDS: usize = 32;
    const OUTCOMES: usize = 11;
    const PREEMPTIONS: usize = 64;

    /// Forgets the mark of a signal that the subject has dealt with.
    #[cfg(feature = "preload")]
    pub(crate) fn forget_mark(&self) {
        self.mark.store(0, Ordering::Relaxed);
        self.word_count.store(0, Ordering::Relaxed);
    }

    /// Prepares for a new child of the same job.
    pub(crate) fn reset(&self) {
        self.item.store(0, Ordering::Relaxed);
        self.word_count.store(0, Ordering::Relaxed);
        self.mark.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
        self.busy.store(0, Ordering::Relaxed);
        self.last_words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Says which item it is at; `None` if there are no more. Clears the mark: the child survived
    /// what it marked.
    pub(crate) fn set_item(&self, item: Option<usize>) {
        let item = item.map_or(DONE, |item| item as u64 + 1);
        self.mark.store(0, Ordering::Relaxed);
        self.schedules.store(0, Ordering::Relaxed);
        self.outcomes.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        self.item.store(item, Ordering::Relaxed);
    }

    /// Says that another schedule begins, without preemptions so far.
    pub(crate) fn begin_schedule(&self) {
        self.schedules.fetch_add(1, Ordering::Relaxed);
        self.preemption_count.store(0, Ordering::Relaxed);
    }

    /// Adds a packed preemption to the present schedule.
    pub(crate) fn add_preemption(&self, word: u64) {
        let index = self.preemption_count.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.preemptions.get(index as usize) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// The preemptions of the present schedule, packed; `None` if there were more than there is
    /// room for.
    pub(crate) fn preemptions(&self) -> Option<Vec<u64>> {
        let count = self.preemption_count.load(Ordering::Relaxed) as usize;
        let preemptions = self.preemptions.get(..count)?;
        Some(preemptions.iter().map(|word| word.load(Ordering::Relaxed)).collect())
    }

    /// Schedules begun at this item.
    pub(crate) fn schedules(&self) -> u64 {
        self.schedules.load(Ordering::Relaxed)
    }

    /// The item that it is at; `None` before the first and after the last.
    pub(crate) fn current_item(&self) -> Option<usize> {
        match self.item.load(Ordering::Relaxed) {
            0 | DONE => None,
            item => Some(item as usize - 1),
        }
    }

    /// Whether it has got as far as its first item.
    pub(crate) fn has_started(&self) -> bool {
        self.item.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn is_done(&self) -> bool {
        self.item.load(Ordering::Relaxed) == DONE
    }

    /// Shows that the child is alive.
    pub(crate) fn heartbeat(&self) {
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.load(Ordering::Relaxed)
    }

    pub(crate) fn set_mark(&self, mark: Mark) {
        self.mark.store(mark as u64 + 1, Ordering::Relaxed);
    }

    pub(crate) fn mark(&self) -> Option<Mark> {
        let mark = usize::try_from(self.mark.load(Ordering::Relaxed)).ok()?;
        Mark::ALL.get(mark.checked_sub(1)?).copied()
    }

    /// Adds a word; false if there is no room for it.
    pub(crate) fn push_word(&self, word: u64) -> bool {
        let count = self.word_count.load(Ordering::Relaxed);
        let Some(free) = self.words.get(count as usize) else {
            return false;
        };
        free.store(word, Ordering::Relaxed);
        self.word_count.store(count + 1, Ordering::Relaxed);
        true
    }

    /// How many words there are.
    pub(crate) fn word_count(&self) -> u64 {
        self.word_count.load(Ordering::Relaxed)
    }

    /// Keeps what the C library or a panic says, as far as there is room.
    pub(crate) fn set_last_words(&self, text: &[u8]) {
        let mut parts = text.chunks(8);
        for word in &self.last_words {
            let mut bytes = [0; 8];
            if let Some(part) = parts.next() {
                bytes[..part.len()].copy_from_slice(part);
            }
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }

    /// What it said last; empty if nothing is known.
    pub(crate) fn last_words(&self) -> String {
        let words = self.last_words.iter().map(|word| word.load(Ordering::Relaxed));
        let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).take_while(|b| *b != 0).collect();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    /// Says whether the harness itself works in the child.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        self.busy.store(u64::from(is_busy), Ordering::Relaxed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) != 0
    }

    /// Notes that the allocator refused a request of this many bytes.
    pub(crate) fn set_refused(&self, bytes: u64) {
        self.refused.store(bytes, Ordering::Relaxed);
    }

    /// The bytes of the last request that the allocator refused; 0 if none.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The words added since the last [`reset`](Self::reset).
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        let words = self.word_count.load(Ordering::Relaxed) as usize;
        self.words.iter().take(words).map(|word| word.load(Ordering::Relaxed))
    }
}

/// Words before the first status: the items claimed and the requests made, on a cache line of their
/// own.
const HEADER: usize = 8;

/// Words per status.
const PER_JOB: usize = size_of::<ChildStatus>() / size_of::<AtomicU64>();

impl SharedMemory {
    /// Maps memory for `jobs` children at a time, which work on `items` items.
    ///
    /// # Errors
    /// The system's error if there is no memory.
    pub(crate) fn new(jobs: usize, items: usize) -> io::Result<SharedMemory> {
        let bytes = (HEADER + jobs * PER_JOB) * 8 + items.next_multiple_of(8);
        // SAFETY: a new anonymous mapping at an address that the kernel chooses touches no other
        // memory.
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
        Ok(SharedMemory { start, jobs, items, bytes })
    }

    fn claimed(&self) -> &AtomicU64 {
        // SAFETY: the mapping begins with `HEADER` words, is zeroed, aligned to a page, and lives
        // as long as `self`.
        unsafe { self.start.as_ref() }
    }

    /// Takes the next item; `None` if there are no more.
    pub(crate) fn claim(&self) -> Option<usize> {
        let item = self.claimed().fetch_add(1, Ordering::Relaxed);
        usize::try_from(item).ok().filter(|item| *item < self.items)
    }

    /// Adds to the requests (or schedules) made.
    pub(crate) fn count(&self, requests: u64) {
        self.requests().fetch_add(requests, Ordering::Relaxed);
    }

    /// The requests (or schedules) made, without those of children that died before they counted
    /// them.
    pub(crate) fn requests(&self) -> &AtomicU64 {
        // SAFETY: as in `claimed`; the second word.
        unsafe { self.start.add(1).as_ref() }
    }

    /// Whether there are items that no child has claimed.
    pub(crate) fn has_more(&self) -> bool {
        self.claimed().load(Ordering::Relaxed) < self.items as u64
    }

    /// The status of a job's present child.
    ///
    /// # Panics
    /// If there is no such job.
    pub(crate) fn status(&self, job: usize) -> &ChildStatus {
        assert!(job < self.jobs, "[mallory bug] there is no job {job} in shared memory");
        // SAFETY: `jobs` statuses follow the header, and `job` is one of them (asserted). All of a
        // status is atomics, for which zeroed memory is valid.
        unsafe { self.start.add(HEADER + job * PER_JOB).cast::<ChildStatus>().as_ref() }
    }

    /// An item's outcome; 0 until there is one.
    ///
    /// # Panics
    /// If there is no such item.
    pub(crate) fn outcome(&self, item: usize) -> &AtomicU8 {
        assert!(item < self.items, "[mallory bug] there is no item {item} in shared memory");
        // SAFETY: the bytes of the outcomes follow the statuses, one for each item, and `item` is
        // one of them (asserted).
        unsafe {
            self.start.add(HEADER + self.jobs * PER_JOB).cast::<AtomicU8>().add(item).as_ref()
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly these bytes, and references to them borrow `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
