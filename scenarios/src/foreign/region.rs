//! Memory whose addresses are the same in each run, in each process and on each machine: for code
//! that hashes addresses. Blocks are allocated one after the other, and freed only when the run
//! ends.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::OnceLock;

use mallory::{Port, Refused};

/// The address of the region: neither programs nor libraries nor stacks are mapped there.
const START: usize = 0x2000_0000_0000;

/// Some hundred times what a run needs.
const LENGTH: usize = 256 << 20;

/// The region in one run.
#[derive(Debug)]
pub(super) struct Region {
    used: Cell<usize>,
}

/// A port over the empty region. Only one may be in use at a time.
pub(super) fn port() -> Region {
    static MAPPED: OnceLock<bool> = OnceLock::new();
    let is_mapped = *MAPPED.get_or_init(|| {
        #[cfg(target_os = "linux")]
        let exactly = libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
        #[cfg(not(target_os = "linux"))]
        let exactly = 0;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | exactly;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: fresh memory, and none that is in use already.
        let start = unsafe { libc::mmap(START as *mut _, LENGTH, rights, flags, -1, 0) };
        start.addr() == START
    });
    Region { used: Cell::new(if is_mapped { 0 } else { LENGTH }) }
}

// SAFETY: the region is mapped (otherwise all of it is in use); each part of it is handed out once
// in a run, and runs of one process come one after the other.
unsafe impl Port for Region {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // A byte at least, so that an empty block has an address of its own.
        let from = self.used.get().checked_next_multiple_of(layout.align()).ok_or(Refused)?;
        let to = from.checked_add(layout.size().max(1)).filter(|to| *to <= LENGTH);
        self.used.set(to.ok_or(Refused)?);
        let start = NonNull::new((START + from) as *mut u8).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, _: NonNull<u8>, _: Layout) {}
}
