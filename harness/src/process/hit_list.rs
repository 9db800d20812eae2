//! The stray accesses of a guarded run, as a list in memory that the process shares with its parent: it
//! outlives the run, and a signal handler writes it.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::process::guard_pages::GuardHit;

/// Accesses in the list of hits, and frames of each.
const HITS: usize = 32;
const FRAMES: usize = 48;

/// Where hits are written, null if there is no list.
static LIST: AtomicPtr<HitWords> = AtomicPtr::new(std::ptr::null_mut());

/// The list of hits, in memory that the parent shares.
#[repr(C)]
struct HitWords {
    count: AtomicUsize,
    hits: [[AtomicU64; HIT]; HITS],
}

/// Words of a hit: seven facts, and the frames.
const FACTS: usize = 7;
const HIT: usize = FACTS + FRAMES;

/// The accesses of a guarded run, as the parent reads them.
pub(crate) struct HitList {
    words: NonNull<HitWords>,
}

/// A new mapping of this size.
///
/// # Errors
/// The system's error if it refuses one.
pub(super) fn map(bytes: usize, rights: i32, flags: i32) -> io::Result<NonNull<u8>> {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other memory.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags | libc::MAP_ANON, -1, 0) };
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(start),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(super) const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

impl HitList {
    /// An empty list, which children that are forked from here on write to.
    ///
    /// # Errors
    /// The system's error if there is no memory to share.
    pub(crate) fn open() -> io::Result<HitList> {
        let words = map(size_of::<HitWords>(), READ_WRITE, libc::MAP_SHARED)?.cast::<HitWords>();
        LIST.store(words.as_ptr(), Ordering::Relaxed);
        Ok(HitList { words })
    }

    fn words(&self) -> &HitWords {
        // SAFETY: mapped by `open`, zeroed, which is valid for atomics, and unmapped by `drop`.
        unsafe { self.words.as_ref() }
    }

    /// The accesses, in their order, each with the event of its block's free (0 if that is unknown).
    pub(crate) fn read(&self) -> Vec<(GuardHit, u64)> {
        let words = self.words();
        let count = words.count.load(Ordering::Relaxed).min(HITS);
        let hit = |hit: &[AtomicU64; HIT]| {
            let word = |nth: usize| hit[nth].load(Ordering::Relaxed);
            let frames = hit[FACTS..].iter().map(|frame| frame.load(Ordering::Relaxed) as usize);
            let hit = GuardHit {
                number: word(0),
                size: word(1) as usize,
                align: word(2) as usize,
                offset: word(3) as isize,
                is_write: [None, Some(false), Some(true)].get(word(4) as usize).copied().flatten(),
                is_freed: word(5) == 1,
                accessed: frames.take_while(|frame| *frame != 0).collect(),
                allocated: Vec::new(),
                freed: Vec::new(),
            };
            (hit, word(6))
        };
        words.hits[..count].iter().map(hit).collect()
    }
}

impl Drop for HitList {
    fn drop(&mut self) {
        LIST.store(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: mapped by `open` with this size; no reference outlives `self`.
        unsafe { libc::munmap(self.words.as_ptr().cast(), size_of::<HitWords>()) };
    }
}

/// Whether the parent of this process reads a list.
pub(super) fn has_list() -> bool {
    !LIST.load(Ordering::Relaxed).is_null()
}

/// Writes an access to the list: its facts in the order of [`HitList::read`], and its call stack, which
/// `frames` passes on. Returns false if the list is full. Calls nothing that allocates or locks.
pub(super) fn write(facts: [u64; FACTS], frames: impl FnOnce(&mut dyn FnMut(usize))) -> bool {
    // SAFETY: the parent mapped the list before it forked this process, and unmaps only its own.
    let list = unsafe { LIST.load(Ordering::Relaxed).as_ref() };
    let nth = list.map_or(HITS, |list| list.count.load(Ordering::Relaxed));
    let Some((list, hit)) = list.and_then(|list| Some((list, list.hits.get(nth)?))) else {
        return false;
    };
    for (place, fact) in hit.iter().zip(facts) {
        place.store(fact, Ordering::Relaxed);
    }
    let mut places = hit[FACTS..].iter();
    frames(&mut |frame| {
        if let Some(place) = places.next() {
            place.store(frame as u64, Ordering::Relaxed);
        }
    });
    list.count.store(nth + 1, Ordering::Relaxed);
    true
}
