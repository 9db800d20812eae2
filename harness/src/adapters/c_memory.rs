//! A heap in the words of C's `malloc`, which frees without a size; and a C allocator that has only
//! those words as a port.
//!
//! The heap knows its blocks: where C names none, the size and the alignment are looked up in the
//! ledger. So a free that is right fits, and one that isn't is found out as ever, but for a wrong
//! size, which nobody said.
#![allow(unsafe_code)]

use crate::detect::block::BlockTable;
use std::alloc::Layout;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};

use crate::adapters::c_table::{block, heap, start};
use crate::error::Error;
use crate::heap::Heap;
use crate::port::{Port, Refused};

/// What `malloc` aligns its blocks to: enough for every type of C's own.
pub const MAX_ALIGN: usize = align_of::<libc::max_align_t>();

/// The layout of a `malloc` of so many bytes; none where there is no such block.
fn plain(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, MAX_ALIGN).ok()
}

impl Heap {
    /// `malloc`: a block that is aligned for everything, or null. An empty one has an address of
    /// its own, and may be refused.
    #[must_use]
    pub fn malloc(&self, size: usize) -> *mut c_void {
        plain(size).map_or(null_mut(), |layout| start(self.alloc(layout)))
    }

    /// `calloc`: zeroes; null where `count * size` is more than there can be.
    #[must_use]
    pub fn calloc(&self, count: usize, size: usize) -> *mut c_void {
        let layout = count.checked_mul(size).and_then(plain);
        layout.map_or(null_mut(), |layout| start(self.alloc_zeroed(layout)))
    }

    /// `realloc`: of null it is `malloc`, and to zero it is `free` and answers null, as in glibc.
    /// A refused one leaves the block as it was. The alignment stays.
    ///
    /// # Safety
    /// - `block` is null or of this heap, and is used no more unless null is answered.
    #[must_use]
    pub unsafe fn realloc(&self, block: *mut c_void, size: usize) -> *mut c_void {
        let Some(old) = NonNull::new(block.cast::<u8>()) else { return self.malloc(size) };
        let layout = self.layout_of(old);
        if size == 0 {
            // SAFETY: the caller's promise; the heap judges the rest.
            unsafe { Port::free(self, old, layout.unwrap_or(UNKNOWN)) };
            return null_mut();
        }
        let align = layout.map_or(MAX_ALIGN, |layout| layout.align());
        let Ok(new) = Layout::from_size_align(size, align) else { return null_mut() };
        let layout = layout.unwrap_or(UNKNOWN);
        // SAFETY: a live block with its layout, or one that the heap refuses and reports.
        start(unsafe {
            if size >= layout.size() {
                Port::grow(self, old, layout, new)
            } else {
                Port::shrink(self, old, layout, new)
            }
        })
    }

    /// `free`: of null it does nothing.
    ///
    /// # Safety
    /// - `block` is null or of this heap, and is used no more.
    pub unsafe fn free_unsized(&self, block: *mut c_void) {
        let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
        // SAFETY: the caller's promise; the heap judges the rest.
        unsafe { Port::free(self, block, self.layout_of(block).unwrap_or(UNKNOWN)) }
    }

    /// `aligned_alloc`: null where `align` is no power of two. Unlike C's, any size will do.
    #[must_use]
    pub fn aligned_alloc(&self, align: usize, size: usize) -> *mut c_void {
        let layout = Layout::from_size_align(size, align.max(MAX_ALIGN));
        if !align.is_power_of_two() {
            return null_mut();
        }
        layout.map_or(null_mut(), |layout| start(self.alloc(layout)))
    }

    /// How many bytes of a block may be used: as many as were asked for, since a heap hands out
    /// no slack. Zero of null, and of what is no live block of this heap.
    #[must_use]
    pub fn usable_size(&self, block: *mut c_void) -> usize {
        let block = NonNull::new(block.cast::<u8>());
        let layout = block.and_then(|block| self.layout_at(block, Whose::Own));
        layout.map_or(0, |layout| layout.size())
    }

