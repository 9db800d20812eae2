//! A C allocator with the functions of `malloc` as a port, and the table in which C hands them
//! over.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;

use crate::adapters::c_table::block;
use crate::error::Error;
use crate::port::{Port, Refused};

/// The alignment of `malloc`'s blocks in bytes: enough for every C type.
pub const MAX_ALIGN: usize = align_of::<libc::max_align_t>();

/// The size to request of `malloc` for a layout: a block is only aligned for types that fit into
/// it.
fn malloc_size(layout: Layout) -> usize {
    layout.size().max(layout.align())
}

/// A size as two factors for `calloc`. A size that no machine has becomes a product that overflows.
/// A `calloc` that doesn't check for overflow then grants a few bytes, which conformance finds.
fn product(size: usize) -> (usize, usize) {
    const EACH: usize = 48;
    if size > isize::MAX as usize / 2 {
        return (usize::MAX / EACH + 1, EACH);
    }
    let each = 1 << size.trailing_zeros().min(4);
    (size / each, each)
}

/// A table of `malloc`-like functions: a C allocator, or a heap that is handed to C.
///
/// `malloc` and `free` are required; the others may be null.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryTable {
    /// Passed to each function.
    pub context: *mut c_void,
    /// A block aligned for every C type.
    pub malloc: Option<unsafe extern "C" fn(context: *mut c_void, size: usize) -> *mut c_void>,
    /// A block of `count * size` zero bytes; null if the product overflows. May be null.
    pub calloc: Option<
        unsafe extern "C" fn(context: *mut c_void, count: usize, size: usize) -> *mut c_void,
    >,
    /// Resizes a block; of null it is `malloc`. May be null.
    pub realloc: Option<
        unsafe extern "C" fn(context: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void,
    >,
    /// Frees a block; of null it does nothing.
    pub free: Option<unsafe extern "C" fn(context: *mut c_void, block: *mut c_void)>,
    /// A block aligned to a power of two. May be null.
    pub aligned_alloc: Option<
        unsafe extern "C" fn(context: *mut c_void, align: usize, size: usize) -> *mut c_void,
    >,
    /// The number of bytes of a block that may be used. May be null.
    pub usable_size:
        Option<unsafe extern "C" fn(context: *mut c_void, block: *mut c_void) -> usize>,
}

/// A C allocator with `malloc`-like functions as a [`Port`]. Alignments above [`MAX_ALIGN`] are
/// served by `aligned_alloc`, or without that by a part of a larger block.
#[derive(Debug)]
pub struct MemoryPort {
    table: MemoryTable,
    malloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

// SAFETY: the caller of `new` promises that the functions may be called from any thread, one call
// at a time.
unsafe impl Send for MemoryPort {}

impl MemoryPort {
    /// A port over the allocator of this table.
    ///
    /// # Errors
    /// `malloc` or `free` is null.
    ///
    /// # Safety
    /// - The functions may be called with the context as long as the port lives, from any thread,
    ///   one call at a time.
    /// - They do what C's do. In a conformance run, which finds out, they need not.
    pub unsafe fn new(table: MemoryTable) -> Result<MemoryPort, Error> {
        let missing = |name| {
            Error::new(format!("the allocator's table has no `{name}`"))
                .help("fill in `malloc` and `free`; the rest may be null")
        };
        let malloc = table.malloc.ok_or_else(|| missing("malloc"))?;
        let free = table.free.ok_or_else(|| missing("free"))?;
        Ok(MemoryPort { table, malloc, free })
    }

    /// A block with the length that the allocator says is usable, or else the requested size.
    fn block_of(&self, start: *mut c_void, size: usize) -> Result<NonNull<[u8]>, Refused> {
        let usable = self.table.usable_size.filter(|_| !start.is_null());
        // SAFETY: a block that was just returned, and the promise of `new`.
        let usable = usable.map(|usable| unsafe { usable(self.table.context, start) });
        block(start, usable.unwrap_or(size))
    }

