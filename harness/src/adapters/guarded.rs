//! The port of a guarded run: blocks with inaccessible pages around them, from
//! [`guard_region`](crate::process::guard_region), or from the system's allocator where the region
//! has no room.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::port::{Malloc, Port, Refused};
use crate::process::guard_region::{self, GuardMode};

/// The port.
#[derive(Debug)]
pub(crate) struct Guarded {
    mode: GuardMode,
}

impl Guarded {
    /// The port of this process's region. Without address space for one, nothing is guarded.
    pub(crate) fn new(mode: GuardMode) -> Guarded {
        let _ = guard_region::open();
        Guarded { mode }
    }

    fn obtain(&self, layout: Layout, zeroed: bool) -> Result<NonNull<[u8]>, Refused> {
        match guard_region::alloc(layout, zeroed, self.mode) {
            Some(start) => Ok(NonNull::slice_from_raw_parts(start, layout.size())),
            None if zeroed => Malloc.alloc_zeroed(layout),
            None => Malloc.alloc(layout),
        }
    }
}

// SAFETY: blocks of the region have pages of their own and are aligned as requested; all others are
// `Malloc`'s, which keeps the contract. Each is freed where it came from. Nothing here unwinds.
unsafe impl Port for Guarded {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.obtain(layout, false)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.obtain(layout, true)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        if !guard_region::free(block) {
            // SAFETY: it is not of the region, so it is `Malloc`'s; the rest is the caller's promise.
            unsafe { Malloc.free(block, layout) }
        }
    }
}
