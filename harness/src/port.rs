//! The allocator port: the trait that an allocator under test implements, and the system's
//! allocator as a port.
//!
//! `Port` uses only types of `core` (`Layout` in, block or refusal out), so its signature doesn't
//! depend on a version of an allocator crate. Of std this module uses only the allocator that
//! [`SystemPort`] wraps.

#![allow(unsafe_code)]

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::GlobalAlloc;

use crate::memory::c_library::CLibrary;

pub(crate) mod counters;

use crate::port::counters::Counters;

/// The error of an allocator that has no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl core::error::Error for Refused {}

/// An allocator under test.
///
/// # Safety
/// An implementor promises all of this, and [`Heap`](crate::Heap) and the detectors rely on it:
/// - A returned block is aligned to `layout.align()` and at least `layout.size()` bytes long.
/// - Blocks that are alive are disjoint.
/// - A zeroed block is zero over its whole returned length.
/// - A failed `grow` or `shrink` leaves the old block alive and unaltered. A successful one keeps
///   the first `min(old, new)` bytes and makes the old pointer invalid, even if the new one is
///   equal.
/// - A request of zero bytes is legal.
/// - Clones of a handle own each other's blocks.
/// - Nothing unwinds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no allocator that Mallory can call",
    label = "this is no `mallory::Port`",
    note = "wrap it: `mallory::adapters` has `GlobalPort` for a `GlobalAlloc`, `Api2Port` for an \
            `Allocator` of allocator-api2, and others; or implement `Port`"
)]
pub unsafe trait Port {
    /// Allocates a block that fits `layout`.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused>;

    /// Frees a block.
    ///
    /// # Safety
    /// - `block` was returned by this port and is alive.
    /// - `layout` fits it: it has the requested alignment, and a size between the requested one and
    ///   the returned one.
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout);

    /// Allocates a block of zeroes that fits `layout`.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let block = self.alloc(layout)?;
        // SAFETY: `alloc` has just returned `block.len()` writable bytes that nobody else holds.
        unsafe {
            block.cast::<u8>().write_bytes(0, block.len());
        }
        Ok(block)
    }

    /// Makes a block larger; it may move.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory. The old block is then alive and unaltered.
    ///
    /// # Safety
    /// - `block` was returned by this port, is alive, and `old` fits it.
    /// - `new.size() >= old.size()`. Alignments may differ.
    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { move_block(self, block, old, new) }
    }

    /// Makes a block smaller; it may move.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory. The old block is then alive and unaltered.
    ///
    /// # Safety
    /// - `block` was returned by this port, is alive, and `old` fits it.
    /// - `new.size() <= old.size()`. Alignments may differ.
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { move_block(self, block, old, new) }
    }

    /// Takes every block back at once, as an arena's reset does. Returns whether it did; the
    /// default does nothing and returns false.
    ///
    /// # Safety
    /// - Nobody uses a block of this port afterwards.
    unsafe fn reclaim(&self) -> bool {
        false
    }
}

