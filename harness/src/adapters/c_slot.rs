//! For C libraries whose tables have no context: a slot of the process that a heap occupies for as
//! long as its run uses the library, and functions that find it there.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::{PoisonError, RwLock};

use crate::error::Error;
use crate::heap::Heap;
use crate::heap::thread_context::aside;

/// A place in the process that one heap can be in at a time. Made by [`c_slot!`](crate::c::c_slot).
#[derive(Debug)]
pub struct Slot {
    heap: RwLock<Option<Heap>>,
}

/// A heap's stay in a slot, until this is dropped.
#[derive(Debug)]
#[must_use = "the heap leaves the slot when this is dropped"]
pub struct Occupied {
    slot: &'static Slot,
}

impl Slot {
    /// An empty slot.
    #[must_use]
    #[allow(clippy::new_without_default)] // a static wants a constant
    pub const fn new() -> Slot {
        Slot { heap: RwLock::new(None) }
    }

    /// Puts a heap there: from here on the slot's functions are this heap's.
    ///
    /// # Errors
    /// Another heap is there: two runs of one process at once, or two subjects in one run.
    pub fn occupy(&'static self, heap: &Heap) -> Result<Occupied, Error> {
        let mut place = self.heap.write().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return Err(Error::new("the slot is taken: two heaps can't be behind one C library")
                .help("make runs one after the other, or in processes of their own"));
        }
        *place = Some(heap.clone());
        Ok(Occupied { slot: self })
    }

    /// The heap that is there. The lock is not held while it is used, so that it may come here again.
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

/// The functions of C's `malloc` on the heap in a slot. While none is there they refuse, and take
/// nothing back.
pub trait InSlot: 'static {
    /// The slot.
    fn slot() -> &'static Slot;

    /// `malloc`.
    ///
    /// # Safety
    /// - none of its own: it is `unsafe` so that it stands in tables.
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        Self::slot().heap().map_or(null_mut(), |heap| heap.malloc(size))
    }

    /// `calloc`: null where the product is too large.
    ///
    /// # Safety
    /// - as for [`malloc`](Self::malloc).
    unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        Self::slot().heap().map_or(null_mut(), |heap| heap.calloc(count, size))
    }

    /// `realloc`: of null it is `malloc`; to zero it frees, and answers null.
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
    /// - `block` is null or came from this slot, and is used no more.
    unsafe extern "C" fn free(block: *mut c_void) {
        if let Some(heap) = Self::slot().heap() {
            // SAFETY: the caller's promise.
            unsafe { heap.free_unsized(block) }
        }
    }

    /// `aligned_alloc`: null where the alignment is no power of two.
    ///
    /// # Safety
    /// - as for [`malloc`](Self::malloc).
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
        unsafe { crate::adapters::c_memory::mallory_posix_memalign(heap, block, align, size) }
    }

    /// `malloc` in SQLite's words, whose sizes are ints.
    ///
    /// # Safety
    /// - as for [`malloc`](Self::malloc).
    unsafe extern "C" fn malloc_int(size: c_int) -> *mut c_void {
        let heap_and_size = Self::slot().heap().zip(usize::try_from(size).ok());
        heap_and_size.map_or(null_mut(), |(heap, size)| heap.malloc(size))
    }

    /// `realloc` in SQLite's words.
    ///
    /// # Safety
    /// - as for [`realloc`](Self::realloc).
    unsafe extern "C" fn realloc_int(block: *mut c_void, size: c_int) -> *mut c_void {
        let heap_and_size = Self::slot().heap().zip(usize::try_from(size).ok());
        // SAFETY: the caller's promise.
        heap_and_size.map_or(null_mut(), |(heap, size)| unsafe { heap.realloc(block, size) })
    }

    /// `malloc_usable_size` in SQLite's words.
    ///
    /// # Safety
    /// - as for [`malloc`](Self::malloc).
    unsafe extern "C" fn usable_size_int(block: *mut c_void) -> c_int {
        let size = Self::slot().heap().map_or(0, |heap| heap.usable_size(block));
        c_int::try_from(size).unwrap_or(0)
    }

    /// `malloc_usable_size`: as many bytes as were asked for.
    ///
    /// # Safety
    /// - as for [`malloc`](Self::malloc).
    unsafe extern "C" fn usable_size(block: *mut c_void) -> usize {
        Self::slot().heap().map_or(0, |heap| heap.usable_size(block))
    }
}