    /// The layout of the live block that begins here, for a free that doesn't say.
    fn layout_of(&self, block: NonNull<u8>) -> Option<Layout> {
        // Another heap's, where it is none of this one's: the heap then names both.
        self.layout_at(block, Whose::Anyones)
    }

    fn layout_at(&self, block: NonNull<u8>, whose: Whose) -> Option<Layout> {
        let (address, id) = (block.as_ptr() as usize, self.node().id);
        self.core().enter()?.with(|state| {
            let own = state.ledger.find(address, id);
            let of_family = || state.heaps.family_of(id);
            let own = own.or_else(|| of_family().find_map(|id| state.ledger.find(address, id)));
            if own.is_some() || whose == Whose::Own {
                return own.map(|slot| state.ledger.block(slot).layout());
            }
            let owners = state.ledger.owners(address).into_iter();
            owners.filter(|block| block.address == address).map(|block| block.layout()).next()
        })
    }
}

/// Which blocks are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Anyones,
}

/// For a free of what no heap knows: the heap says so.
const UNKNOWN: Layout = Layout::new::<()>();

/// What `malloc` is asked for: a block is aligned for every type that fits into it, and no more.
fn roomy(layout: Layout) -> usize {
    layout.size().max(layout.align())
}

/// A size as a product for `calloc`. What nobody has is asked for as a product that is larger than any
/// size: where nobody looks for overflow it comes to a few bytes, and is granted.
fn product(size: usize) -> (usize, usize) {
    const EACH: usize = 48;
    if size > isize::MAX as usize / 2 {
        return (usize::MAX / EACH + 1, EACH);
    }
    let each = 1 << size.trailing_zeros().min(4);
    (size / each, each)
}

/// An allocator of C's in the words of `malloc`, as a table; or a heap in those words.
///
/// `malloc` and `free` have to be there; the others may be null.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryTable {
    /// Handed to each function.
    pub context: *mut c_void,
    /// A block aligned for every type of C's own.
    pub malloc: Option<unsafe extern "C" fn(context: *mut c_void, size: usize) -> *mut c_void>,
    /// A block of zeroes; null where the product is too large. May be null.
    pub calloc: Option<
        unsafe extern "C" fn(context: *mut c_void, count: usize, size: usize) -> *mut c_void,
    >,
    /// Another size of a block; of null it is `malloc`. May be null.
    pub realloc: Option<
        unsafe extern "C" fn(context: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void,
    >,
    /// Gives a block back; of null it does nothing.
    pub free: Option<unsafe extern "C" fn(context: *mut c_void, block: *mut c_void)>,
    /// A block aligned to a power of two. May be null.
    pub aligned_alloc: Option<
        unsafe extern "C" fn(context: *mut c_void, align: usize, size: usize) -> *mut c_void,
    >,
    /// How many bytes of a block may be used. May be null.
    pub usable_size:
        Option<unsafe extern "C" fn(context: *mut c_void, block: *mut c_void) -> usize>,
}

impl Heap {
    /// This heap in the words of `malloc`. The context is this handle: it has to stay where it is
    /// for as long as the table is used.
    #[must_use]
    pub fn memory_table(&self) -> MemoryTable {
        MemoryTable {
            context: std::ptr::from_ref(self).cast_mut().cast(),
            malloc: Some(mallory_malloc),
            calloc: Some(mallory_calloc),
            realloc: Some(mallory_realloc),
            free: Some(mallory_free),
            aligned_alloc: Some(mallory_aligned_alloc),
            usable_size: Some(mallory_usable_size),
        }
    }
}

