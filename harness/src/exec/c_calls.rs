//! The allocator family of C, and `new` and `delete`, on a heap that watches the whole program. The preloaded library exports
//! each of these functions under its name in C.
//!
//! `errno` is as the standards say: a refused request sets `ENOMEM`, `free` keeps what is there, and
//! `posix_memalign` returns its error and leaves `errno` alone.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use libc::{c_int, c_void};

use crate::global::GlobalHeap;
use crate::memory::c_library::CLibrary;
pub use crate::memory::form::Form;

/// The heap of the whole program.
pub(crate) static HEAP: GlobalHeap<CLibrary> = GlobalHeap::over(CLibrary);

fn errno() -> *mut c_int {
    // SAFETY: has no precondition; the place is this thread's.
    unsafe { libc::__errno_location() }
}

/// Runs `work` and leaves `errno` as it was.
fn keeping_errno<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: the place is this thread's own (`errno`).
    let before = unsafe { *errno() };
    let result = work();
    // SAFETY: as above.
    unsafe { *errno() = before };
    result
}

/// The result of a request: a refused one sets `errno`.
fn answer(start: *mut u8) -> *mut c_void {
    if start.is_null() {
        refuse(libc::ENOMEM);
    }
    start.cast()
}

/// Sets `errno`.
fn refuse(error: c_int) {
    // SAFETY: the place is this thread's own (`errno`).
    unsafe { *errno() = error };
}

/// See `malloc(3)`.
#[inline]
pub fn malloc(size: usize) -> *mut c_void {
    answer(HEAP.malloc(size, Form::Malloc))
}

/// See `calloc(3)`.
pub fn calloc(count: usize, size: usize) -> *mut c_void {
    answer(HEAP.calloc(count, size))
}

/// See `free(3)`.
///
/// # Safety
/// - As for the C library's, except that in a run a wrong pointer is reported instead.
#[inline]
pub unsafe fn free(start: *mut c_void) {
    if let Some(start) = NonNull::new(start.cast()) {
        // SAFETY: the caller's promise.
        keeping_errno(|| unsafe { HEAP.free_unsized(start, Form::Malloc, None) });
    }
}

/// `new` and its kin, of which each has its [`Form`]: null where it is refused.
pub fn new(form: Form, size: usize, align: usize) -> *mut c_void {
    HEAP.memalign(align, size, form).cast()
}

/// See `free_sized` of C23, and `delete`, which may say the size of the block.
///
/// # Safety
/// - As for [`free`].
pub unsafe fn free_sized(start: *mut c_void, form: Form, size: Option<usize>) {
    if let Some(start) = NonNull::new(start.cast()) {
        // SAFETY: the caller's promise.
        keeping_errno(|| unsafe { HEAP.free_unsized(start, form, size) });
    }
}

/// See `realloc(3)`: to a size of zero it frees the block.
///
/// # Safety
/// - As for [`free`].
pub unsafe fn realloc(start: *mut c_void, size: usize) -> *mut c_void {
    let Some(block) = NonNull::new(start.cast()) else { return malloc(size) };
    if size == 0 {
        // SAFETY: the caller's promise.
        unsafe { free(start) };
        return std::ptr::null_mut();
    }
    if size > isize::MAX as usize {
        return answer(std::ptr::null_mut());
    }
    // SAFETY: the caller's promise.
    answer(unsafe { HEAP.realloc_unsized(block, size, usable) })
}

/// See `reallocarray(3)`.
///
/// # Safety
/// - As for [`free`].
pub unsafe fn reallocarray(start: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { realloc(start, bytes) },
        None => answer(std::ptr::null_mut()),
    }
}

/// See `memalign(3)`: an alignment that is no power of two is rounded up, as glibc does.
pub fn memalign(align: usize, size: usize) -> *mut c_void {
    match align.max(16).checked_next_power_of_two() {
        Some(align) => answer(HEAP.memalign(align, size, Form::Malloc)),
        None => {
            refuse(libc::EINVAL);
            std::ptr::null_mut()
        }
    }
}

/// See `aligned_alloc(3)`.
pub fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        refuse(libc::EINVAL);
        return std::ptr::null_mut();
    }
    answer(HEAP.memalign(align, size, Form::Malloc))
}

/// See `posix_memalign(3)`.
///
/// # Safety
/// - `place` is writable.
pub unsafe fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
        return libc::EINVAL;
    }
    let start = keeping_errno(|| HEAP.memalign(align, size, Form::Malloc));
    if start.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *place = start.cast() };
    0
}

/// See `valloc(3)`.
pub fn valloc(size: usize) -> *mut c_void {
    answer(HEAP.memalign(page(), size, Form::Malloc))
}

/// See `pvalloc(3)`.
pub fn pvalloc(size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(page()) {
        Some(size) => answer(HEAP.memalign(page(), size, Form::Malloc)),
        None => answer(std::ptr::null_mut()),
    }
}

fn page() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// See `malloc_usable_size(3)`. Of a block of the run it is the size that was requested: what is
/// beyond it is guarded.
///
/// # Safety
/// - `start` is null or a live block.
pub unsafe fn malloc_usable_size(start: *mut c_void) -> usize {
    let Some(start) = NonNull::new(start.cast()) else { return 0 };
    HEAP.layout_of(start).map_or_else(|| usable(start), |layout| layout.size())
}

/// The bytes of a block that the C library serves, by the word before it: its chunk's size, with three
/// flags. A chunk that is mapped on its own has two such words of overhead, another one has one.
fn usable(start: NonNull<u8>) -> usize {
    const MAPPED: usize = 2;
    const FLAGS: usize = 7;
    const WORD: usize = size_of::<usize>();
    // SAFETY: glibc keeps the size of each block in front of it.
    let header = unsafe { start.cast::<usize>().sub(1).read() };
    let overhead = if header & MAPPED != 0 { 2 * WORD } else { WORD };
    (header & !FLAGS).saturating_sub(overhead)
}
