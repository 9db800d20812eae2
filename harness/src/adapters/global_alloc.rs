//! A `GlobalAlloc` as a port. What that trait lacks is added: requests of zero bytes, and resizes
//! to another alignment.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use crate::port::{Port, Refused};

/// A [`GlobalAlloc`] as a [`Port`].
///
/// ```
/// use std::alloc::System;
/// use mallory::adapters::GlobalPort;
/// use mallory::conformance;
/// conformance(|| GlobalPort(System)).run().assert_clean();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalPort<A>(
    /// The allocator.
    pub A,
);

/// A static [`GlobalAlloc`] as a [`Port`], such as a `#[global_allocator]`.
#[derive(Debug)]
pub struct StaticPort<A: 'static>(
    /// The allocator.
    pub &'static A,
);

impl<A> Clone for StaticPort<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for StaticPort<A> {}

/// `GlobalAlloc` has no blocks of zero bytes: one byte gives them an address of their own.
fn non_empty(layout: Layout) -> Result<Layout, Refused> {
    Layout::from_size_align(layout.size().max(1), layout.align()).map_err(|_| Refused)
}

fn block(start: *mut u8, size: usize) -> Result<NonNull<[u8]>, Refused> {
    let start = NonNull::new(start).ok_or(Refused)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

/// Resizes a block.
///
/// # Safety
/// - `start` is a live block of `allocator`, made with `non_empty(old)`.
unsafe fn resize(
    allocator: &impl GlobalAlloc,
    start: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, Refused> {
    let (from, to) = (non_empty(old)?, non_empty(new)?);
    if from.align() == to.align() {
        // SAFETY: the caller's promise; `to` is a layout, so its size rounded up to the alignment
        // doesn't overflow, and it is not empty.
        return block(unsafe { allocator.realloc(start.as_ptr(), from, to.size()) }, new.size());
    }
    // SAFETY: `to` is not empty.
    let fresh = block(unsafe { allocator.alloc(to) }, new.size())?;
    // SAFETY: both blocks are alive, disjoint, and as long as the smaller size; the old one is
    // freed with the layout that it was made with.
    unsafe {
        fresh.cast::<u8>().copy_from_nonoverlapping(start, old.size().min(new.size()));
        allocator.dealloc(start.as_ptr(), from);
    }
    Ok(fresh)
}

macro_rules! port_of_a_global_alloc {
    ($name:ident) => {
        // SAFETY: the contract of `GlobalAlloc` is the port's for sizes above zero, and sizes of
        // zero are raised to one; every block is exactly as long as requested, so only its own
        // layout fits it.
        unsafe impl<A: GlobalAlloc> Port for $name<A> {
            #[inline]
            fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
                // SAFETY: not empty.
                block(unsafe { self.0.alloc(non_empty(layout)?) }, layout.size())
            }

            #[inline]
            fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
                // SAFETY: not empty.
                block(unsafe { self.0.alloc_zeroed(non_empty(layout)?) }, layout.size())
            }

            #[inline]
            unsafe fn free(&self, start: NonNull<u8>, layout: Layout) {
                if let Ok(layout) = non_empty(layout) {
                    // SAFETY: a live block (the caller's promise), made with this layout.
                    unsafe { self.0.dealloc(start.as_ptr(), layout) }
                }
            }

            unsafe fn grow(
                &self,
                start: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, Refused> {
                // SAFETY: the caller's promise.
                unsafe { resize(allocator!(self.0, $name), start, old, new) }
            }

            unsafe fn shrink(
                &self,
                start: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, Refused> {
                // SAFETY: the caller's promise.
                unsafe { resize(allocator!(self.0, $name), start, old, new) }
            }
        }
    };
}

/// A reference to the allocator of either newtype.
macro_rules! allocator {
    ($held:expr, GlobalPort) => {
        &$held
    };
    ($held:expr, StaticPort) => {
        $held
    };
}

port_of_a_global_alloc!(GlobalPort);
port_of_a_global_alloc!(StaticPort);
