//! A port as C sees one: a table of functions with a context, and a C allocator by its table.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;

use crate::error::Error;
use crate::port::{Port, Refused};

/// A port as a table of functions: a C allocator, or a heap that is handed to C.
///
/// `alloc` and `free` are required; the others may be null. Sizes are in bytes, alignments are
/// powers of two. Returning null refuses a request. The contract is that of `Port`: a refused
/// resize leaves the old block alive and unchanged.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PortTable {
    /// Passed to each function.
    pub context: *mut c_void,
    /// A block of this size and alignment.
    pub alloc: Option<
        unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize) -> *mut c_void,
    >,
    /// A block of zeroes. May be null.
    pub alloc_zeroed: Option<
        unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize) -> *mut c_void,
    >,
    /// Frees a block. The size and the alignment are those of its request.
    pub free: Option<
        unsafe extern "C" fn(context: *mut c_void, block: *mut c_void, size: usize, align: usize),
    >,
    /// Makes a block larger or smaller; it may move. May be null.
    pub resize: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            block: *mut c_void,
            old_size: usize,
            new_size: usize,
            align: usize,
        ) -> *mut c_void,
    >,
    /// The bytes requested and not yet freed. May be null.
    pub bytes_outstanding: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
    /// The largest value of `bytes_outstanding` so far. May be null.
    pub peak: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
    /// The number of refused requests. May be null.
    pub failures: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
}

/// A C allocator, by its table, as a [`Port`].
#[derive(Debug)]
pub struct TablePort {
    table: PortTable,
    alloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize),
}

// SAFETY: the caller of `new` promises that the functions may be called from any thread, one call
// at a time.
unsafe impl Send for TablePort {}

impl TablePort {
    /// A port over the allocator of this table.
    ///
    /// # Errors
    /// `alloc` or `free` is null.
    ///
    /// # Safety
    /// - The functions may be called with the context as long as the port lives, from any thread,
    ///   one call at a time.
    /// - They keep the contract of [`Port`]. In a conformance run, which finds out, they need not.
    pub unsafe fn new(table: PortTable) -> Result<TablePort, Error> {
        let missing = |name| {
            Error::new(format!("the port's table has no `{name}`"))
                .help("fill in `alloc` and `free`; the rest may be null")
        };
        let alloc = table.alloc.ok_or_else(|| missing("alloc"))?;
        let free = table.free.ok_or_else(|| missing("free"))?;
        Ok(TablePort { table, alloc, free })
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> PortTable {
        self.table
    }

    /// The bytes requested and not yet freed, as the allocator counts them. `None` if it doesn't.
    #[must_use]
    pub fn bytes_outstanding(&self) -> Option<u64> {
        self.counter(self.table.bytes_outstanding)
    }

    /// The largest value of [`bytes_outstanding`](Self::bytes_outstanding) so far, as the allocator
    /// counts it. `None` if it doesn't.
    #[must_use]
    pub fn peak(&self) -> Option<u64> {
        self.counter(self.table.peak)
    }

    /// The number of requests that it refused, as the allocator counts them. `None` if it doesn't.
    #[must_use]
    pub fn failures(&self) -> Option<u64> {
        self.counter(self.table.failures)
    }

    fn counter(&self, count: Option<unsafe extern "C" fn(*mut c_void) -> u64>) -> Option<u64> {
        // SAFETY: the promise of `new`.
        count.map(|count| unsafe { count(self.table.context) })
    }

    /// Resizes a block.
    ///
    /// # Safety
    /// - As for [`Port::grow`], in either direction.
    unsafe fn resized(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let context = self.table.context;
        if let Some(resize) = self.table.resize.filter(|_| old.align() == new.align()) {
            let (from, to) = (old.size().max(1), new.size().max(1));
            // SAFETY: a live block of this table's allocator with the size of its request (the
            // caller's promise), and a size and an alignment that are a layout.
            let moved = unsafe { resize(context, start.as_ptr().cast(), from, to, old.align()) };
            return block(moved, new.size());
        }
        let fresh = self.alloc(new)?;
        // SAFETY: both blocks are alive, disjoint and as long as the smaller size; the old one is
        // freed with the layout that it was made with.
        unsafe {
            fresh.cast::<u8>().copy_from_nonoverlapping(start, old.size().min(new.size()));
            self.free(start, old);
        }
        Ok(fresh)
    }
}

pub(crate) fn block(start: *mut c_void, size: usize) -> Result<NonNull<[u8]>, Refused> {
    let start = NonNull::new(start.cast()).ok_or(Refused)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

// SAFETY: the promise of `TablePort::new`. Many C allocators return null for a request of zero
// bytes, so those are raised to one byte, for requests and frees alike.
unsafe impl Port for TablePort {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: a size above zero and a power of two.
        let start =
            unsafe { (self.alloc)(self.table.context, layout.size().max(1), layout.align()) };
        block(start, layout.size())
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let Some(zeroed) = self.table.alloc_zeroed else {
            let fresh = self.alloc(layout)?;
            // SAFETY: the block was just handed out with this length.
            unsafe { fresh.cast::<u8>().write_bytes(0, fresh.len()) };
            return Ok(fresh);
        };
        // SAFETY: as in `alloc`.
        let start = unsafe { zeroed(self.table.context, layout.size().max(1), layout.align()) };
        block(start, layout.size())
    }

    unsafe fn free(&self, start: NonNull<u8>, layout: Layout) {
        let (size, align) = (layout.size().max(1), layout.align());
        // SAFETY: a live block (the caller's promise) with the size and alignment of its request.
        unsafe { (self.free)(self.table.context, start.as_ptr().cast(), size, align) }
    }

    unsafe fn grow(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.resized(start, old, new) }
    }

    unsafe fn shrink(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.resized(start, old, new) }
    }
}
