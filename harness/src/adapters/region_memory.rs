//! The memory of a region that is handed to an allocator under test. Both of its sides are guarded, so
//! that conformance sees what an allocator does outside of its region:
//!
//! ```text
//!  │ inaccessible │ canary bytes │ the region │ canary bytes │ inaccessible │
//!                                             └ 16 to 47 of them
//! ```
//!
//! A write to canary bytes is seen when they are read. Any access beyond them ends the process.
//!
//! The region begins 16 bytes behind a multiple of 32, and always at the same distance from multiples of
//! larger alignments: an allocator that aligns offsets instead of addresses is found, and the same
//! requests fit into each region.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

#[cfg(not(miri))]
use crate::process::guard_pages::{self, GuardedBlock};
use crate::report::format::{count, thousands};

/// All regions of a size have the same distance from multiples of this, or of a larger power of two if a
/// region is larger. No region contains a multiple of a still larger one.
const ALIGN_MIN: usize = 1 << 20;
/// The alignment of a region: it begins this far behind a multiple of twice as much.
const SKEW: usize = 16;
/// What a region is filled with: not 0, so an allocator that takes fresh memory for zeroes is found.
const FRESH: u8 = 0xA5;
/// What is written before and behind a region.
const CANARY: u8 = 0xC7;
static CANARIES: [u8; 4096] = [CANARY; 4096];
/// The number by which a guard page of a region is identified in the table of guarded blocks.
pub(crate) const REGION: u64 = u64::MAX;

/// A region, by its addresses. The process never frees its memory.
pub(crate) struct HandedRegion {
    start: usize,
    bytes: usize,
    before: NonNull<[u8]>,
    behind: NonNull<[u8]>,
    /// The index in the table of guarded blocks.
    #[cfg(not(miri))]
    entry: Option<usize>,
}

thread_local! {
    /// The regions that were made since [`recording`] began.
    static RECORDED: RefCell<Option<Vec<HandedRegion>>> = const { RefCell::new(None) };
}

/// Memory for an allocator under test, which is never freed: nobody knows how long the allocator uses
/// it. It holds neither zeroes nor anything else that is useful.
///
/// If the closure that makes the port of [`conformance`](crate::conformance()) calls this, the suite
/// checks that all blocks are inside of the region, and that the port writes nothing before or behind
/// it. [`RegionPort`](crate::adapters::RegionPort) does so by itself.
///
/// The region begins 16 bytes behind an address that is aligned to 32, as a static array may: an allocator
/// has to align addresses, not offsets. It always begins at the same distance from addresses with a larger
/// alignment, so the same requests fit into each region of a size.
///
/// ```
/// use mallory::adapters::guarded_region;
/// let memory = guarded_region(4096);
/// assert_eq!((memory.len(), memory.as_ptr().addr() % 32), (4096, 16));
/// ```
///
/// # Panics
/// If the system has no memory for the region.
#[must_use]
pub fn guarded_region(bytes: usize) -> &'static mut [MaybeUninit<u8>] {
    let region = RegionPages::map(bytes).unwrap_or_else(|| {
        panic!("there is no memory for a region of {bytes} bytes: ask for a smaller one")
    });
    let from = region.first.as_ptr().addr();
    let at_most = from + region.bytes - SKEW - bytes;
    let start = (at_most - SKEW) / (2 * SKEW) * (2 * SKEW) + SKEW;
    let behind = region.bytes - (start - from) - bytes;
    let part = |offset: usize, length: usize, byte: u8| {
        // SAFETY: the accessible pages were just mapped, and hold at least `offset + length` bytes: `map`
        // adds more than the distances that are computed above.
        unsafe {
            let part = region.first.add(offset);
            part.write_bytes(byte, length);
            NonNull::slice_from_raw_parts(part, length)
        }
    };
    let handed = HandedRegion {
        start,
        bytes,
        before: part(0, start - from, CANARY),
        behind: part(start - from + bytes, behind, CANARY),
        #[cfg(not(miri))]
        entry: None,
    };
    let memory = part(start - from, bytes, FRESH);
    RECORDED.with_borrow_mut(|recorded| {
        if let Some(recorded) = recorded {
            recorded.push(handed.with_entry(&region));
        }
    });
    // SAFETY: these bytes were just mapped, nobody else has them, and they are never freed.
    unsafe { NonNull::slice_from_raw_parts(memory.cast(), bytes).as_mut() }
}

/// Accessible memory, with inaccessible pages around it.
struct RegionPages {
    first: NonNull<u8>,
    bytes: usize,
}

impl RegionPages {
    /// Memory for a region of this size and its canary bytes. Its first address is a multiple of its
    /// length, rounded up to a power of two, and of [`ALIGN_MIN`].
    fn map(bytes: usize) -> Option<RegionPages> {
        #[cfg(not(miri))]
        let page = guard_pages::page();
        #[cfg(miri)]
        let page = 4096;
        let inside = bytes.checked_add(3 * SKEW)?.checked_next_multiple_of(page)?;
        let align = inside.checked_next_power_of_two()?.max(ALIGN_MIN);
        let layout = Layout::from_size_align(inside, align).ok()?;
        RegionPages::obtain(layout, page)
    }

