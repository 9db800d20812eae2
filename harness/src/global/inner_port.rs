//! The allocator inside a global heap, as a port.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use crate::port::{Port, Refused, at_least_one};

/// The allocator inside, as a port.
pub(crate) struct InnerPort<A: 'static>(pub(crate) &'static A);

// SAFETY: `GlobalAlloc` promises what a port does for sizes above zero; sizes of zero are raised to
// one, for requests and frees alike.
unsafe impl<A: GlobalAlloc + Sync> Port for InnerPort<A> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { self.0.alloc(at_least_one(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero.
        let start =
            NonNull::new(unsafe { self.0.alloc_zeroed(at_least_one(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: a live block of this port with its own layout (the caller's promise).
        unsafe { self.0.dealloc(block.as_ptr(), at_least_one(layout)) }
    }
}
