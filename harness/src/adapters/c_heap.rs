//! A heap as C uses it: the words of `malloc`, and tables of functions to hand to a C library.
//!
//! C frees without a size, so the size and the alignment of a block are looked up in the heap's
//! ledger. A right free then always fits, and a wrong one is reported as usual. Only a wrong size
//! can't be found, since none is given.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};

use crate::adapters::c_memory::{MAX_ALIGN, MemoryTable};
use crate::adapters::c_table::PortTable;
use crate::detect::block::BlockTable;
use crate::heap::Heap;
use crate::heap::state::State;
use crate::port::{Port, Refused};

impl Heap {
    /// `malloc`: a block aligned for every C type ([`MAX_ALIGN`]), or null. A block of zero bytes
    /// has an address of its own, and its request may fail like any other.
    #[must_use]
    pub fn malloc(&self, size: usize) -> *mut c_void {
        plain(size).map_or(null_mut(), |layout| start(self.alloc(layout)))
    }

    /// `calloc`: a block of `count * size` zero bytes. Null if the product overflows.
    #[must_use]
    pub fn calloc(&self, count: usize, size: usize) -> *mut c_void {
        let layout = count.checked_mul(size).and_then(plain);
        layout.map_or(null_mut(), |layout| start(self.alloc_zeroed(layout)))
    }

    /// `realloc`: of null it is `malloc`; to a size of zero it is `free` and returns null, as in
    /// glibc. If it is refused, it returns null and the block stays as it was. The block keeps its
    /// alignment.
    ///
    /// # Safety
    /// - `block` is null or a block of this heap, and is not used afterwards, unless the resize is
    ///   refused.
    #[must_use]
    pub unsafe fn realloc(&self, block: *mut c_void, size: usize) -> *mut c_void {
        let Some(old) = NonNull::new(block.cast::<u8>()) else { return self.malloc(size) };
        let layout = layout_at(self, old, Whose::Anyones);
        if size == 0 {
            // SAFETY: the caller's promise; the heap checks the rest.
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
    /// - `block` is null or a block of this heap, and is not used afterwards.
    pub unsafe fn free_unsized(&self, block: *mut c_void) {
        let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
        // SAFETY: the caller's promise; the heap checks the rest.
        unsafe {
            Port::free(self, block, layout_at(self, block, Whose::Anyones).unwrap_or(UNKNOWN))
        }
    }

    /// `aligned_alloc`: null if `align` is no power of two. Unlike C's it accepts every size.
    #[must_use]
    pub fn aligned_alloc(&self, align: usize, size: usize) -> *mut c_void {
        let layout = Layout::from_size_align(size, align.max(MAX_ALIGN));
        if !align.is_power_of_two() {
            return null_mut();
        }
        layout.map_or(null_mut(), |layout| start(self.alloc(layout)))
    }

    /// `malloc_usable_size`: the number of bytes that were requested for a block, since a heap
    /// hands out no slack. 0 for null, and for what is no live block of this heap.
    #[must_use]
    pub fn usable_size(&self, block: *mut c_void) -> usize {
        let block = NonNull::new(block.cast::<u8>());
        let layout = block.and_then(|block| layout_at(self, block, Whose::Own));
        layout.map_or(0, |layout| layout.size())
    }

    /// This heap as a table of `malloc`-like functions, for C. The context is the address of this
    /// handle: it must not move or be dropped while the table is used.
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

    /// This heap as a table of functions with sizes and alignments, for C. The context is the
    /// address of this handle: it must not move or be dropped while the table is used, which is why
    /// calling the functions is `unsafe`.
    #[must_use]
    pub fn port_table(&self) -> PortTable {
        PortTable {
            context: std::ptr::from_ref(self).cast_mut().cast(),
            alloc: Some(alloc),
            alloc_zeroed: Some(alloc_zeroed),
            free: Some(free),
            resize: Some(resize),
            bytes_outstanding: Some(bytes_outstanding),
            peak: Some(peak),
            failures: Some(failures),
        }
    }
}

/// The layout of a `malloc` of `size` bytes. `None` if no block can be so large.
fn plain(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, MAX_ALIGN).ok()
}

/// Which blocks are searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Those of the heap and its aliases.
    Own,
    /// Those of every heap of the run.
    Anyones,
}

/// The layout for a free of a block that no heap knows: it fits no block, so the heap reports it.
const UNKNOWN: Layout = Layout::new::<()>();