    #[cfg(not(miri))]
    fn obtain(layout: Layout, page: usize) -> Option<RegionPages> {
        let all = layout.size().checked_add(layout.align())?.checked_add(2 * page)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other memory.
        let whole = unsafe { libc::mmap(std::ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0) };
        if whole == libc::MAP_FAILED {
            return None;
        }
        let whole = NonNull::new(whole.cast::<u8>())?;
        let from = (whole.as_ptr().addr() + page).next_multiple_of(layout.align());
        // SAFETY: the pages are of the mapping, which has room for the alignment and a page on each side, and
        // nobody else knows of them.
        let is_open = unsafe { guard_pages::protect(from, from + layout.size(), true) };
        // SAFETY: inside of the mapping, as above.
        let first = unsafe { whole.add(from - whole.as_ptr().addr()) };
        is_open.then_some(RegionPages { first, bytes: layout.size() })
    }

    /// Miri knows no protection of pages: only the canary bytes guard the region.
    #[cfg(miri)]
    fn obtain(layout: Layout, _: usize) -> Option<RegionPages> {
        // SAFETY: not empty.
        let first = unsafe { std::alloc::GlobalAlloc::alloc(&std::alloc::System, layout) };
        Some(RegionPages { first: NonNull::new(first)?, bytes: layout.size() })
    }
}

/// Runs `make`, and returns the regions that it made on this thread.
pub(crate) fn recording<T>(make: impl FnOnce() -> T) -> (T, Vec<HandedRegion>) {
    let before = RECORDED.replace(Some(Vec::new()));
    let made = make();
    (made, RECORDED.replace(before).unwrap_or_default())
}

impl HandedRegion {
    /// Enters the region into the table in which a dying process looks up the address that it accessed.
    #[cfg(not(miri))]
    fn with_entry(self, pages: &RegionPages) -> HandedRegion {
        let (page, first) = (guard_pages::page(), pages.first.as_ptr().addr());
        let block = GuardedBlock {
            from: first - page,
            to: first + pages.bytes + page,
            start: self.start,
            size: self.bytes,
            align: SKEW,
            number: REGION,
        };
        HandedRegion { entry: guard_pages::enter(&block, None, &Vec::new()), ..self }
    }

    #[cfg(miri)]
    fn with_entry(self, _: &RegionPages) -> HandedRegion {
        self
    }

    pub(crate) fn contains(&self, start: usize, end: usize) -> bool {
        self.start <= start && end <= self.start + self.bytes
    }

    /// Where an address is, in words such as `3 bytes before the region of 4,096 bytes`.
    pub(crate) fn place(&self, address: usize) -> String {
        let distance = address.wrapping_sub(self.start) as isize;
        place(distance, self.bytes)
    }

    /// The first byte outside of the region that was written to.
    pub(crate) fn written_outside(&self) -> Option<String> {
        [self.before, self.behind].into_iter().find_map(|canary| {
            // SAFETY: these bytes were filled when the region was made, and are never freed. No reference is
            // kept to them, and the port that may write to them is not called meanwhile.
            let bytes = unsafe { canary.as_ref() };
            // Compared in one go first: this is done after every call.
            if bytes.chunks(CANARIES.len()).all(|chunk| chunk == &CANARIES[..chunk.len()]) {
                return None;
            }
            let at = bytes.iter().position(|byte| *byte != CANARY)?;
            Some(self.place(canary.cast::<u8>().as_ptr().addr() + at))
        })
    }
}

#[cfg(not(miri))]
impl Drop for HandedRegion {
    /// Nobody accesses the region any more.
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            guard_pages::leave(entry);
        }
    }
}

/// Where a block that is not empty leaves these regions, if it is in none of them and there is one.
pub(crate) fn outside(regions: &[HandedRegion], start: usize, end: usize) -> Option<String> {
    let region = regions.first()?;
    if regions.iter().any(|region| region.contains(start, end)) {
        return None;
    }
    let begins_inside = regions.iter().find(|region| region.contains(start, start + 1));
    Some(match begins_inside {
        Some(region) => format!("ends {}", region.place(end - 1)),
        None => format!("begins {}", region.place(start)),
    })
}

/// Where an address is, by its distance from the start of a region of `bytes` bytes.
pub(crate) fn place(distance: isize, bytes: usize) -> String {
    let far = distance.unsigned_abs();
    let region = format!("the region of {} bytes", thousands(bytes as u64));
    match distance {
        ..0 => format!("{} before {region}", count(far as u64, "byte")),
        _ if far >= bytes => {
            format!("{} past the end of {region}", count((far - bytes + 1) as u64, "byte"))
        }
        _ => format!("byte {} of {region}", thousands(far as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_on_either_side_is_seen_and_one_inside_is_not() {
        for bytes in [1, 15, 16, 4096, 5000, 65536] {
            let (start, regions) = recording(|| guarded_region(bytes).as_mut_ptr().cast::<u8>());
            let [region] = &regions[..] else { panic!("one region of {bytes}") };
            assert_eq!(start.addr() % 32, 16, "{bytes}");
            assert!(region.contains(start.addr(), start.addr() + bytes));
            assert!(!region.contains(start.addr() - 1, start.addr()));
            assert!(!region.contains(start.addr(), start.addr() + bytes + 1));
            // SAFETY: inside of the region, or of its canary bytes: there are 16 on each side.
            unsafe {
                start.write(1);
                start.add(bytes - 1).write(1);
                assert_eq!(region.written_outside(), None, "{bytes}");
                start.add(bytes + 2).write(1);
                assert!(
                    region.written_outside().is_some_and(|text| text.starts_with("3 bytes past"))
                );
                start.sub(8).write(1);
            }
            let text = region.written_outside().expect("a write before it");
            assert!(text.starts_with("8 bytes before the region of"), "{text}");
        }
        assert!(recording(|| ()).1.is_empty());
    }
}
