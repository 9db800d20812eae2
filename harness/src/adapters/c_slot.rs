//! For C libraries whose functions get no context: a slot of the process that a heap occupies while
//! its run uses the library, and functions that find the heap there.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::{PoisonError, RwLock};

use crate::adapters::c_heap::mallory_posix_memalign;
use crate::error::Error;
use crate::heap::Heap;
use crate::heap::thread_context::aside;

/// A place in the process for one heap at a time. Made by [`c_slot!`](crate::c::c_slot).
#[derive(Debug)]
pub struct Slot {
    heap: RwLock<Option<Heap>>,
}

/// Keeps a heap in its slot until it is dropped.
#[derive(Debug)]
#[must_use = "the heap leaves the slot when this is dropped"]
pub struct Occupied {
    slot: &'static Slot,
}

impl Slot {
    /// An empty slot.
    #[must_use]
    #[allow(clippy::new_without_default)] // a static needs a `const fn`
    pub const fn new() -> Slot {
        Slot { heap: RwLock::new(None) }
    }

    /// Puts a heap into the slot: the slot's functions use this heap until the result is dropped.
    ///
    /// # Errors
    /// Another heap is in the slot: two runs of one process at once, or two subjects in one run.
    pub fn occupy(&'static self, heap: &Heap) -> Result<Occupied, Error> {
        let mut place = self.heap.write().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return Err(Error::new("the slot is taken: one C library can't use two heaps at once")
                .help("make runs one after the other, or each in its own process"));
        }
        *place = Some(heap.clone());
        Ok(Occupied { slot: self })
    }

    /// The heap in the slot. The lock is not held while the heap is used, since a call may lead to
    /// another one through the slot.
    fn heap(&self) -> Option<Heap> {
        self.heap.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let heap = self.slot.heap.write().unwrap_or_else(PoisonError::into_inner).take();
        aside(|| drop(heap));
    }
}

/// C's `malloc` and its relatives on the heap in a slot. While the slot is empty they refuse every
/// request, and a free does nothing.
pub trait InSlot: 'static {
    /// The slot.
    fn slot() -> &'static Slot;

    /// `malloc`.
    ///
    /// # Safety
    /// - None of its own: it is `unsafe` so that its type fits into C's tables.
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        Self::slot().heap().map_or(null_mut(), |heap| heap.malloc(size))
    }

    /// `calloc`: null if the product overflows.
    ///
    /// # Safety
    /// - As for [`malloc`](Self::malloc).
    unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        Self::slot().heap().map_or(null_mut(), |heap| heap.calloc(count, size))
    }

    /// `realloc`: of null it is `malloc`; to a size of zero it frees, and returns null.
    ///
    /// # Safety
    /// - `block` is null or came from this slot.
    unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise.
        Self::slot().heap().map_or(null_mut(), |heap| unsafe { heap.realloc(block, size) })
    }

    /// `free`.
    ///
    /// # Safety
    /// - `block` is null or came from this slot, and is not used afterwards.
    unsafe extern "C" fn free(block: *mut c_void) {
        if let Some(heap) = Self::slot().heap() {
            // SAFETY: the caller's promise.
            unsafe { heap.free_unsized(block) }
        }
    }

    /// `aligned_alloc`: null if the alignment is no power of two.
    ///
    /// # Safety
    /// - As for [`malloc`](Self::malloc).
    unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
        Self::slot().heap().map_or(null_mut(), |heap| heap.aligned_alloc(align, size))
    }

    /// `posix_memalign`: 0, `EINVAL` or `ENOMEM`.
    ///
    /// # Safety
    /// - `block` can be written to.
    unsafe extern "C" fn posix_memalign(
        block: *mut *mut c_void,
        align: usize,
        size: usize,
    ) -> c_int {
        let Some(heap) = Self::slot().heap() else { return libc::ENOMEM };
        let heap = std::ptr::from_ref(&heap).cast_mut().cast();
        // SAFETY: the handle lives until the end of this call; the caller's promise.
        unsafe { mallory_posix_memalign(heap, block, align, size) }
    }

    /// `malloc` as SQLite declares it, with sizes as `int`.
    ///
    /// # Safety
    /// - As for [`malloc`](Self::malloc).
    unsafe extern "C" fn malloc_int(size: c_int) -> *mut c_void {
        let heap_and_size = Self::slot().heap().zip(usize::try_from(size).ok());
        heap_and_size.map_or(null_mut(), |(heap, size)| heap.malloc(size))
    }

    /// `realloc` as SQLite declares it.
    ///
    /// # Safety
    /// - As for [`realloc`](Self::realloc).
    unsafe extern "C" fn realloc_int(block: *mut c_void, size: c_int) -> *mut c_void {
        let heap_and_size = Self::slot().heap().zip(usize::try_from(size).ok());
        // SAFETY: the caller's promise.
        heap_and_size.map_or(null_mut(), |(heap, size)| unsafe { heap.realloc(block, size) })
    }

    /// `malloc_usable_size` as SQLite declares it.
    ///
    /// # Safety
    /// - As for [`malloc`](Self::malloc).
    unsafe extern "C" fn usable_size_int(block: *mut c_void) -> c_int {
        let size = Self::slot().heap().map_or(0, |heap| heap.usable_size(block));
        c_int::try_from(size).unwrap_or(0)
    }

    /// `malloc_usable_size`: the number of bytes that were requested.
    ///
    /// # Safety
    /// - As for [`malloc`](Self::malloc).
    unsafe extern "C" fn usable_size(block: *mut c_void) -> usize {
        Self::slot().heap().map_or(0, |heap| heap.usable_size(block))
    }
}