/// A C allocator in the words of `malloc`, as a [`Port`]. Alignments that `malloc` doesn't give
/// come from `aligned_alloc`, or else from inside of a larger block.
#[derive(Debug)]
pub struct MemoryPort {
    table: MemoryTable,
    malloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

// SAFETY: whoever makes one promises that its functions may be called from any thread, one at a
// time.
unsafe impl Send for MemoryPort {}

impl MemoryPort {
    /// The allocator behind this table.
    ///
    /// # Errors
    /// `malloc` or `free` is null.
    ///
    /// # Safety
    /// - the functions may be called with the context as long as the port lives, from any thread,
    ///   one at a time;
    /// - they do what C's do, or the port stands below a conformance run, which finds out.
    pub unsafe fn new(table: MemoryTable) -> Result<MemoryPort, Error> {
        let missing = |name| {
            Error::new(format!("the allocator's table has no `{name}`"))
                .help("fill in `malloc` and `free`; the rest may be null")
        };
        let malloc = table.malloc.ok_or_else(|| missing("malloc"))?;
        let free = table.free.ok_or_else(|| missing("free"))?;
        Ok(MemoryPort { table, malloc, free })
    }

    /// A block as long as its owner says that it is, which is what was asked for unless he says.
    fn answer(&self, start: *mut c_void, size: usize) -> Result<NonNull<[u8]>, Refused> {
        let usable = self.table.usable_size.filter(|_| !start.is_null());
        // SAFETY: a block that was just answered, and the promise of `new`.
        let usable = usable.map(|usable| unsafe { usable(self.table.context, start) });
        block(start, usable.unwrap_or(size))
    }

    /// A block with a larger alignment out of a larger one, whose start stands right before it.
    fn inside(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let room = layout.align() + size_of::<*mut c_void>();
        let whole = layout.size().checked_add(room).ok_or(Refused)?;
        // SAFETY: the promise of `new`.
        let whole = unsafe { (self.malloc)(self.table.context, whole) };
        let base = NonNull::new(whole.cast::<u8>()).ok_or(Refused)?;
        let skip = size_of::<*mut c_void>();
        // SAFETY: there is room for a pointer, for as much as aligning skips, and for the size.
        unsafe {
            let start = base.add(skip);
            let start = start.add(start.as_ptr().align_offset(layout.align()));
            start.cast::<*mut c_void>().sub(1).write_unaligned(whole);
            Ok(NonNull::slice_from_raw_parts(start, layout.size()))
        }
    }

    fn is_inside(&self, layout: Layout) -> bool {
        layout.align() > MAX_ALIGN && self.table.aligned_alloc.is_none()
    }

    /// Another size of a block.
    ///
    /// # Safety
    /// - as for [`Port::grow`], in either direction.
    unsafe fn resized(
        &self,
        old_start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let is_plain = old.align().max(new.align()) <= MAX_ALIGN;
        if let Some(realloc) = self.table.realloc.filter(|_| is_plain) {
            let size = roomy(new);
            // SAFETY: a live block of this table's (the caller's promise), and a size above zero.
            let moved = unsafe { realloc(self.table.context, old_start.as_ptr().cast(), size) };
            return self.answer(moved, new.size());
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

// SAFETY: the promise of `MemoryPort::new`; empty requests are raised to a byte; alignments above
// `malloc`'s take another way, which a block's own alignment tells when it comes back.
unsafe impl Port for MemoryPort {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let (context, size) = (self.table.context, roomy(layout));
        if self.is_inside(layout) {
            return self.inside(layout);
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
        // What the alignment rounds a size up to may be a terabyte, which nobody is to write to.
        if aligned.is_some() {
            block(start, layout.size())
        } else {
            self.answer(start, layout.size())
        }
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        if let Some(calloc) = self.table.calloc.filter(|_| layout.align() <= MAX_ALIGN) {
            let (count, each) = product(roomy(layout));
            // SAFETY: the promise of `new`. Beyond what was asked for nobody promised zeroes.
            return block(unsafe { calloc(self.table.context, count, each) }, layout.size());
        }
        let fresh = self.alloc(layout)?;
        // SAFETY: the block was just handed out, with so many bytes.
        unsafe { fresh.cast::<u8>().write_bytes(0, fresh.len()) };
        Ok(fresh)
    }

    unsafe fn free(&self, start: NonNull<u8>, layout: Layout) {
        let start = if self.is_inside(layout) {
            // SAFETY: `inside` wrote it there.
            unsafe { start.cast::<*mut c_void>().sub(1).read_unaligned() }
        } else {
            start.as_ptr().cast()
        };
        // SAFETY: a live block of this table's, which is the caller's promise.
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

// ---- for C: `heap` is a `mallory_heap`, as `void *`, so that these stand in tables as they are ----

/// `malloc` on a heap. `heap` is a `mallory_heap *`, here and below; it is called `void *` so that
/// these functions can stand in another library's table as they are.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_malloc(heap: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap) }.malloc(size)
}

/// `calloc` on a heap: null where the product is too large.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_calloc(
    heap: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap) }.calloc(count, size)
}

/// `realloc` on a heap: of null it is `malloc`; to zero it frees, and answers null.
///
/// # Safety
/// - `heap` is a live heap, and `block` null or one of its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_realloc(
    heap: *mut c_void,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap).realloc(block, size) }
}