/// The layout of the live block at this address. With [`Whose::Anyones`] the block may be another
/// heap's, and the heap then reports a free through the wrong one.
fn layout_at(heap: &Heap, block: NonNull<u8>, whose: Whose) -> Option<Layout> {
    let (address, id) = (block.as_ptr() as usize, heap.node().id);
    heap.core().enter()?.with(|state| {
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

/// The heap that a context points to.
///
/// # Safety
/// - `context` is the address of a handle that lives during `'a`.
unsafe fn heap_at<'a>(context: *mut c_void) -> &'a Heap {
    // SAFETY: the caller's promise.
    unsafe { &*context.cast::<Heap>() }
}

fn start(result: Result<NonNull<[u8]>, Refused>) -> *mut c_void {
    result.map_or(null_mut(), |block| block.cast().as_ptr())
}

unsafe extern "C" fn alloc(context: *mut c_void, size: usize, align: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size, align) else { return null_mut() };
    // SAFETY: the context is the table's (`Heap::port_table`).
    start(unsafe { heap_at(context) }.alloc(layout))
}

unsafe extern "C" fn alloc_zeroed(context: *mut c_void, size: usize, align: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size, align) else { return null_mut() };
    // SAFETY: the context is the table's.
    start(unsafe { heap_at(context) }.alloc_zeroed(layout))
}

unsafe extern "C" fn free(context: *mut c_void, block: *mut c_void, size: usize, align: usize) {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
    // A size and alignment that are no layout fit no block either, so the heap reports the free.
    let layout = Layout::from_size_align(size, align).unwrap_or(Layout::new::<()>());
    // SAFETY: the context is the table's; whether the free is right is checked by the heap.
    unsafe { heap_at(context).free(block, layout) }
}

unsafe extern "C" fn resize(
    context: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
    align: usize,
) -> *mut c_void {
    // SAFETY: the context is the table's.
    let heap = unsafe { heap_at(context) };
    let Ok(new) = Layout::from_size_align(new_size, align) else { return null_mut() };
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return start(heap.alloc(new)) };
    let old = Layout::from_size_align(old_size, align).unwrap_or(Layout::new::<()>());
    // SAFETY: whether the block is one, and of this layout, is checked by the heap.
    start(unsafe {
        if new.size() >= old.size() {
            Port::grow(heap, block, old, new)
        } else {
            Port::shrink(heap, block, old, new)
        }
    })
}

/// A counter of the run; 0 on a thread that the run doesn't belong to.
///
/// # Safety
/// - `context` is the address of a live handle.
unsafe fn counted(context: *mut c_void, read: impl FnOnce(&State) -> u64) -> u64 {
    // SAFETY: the caller's promise.
    let entered = unsafe { heap_at(context) }.core().enter();
    entered.map_or(0, |entered| entered.with(|state| read(state)))
}

unsafe extern "C" fn bytes_outstanding(context: *mut c_void) -> u64 {
    // SAFETY: the context is the table's.
    unsafe { counted(context, |state| state.live as u64) }
}

unsafe extern "C" fn peak(context: *mut c_void) -> u64 {
    // SAFETY: the context is the table's.
    unsafe { counted(context, |state| state.peak as u64) }
}

unsafe extern "C" fn failures(context: *mut c_void) -> u64 {
    // SAFETY: the context is the table's.
    unsafe { counted(context, |state| state.failures) }
}

// ---- functions for C ----

/// `malloc` on a heap, whose blocks `mallory_free` frees. Here and below `heap` is a
/// `mallory_heap *`. Its type is `void *`, so that these functions can be put into another library's
/// table as they are.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_malloc(heap: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { heap_at(heap) }.malloc(size)
}

/// `calloc` on a heap: null if the product overflows. `mallory_free` frees the block.
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
    unsafe { heap_at(heap) }.calloc(count, size)
}

/// `realloc` on a heap: of null it is `malloc`; to a size of zero it frees, and returns null.
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
    unsafe { heap_at(heap).realloc(block, size) }
}

/// `free` on a heap: of null it does nothing.
///
/// # Safety
/// - `heap` is a live heap, and `block` null or one of its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_free(heap: *mut c_void, block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { heap_at(heap).free_unsized(block) }
}

/// `aligned_alloc` on a heap, for `mallory_free`: null if the alignment is no power of two.
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
    unsafe { heap_at(heap) }.aligned_alloc(align, size)
}

/// `posix_memalign` on a heap: returns 0, `EINVAL` (22) or `ENOMEM` (12). On an error `*block`
/// stays as it was.
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
    let start = unsafe { heap_at(heap) }.aligned_alloc(align, size);
    if start.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { block.write(start) };
    0
}

/// `malloc_usable_size` on a heap: the number of bytes that were requested for the block.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_usable_size(heap: *mut c_void, block: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { heap_at(heap) }.usable_size(block)
}

/// A `lua_Alloc`, which is given the right old size: to a size of zero it frees the block.
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
    let heap = unsafe { heap_at(heap) };
    let Some(old) = NonNull::new(block.cast::<u8>()) else {
        // Lua then passes a kind of object as the old size. With a new size of zero it wants
        // nothing.
        return if new_size == 0 { null_mut() } else { heap.malloc(new_size) };
    };
    let layout = plain(old_size).unwrap_or(UNKNOWN);
    if new_size == 0 {
        // SAFETY: the caller's promise; the heap checks the rest.
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

/// A zlib `alloc_func`, for `mallory_zlib_free`: null if the product `items * size` overflows.
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
    bytes.map_or(null_mut(), |bytes| unsafe { heap_at(heap) }.malloc(bytes))
}

/// A zlib `free_func`.
///
/// # Safety
/// - `heap` is a live heap, and `block` null or one of its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_zlib_free(heap: *mut c_void, block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { heap_at(heap).free_unsized(block) }
}
