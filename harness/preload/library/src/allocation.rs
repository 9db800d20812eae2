//! The allocator family of C.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use mallory::preload::c_calls::{self, Form};

/// See `malloc(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn malloc(size: usize) -> *mut c_void {
    c_calls::malloc(size)
}

/// See `calloc(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    c_calls::calloc(count, size)
}

/// See `free(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free(start: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_calls::free(start) }
}

/// See `cfree(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cfree(start: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_calls::free(start) }
}

/// See `realloc(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn realloc(start: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_calls::realloc(start, size) }
}

/// See `reallocarray(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn reallocarray(
    start: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_calls::reallocarray(start, count, size) }
}

/// See `memalign(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    c_calls::memalign(align, size)
}

/// See `aligned_alloc(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    c_calls::aligned_alloc(align, size)
}

/// See `posix_memalign(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { c_calls::posix_memalign(place, align, size) }
}

/// See `valloc(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn valloc(size: usize) -> *mut c_void {
    c_calls::valloc(size)
}

/// See `pvalloc(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn pvalloc(size: usize) -> *mut c_void {
    c_calls::pvalloc(size)
}

/// See `malloc_usable_size(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn malloc_usable_size(start: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { c_calls::malloc_usable_size(start) }
}

/// See `free_sized` of C23.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free_sized(start: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_calls::free_sized(start, Form::Malloc, Some(size)) }
}

/// See `free_aligned_sized` of C23.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free_aligned_sized(start: *mut c_void, _align: usize, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_calls::free_sized(start, Form::Malloc, Some(size)) }
}