    /// A block with a large alignment inside a larger block, whose start is stored right before it.
    fn alloc_inside(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let room = layout.align() + size_of::<*mut c_void>();
        let whole = layout.size().checked_add(room).ok_or(Refused)?;
        // SAFETY: the promise of `new`.
        let whole = unsafe { (self.malloc)(self.table.context, whole) };
        let base = NonNull::new(whole.cast::<u8>()).ok_or(Refused)?;
        let skip = size_of::<*mut c_void>();
        // SAFETY: there is room for the pointer, for the bytes that aligning skips, and for the
        // size.
        unsafe {
            let start = base.add(skip);
            let start = start.add(start.as_ptr().align_offset(layout.align()));
            start.cast::<*mut c_void>().sub(1).write_unaligned(whole);
            Ok(NonNull::slice_from_raw_parts(start, layout.size()))
        }
    }

    /// Whether a block with this layout is inside a larger one.
    fn is_inside(&self, layout: Layout) -> bool {
        layout.align() > MAX_ALIGN && self.table.aligned_alloc.is_none()
    }

    /// Resizes a block.
    ///
    /// # Safety
    /// - As for [`Port::grow`], in either direction.
    unsafe fn resized(
        &self,
        old_start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let is_plain = old.align().max(new.align()) <= MAX_ALIGN;
        if let Some(realloc) = self.table.realloc.filter(|_| is_plain) {
            let size = malloc_size(new);
            // SAFETY: a live block of this table's (the caller's promise), and a size above zero.
            let moved = unsafe { realloc(self.table.context, old_start.as_ptr().cast(), size) };
            return self.block_of(moved, new.size());
        }
        let fresh = self.alloc(new)?;
        // SAFETY: both blocks are alive, disjoint and as long as the smaller size.
        unsafe {
            fresh.cast::<u8>().copy_from_nonoverlapping(old_start, old.size().min(new.size()));
            self.free(old_start, old);
        }
        Ok(fresh)
    }
}

// SAFETY: the promise of `MemoryPort::new`; requests of zero bytes are raised to the alignment;
// blocks aligned above `MAX_ALIGN` are made and freed in another way, which their layout shows in
// both directions.
unsafe impl Port for MemoryPort {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let (context, size) = (self.table.context, malloc_size(layout));
        if self.is_inside(layout) {
            return self.alloc_inside(layout);
        }
        let aligned = self.table.aligned_alloc.filter(|_| layout.align() > MAX_ALIGN);
        // C11 wants the size to be a multiple of the alignment.
        let whole = size.checked_next_multiple_of(layout.align()).ok_or(Refused)?;
        // SAFETY: the promise of `new`; a size above zero.
        let start = unsafe {
            match aligned {
                Some(aligned) => aligned(context, layout.align(), whole),
                None => (self.malloc)(context, size),
            }
        };
        // `aligned_alloc` rounds a size up to the alignment, which may be a terabyte. The whole
        // block is not to be written to, so its usable size is not asked.
        if aligned.is_some() {
            block(start, layout.size())
        } else {
            self.block_of(start, layout.size())
        }
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        if let Some(calloc) = self.table.calloc.filter(|_| layout.align() <= MAX_ALIGN) {
            let (count, each) = product(malloc_size(layout));
            // SAFETY: the promise of `new`. The block is only promised to be zero for the requested
            // size, so it is no longer than that.
            return block(unsafe { calloc(self.table.context, count, each) }, layout.size());
        }
        let fresh = self.alloc(layout)?;
        // SAFETY: the block was just handed out with this length.
        unsafe { fresh.cast::<u8>().write_bytes(0, fresh.len()) };
        Ok(fresh)
    }

    unsafe fn free(&self, start: NonNull<u8>, layout: Layout) {
        let start = if self.is_inside(layout) {
            // SAFETY: `alloc_inside` wrote it there.
            unsafe { start.cast::<*mut c_void>().sub(1).read_unaligned() }
        } else {
            start.as_ptr().cast()
        };
        // SAFETY: a live block of this table's allocator (the caller's promise).
        unsafe { (self.free)(self.table.context, start) }
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
