//! A `GlobalAlloc` as a port: requests of zero bytes, and resizes to another alignment, which that
//! trait does not know, are added.
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

/// A static [`GlobalAlloc`] as a [`Port`], such as one behind `#[global_allocator]`.
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

/// `GlobalAlloc` has no empty blocks: one byte gives them an address of their own.
fn some(layout: Layout) -> Result<Layout, Refused> {
    Layout::from_size_align(layout.size().max(1), layout.align()).map_err(|_| Refused)
}

fn block(start: *mut u8, size: usize) -> Result<NonNull<[u8]>, Refused> {
    let start = NonNull::new(start).ok_or(Refused)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

/// Another size of a block.
///
/// # Safety
/// - `start` is a live block of `allocator`, made with `some(old)`.
unsafe fn resize(
    allocator: &impl GlobalAlloc,
    start: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, Refused> {
    let (from, to) = (some(old)?, some(new)?);
    if from.align() == to.align() {
        // SAFETY: the caller's promise; `to` is a layout, so its size may be rounded up, and it
        // is not empty.
        return block(unsafe { allocator.realloc(start.as_ptr(), from, to.size()) }, new.size());
    }
    // SAFETY: `to` is not empty.
    let fresh = block(unsafe { allocator.alloc(to) }, new.size())?;
    // SAFETY: both blocks are alive, disjoint, and as long as the smaller size; then the old one
    // goes back as it was made.
    unsafe {
        fresh.cast::<u8>().copy_from_nonoverlapping(start, old.size().min(new.size()));
        allocator.dealloc(start.as_ptr(), from);
    }
    Ok(fresh)
}

macro_rules! port_of_a_global_alloc {
    ($name:ident) => {
        // SAFETY: the contract of `GlobalAlloc` is the port's for sizes above zero, which all are
        // raised to; every block is exactly as long as it was asked for, so that is the only
        // layout that fits.
        unsafe impl<A: GlobalAlloc> Port for $name<A> {
            #[inline]
            fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
                // SAFETY: not empty.
                block(unsafe { self.0.alloc(some(layout)?) }, layout.size())
            }

            #[inline]
            fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
                // SAFETY: not empty.
                block(unsafe { self.0.alloc_zeroed(some(layout)?) }, layout.size())
            }

            #[inline]
            unsafe fn free(&self, start: NonNull<u8>, layout: Layout) {
                if let Ok(layout) = some(layout) {
                    // SAFETY: the caller hands in a live block, which was made with this layout.
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

/// A reference to the allocator, whether it is held or referred to.
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