/// `free` on a heap: of null it does nothing.
///
/// # Safety
/// - `heap` is a live heap, and `block` null or one of its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_free(heap: *mut c_void, block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap).free_unsized(block) }
}

/// `aligned_alloc` on a heap: null where the alignment is no power of two.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_aligned_alloc(
    heap: *mut c_void,
    align: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap) }.aligned_alloc(align, size)
}

/// `posix_memalign` on a heap: 0, or `EINVAL` (22) or `ENOMEM` (12) with `*block` as it was.
///
/// # Safety
/// - `heap` is a live heap; `block` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_posix_memalign(
    heap: *mut c_void,
    block: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    // SAFETY: the caller's promise.
    let start = unsafe { self::heap(heap) }.aligned_alloc(align, size);
    if start.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { block.write(start) };
    0
}

/// How many bytes of a block may be used: as many as were asked for.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_usable_size(heap: *mut c_void, block: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap) }.usable_size(block)
}

/// A `lua_Alloc`: one function for everything, which says the size at a free, and is held to it.
///
/// # Safety
/// - `heap` is a live heap, and `block` null or one of its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_lua_alloc(
    heap: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let heap = unsafe { self::heap(heap) };
    let Some(old) = NonNull::new(block.cast::<u8>()) else {
        // The old size is then a kind of object; Lua asks for nothing where the new one is zero.
        return if new_size == 0 { null_mut() } else { heap.malloc(new_size) };
    };
    let layout = plain(old_size).unwrap_or(UNKNOWN);
    if new_size == 0 {
        // SAFETY: the caller's promise; the heap judges the rest.
        unsafe { Port::free(heap, old, layout) };
        return null_mut();
    }
    let Some(new) = plain(new_size) else { return null_mut() };
    // SAFETY: as above.
    start(unsafe {
        if new_size >= old_size {
            Port::grow(heap, old, layout, new)
        } else {
            Port::shrink(heap, old, layout, new)
        }
    })
}

/// A zlib `alloc_func`: `items * size` bytes, or null where that is too much.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_zlib_alloc(
    heap: *mut c_void,
    items: c_uint,
    size: c_uint,
) -> *mut c_void {
    let bytes = (items as usize).checked_mul(size as usize);
    // SAFETY: the caller's promise.
    bytes.map_or(null_mut(), |bytes| unsafe { self::heap(heap) }.malloc(bytes))
}

/// A zlib `free_func`.
///
/// # Safety
/// - `heap` is a live heap, and `block` null or one of its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_zlib_free(heap: *mut c_void, block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { self::heap(heap).free_unsized(block) }
}