/// A grow or shrink as a fresh block, a copy and a free, which is right for every port.
///
/// # Safety
/// - `block` was returned by `port`, is alive, and `old` fits it.
unsafe fn move_block<P: Port + ?Sized>(
    port: &P,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, Refused> {
    let fresh = port.alloc(new)?;
    // SAFETY: both blocks are alive and disjoint (the port's contract), each at least as long as
    // the smaller of the two sizes; `old` fits `block` (the caller's promise).
    unsafe {
        core::ptr::copy_nonoverlapping(
            block.as_ptr(),
            fresh.cast::<u8>().as_ptr(),
            old.size().min(new.size()),
        );
        port.free(block, old);
    }
    Ok(fresh)
}

/// The system's allocator (`malloc`) without counters: the default port of a heap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Malloc;

fn block(start: *mut u8, size: usize) -> Result<NonNull<[u8]>, Refused> {
    let start = NonNull::new(start).ok_or(Refused)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

/// The layout to request of an allocator that doesn't support zero-sized blocks: one byte gives
/// such a block an address of its own.
#[inline]
pub(crate) fn at_least_one(layout: Layout) -> Layout {
    if layout.size() != 0 {
        return layout;
    }
    Layout::from_size_align(1, layout.align()).unwrap_or(layout)
}

// SAFETY: `System` keeps the contract of `GlobalAlloc`, which is this one for sizes above zero;
// zero is raised to one everywhere, for requests and frees alike.
unsafe impl Port for Malloc {
    #[inline]
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero after `at_least_one`.
        block(unsafe { CLibrary.alloc(at_least_one(layout)) }, layout.size())
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero after `at_least_one`.
        block(unsafe { CLibrary.alloc_zeroed(at_least_one(layout)) }, layout.size())
    }

    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: a live block of this port with its own layout (the caller's promise).
        unsafe { CLibrary.dealloc(block.as_ptr(), at_least_one(layout)) }
    }

    unsafe fn grow(
        &self,
        old_block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        if old.align() != new.align() {
            // SAFETY: the caller's obligations are passed on unchanged.
            return unsafe { move_block(self, old_block, old, new) };
        }
        let (old, size) = (at_least_one(old), new.size().max(1));
        // SAFETY: a live block of this port, its own layout, a new size above zero, and `new` is a
        // `Layout`, so its size rounded up to the alignment does not overflow.
        block(unsafe { CLibrary.realloc(old_block.as_ptr(), old, size) }, new.size())
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: `realloc` serves both directions; same obligations.
        unsafe { self.grow(block, old, new) }
    }
}

/// The system's allocator with counters that are exact under concurrency.
///
/// ```
/// use std::alloc::Layout;
/// use mallory::{Port, SystemPort};
///
/// let port = SystemPort::new();
/// let layout = Layout::new::<[u8; 100]>();
/// let block = port.alloc(layout)?.cast();
/// // SAFETY: a live block of this port, with its own layout.
/// unsafe { port.free(block, layout) };
/// assert_eq!((port.bytes_outstanding(), port.peak()), (0, 100));
/// # Ok::<(), mallory::Refused>(())
/// ```
#[derive(Debug, Default)]
pub struct SystemPort {
    counters: Counters,
}

impl SystemPort {
    /// A port whose counters are 0.
    #[must_use]
    pub const fn new() -> Self {
        SystemPort {
            counters: Counters {
                outstanding: AtomicU64::new(0),
                peak: AtomicU64::new(0),
                failures: AtomicU64::new(0),
            },
        }
    }

    /// The bytes that were requested and are not freed.
    #[must_use]
    pub fn bytes_outstanding(&self) -> u64 {
        self.counters.outstanding.load(Ordering::Relaxed)
    }

    /// The largest value that [`bytes_outstanding`](Self::bytes_outstanding) has had. Each request
    /// raises it at once, so no interleaving of threads misses a maximum.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.counters.peak.load(Ordering::Relaxed)
    }

    /// The number of requests that the system refused.
    #[must_use]
    pub fn failures_total(&self) -> u64 {
        self.counters.failures.load(Ordering::Relaxed)
    }

    fn count(
        &self,
        result: Result<NonNull<[u8]>, Refused>,
        gained: usize,
        lost: usize,
    ) -> Result<NonNull<[u8]>, Refused> {
        match result {
            Ok(_) if gained >= lost => self.counters.add(gained - lost),
            Ok(_) => self.counters.remove(lost - gained),
            Err(Refused) => self.counters.refuse(),
        }
        result
    }
}

// SAFETY: every call is passed to `Malloc`, which keeps the contract; the counters are atomics.
unsafe impl Port for SystemPort {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.count(Malloc.alloc(layout), layout.size(), 0)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.count(Malloc.alloc_zeroed(layout), layout.size(), 0)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { Malloc.free(block, layout) }
        self.counters.remove(layout.size());
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        self.count(unsafe { Malloc.grow(block, old, new) }, new.size(), old.size())
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        self.count(unsafe { Malloc.shrink(block, old, new) }, new.size(), old.size())
    }
}
