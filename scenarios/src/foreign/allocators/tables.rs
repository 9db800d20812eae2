//! C allocators through the tables of functions in `mallory.h`: one table with the functions of
//! `malloc`, one whose functions take sizes and alignments.
#![allow(unsafe_code, reason = "C's functions are called, and put into tables")]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use libmimalloc_sys as mi;
use mallory::c::{MemoryPort, MemoryTable, PortTable, TablePort};
use mallory::conformance;
use tikv_jemalloc_sys as je;

use super::allocator::{Allocator, Trial, TrialReport, run_trial};

pub(super) const ALL: [Allocator; 3] = [
    Allocator {
        package: "C library",
        name: "malloc",
        kind: "the C library's malloc",
        through: "`MemoryPort`",
        how: "a table of 6 functions",
        run: |what| memory("c-malloc", MALLOC, what),
        known: &[],
    },
    Allocator {
        package: "libmimalloc-sys",
        name: "mi_malloc",
        kind: "C, free lists in pages",
        through: "`MemoryPort`",
        how: "a table of 6 functions",
        run: |what| memory("c-mimalloc", MIMALLOC, what),
        known: &[],
    },
    Allocator {
        package: "tikv-jemalloc-sys",
        name: "mallocx",
        kind: "C, size classes in arenas",
        through: "`TablePort`",
        how: "a table of 4 functions, sized frees",
        run: |what| {
            // SAFETY: jemalloc's functions take calls from any thread.
            let port = || unsafe { TablePort::new(JEMALLOC) }.expect("alloc and free are there");
            run_trial(conformance(port).name("c-jemalloc"), what)
        },
        known: &[],
    },
];

fn memory(name: &str, table: MemoryTable, what: Trial) -> TrialReport {
    // SAFETY: C's functions take calls from any thread.
    let port = || unsafe { MemoryPort::new(table) }.expect("malloc and free are there");
    run_trial(conformance(port).name(name), what)
}

/// A table of functions without a context.
macro_rules! words_of_malloc {
    ($malloc:path, $calloc:path, $realloc:path, $free:path, $aligned:path, $usable:path $(,)?) => {{
        unsafe extern "C" fn malloc(_: *mut c_void, size: usize) -> *mut c_void {
            // SAFETY: takes any size.
            unsafe { $malloc(size) }
        }
        unsafe extern "C" fn calloc(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
            // SAFETY: takes any numbers.
            unsafe { $calloc(count, size) }
        }
        unsafe extern "C" fn realloc(
            _: *mut c_void,
            block: *mut c_void,
            size: usize,
        ) -> *mut c_void {
            // SAFETY: a block of its own, which is the caller's promise.
            unsafe { $realloc(block, size) }
        }
        unsafe extern "C" fn free(_: *mut c_void, block: *mut c_void) {
            // SAFETY: a block of its own, which is the caller's promise.
            unsafe { $free(block) }
        }
        unsafe extern "C" fn aligned(_: *mut c_void, align: usize, size: usize) -> *mut c_void {
            // SAFETY: a power of two, and a size that is a multiple of it.
            unsafe { $aligned(align, size) }
        }
        unsafe extern "C" fn usable(_: *mut c_void, block: *mut c_void) -> usize {
            // SAFETY: a block of its own, which is the caller's promise.
            unsafe { $usable(block) }
        }
        MemoryTable {
            context: null_mut(),
            malloc: Some(malloc),
            calloc: Some(calloc),
            realloc: Some(realloc),
            free: Some(free),
            aligned_alloc: Some(aligned),
            usable_size: Some(usable),
        }
    }};
}

const MALLOC: MemoryTable = words_of_malloc!(
    libc::malloc,
    libc::calloc,
    libc::realloc,
    libc::free,
    libc::aligned_alloc,
    libc::malloc_usable_size,
);

const MIMALLOC: MemoryTable = words_of_malloc!(
    mi::mi_malloc,
    mi::mi_calloc,
    mi::mi_realloc,
    mi::mi_free,
    mi::mi_aligned_alloc,
    mi::mi_usable_size,
);

const JEMALLOC: PortTable = {
    unsafe extern "C" fn alloc(_: *mut c_void, size: usize, align: usize) -> *mut c_void {
        // SAFETY: a size above zero, and the alignment as its logarithm.
        unsafe { je::mallocx(size, je::MALLOCX_ALIGN(align)) }
    }
    unsafe extern "C" fn zeroed(_: *mut c_void, size: usize, align: usize) -> *mut c_void {
        let flags: c_int = je::MALLOCX_ALIGN(align) | je::MALLOCX_ZERO;
        // SAFETY: as above.
        unsafe { je::mallocx(size, flags) }
    }
    unsafe extern "C" fn free(_: *mut c_void, block: *mut c_void, size: usize, align: usize) {
        // SAFETY: a block of its own, with the size and alignment that it was asked for with, which
        // is the caller's promise.
        unsafe { je::sdallocx(block, size, je::MALLOCX_ALIGN(align)) }
    }
    unsafe extern "C" fn resize(
        _: *mut c_void,
        block: *mut c_void,
        _: usize,
        size: usize,
        align: usize,
    ) -> *mut c_void {
        // SAFETY: a block of its own, which is the caller's promise, and a size above zero.
        unsafe { je::rallocx(block, size, je::MALLOCX_ALIGN(align)) }
    }
    PortTable {
        context: null_mut(),
        alloc: Some(alloc),
        alloc_zeroed: Some(zeroed),
        free: Some(free),
        resize: Some(resize),
        bytes_outstanding: None,
        peak: None,
        failures: None,
    }
};
