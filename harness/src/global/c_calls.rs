//! The calls of C's allocator on a global heap. C names no size when it frees or resizes a block, so
//! the run's ledger says what it was.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::global::GlobalHeap;
use crate::heap::Heap;
use crate::heap::node::StateGuard;
use crate::heap::thread_context::{INSIDE, place};
use crate::memory::form::Form;

/// The layout of a block that nobody knows. Only its address is looked at.
const UNKNOWN: Layout = Layout::new::<()>();

impl<A: GlobalAlloc + Sync + 'static> GlobalHeap<A> {
    /// `malloc`, or `new`: every block is aligned to 16 bytes by the allocator inside, whatever its
    /// layout.
    pub(crate) fn malloc(&self, size: usize, form: Form) -> *mut u8 {
        match Layout::from_size_align(size, form.align()) {
            // SAFETY: the allocator inside takes a size of zero too (`CLibrary`), and heaps do.
            Ok(layout) => unsafe { GlobalAlloc::alloc(self, layout) },
            Err(_) => std::ptr::null_mut(),
        }
    }

    /// `calloc`.
    pub(crate) fn calloc(&self, count: usize, size: usize) -> *mut u8 {
        let align = Form::Malloc.align();
        let bytes = count.checked_mul(size);
        match bytes.and_then(|bytes| Layout::from_size_align(bytes, align).ok()) {
            // SAFETY: as in `malloc`.
            Some(layout) => unsafe { GlobalAlloc::alloc_zeroed(self, layout) },
            None => std::ptr::null_mut(),
        }
    }

    /// `memalign` and its kin, and `new` with an alignment. `align` is a power of two.
    pub(crate) fn memalign(&self, align: usize, size: usize, form: Form) -> *mut u8 {
        match Layout::from_size_align(size, form.aligned(align)) {
            // SAFETY: as in `malloc`.
            Ok(layout) => unsafe { GlobalAlloc::alloc(self, layout) },
            Err(_) => std::ptr::null_mut(),
        }
    }

    /// `free`, or `delete`, which may say the size.
    ///
    /// # Safety
    /// - `start` is what the caller wants to free. Outside of a run it is a block of the allocator
    ///   inside.
    pub(crate) unsafe fn free_unsized(&self, start: NonNull<u8>, form: Form, size: Option<usize>) {
        if self.busy.load(Ordering::Relaxed) == 0 {
            // SAFETY: the caller's promise; C's allocator looks at the address alone.
            return unsafe { self.inside().dealloc(start.as_ptr(), UNKNOWN) };
        }
        let named = |known: Layout| {
            let align = form.aligned(known.align());
            Layout::from_size_align(size.unwrap_or(known.size()), align).unwrap_or(known)
        };
        if place() != INSIDE
            && let Some((heap, entered)) = self.solo()
            && let Some(known) = known_layout(&entered, start, heap)
            && heap.quick_free(&entered, start, named(known))
        {
            return;
        }
        let layout = self.layout_of(start).map_or(UNKNOWN, named);
        // SAFETY: the heap checks whether it is a block before anything is done to it.
        unsafe { GlobalAlloc::dealloc(self, start.as_ptr(), layout) }
    }

    /// `realloc` of a block to a size above zero. `unwatched` tells the size of a block that was
    /// allocated before the run.
    ///
    /// # Safety
    /// - As for [`free_unsized`](Self::free_unsized).
    pub(crate) unsafe fn realloc_unsized(
        &self,
        start: NonNull<u8>,
        size: usize,
        unwatched: impl FnOnce(NonNull<u8>) -> usize,
    ) -> *mut u8 {
        let old = self.layout_of(start);
        if let Some(old) = old
            && [Form::New, Form::NewArray].map(Form::align).contains(&old.align())
        {
            // What `new` has requested is not to be resized: that frees it.
            let fresh = self.malloc(size, Form::Malloc);
            if !fresh.is_null() {
                // SAFETY: both blocks are live and disjoint, and at least as long; then as in
                // `free_unsized`.
                unsafe {
                    fresh.copy_from_nonoverlapping(start.as_ptr(), old.size().min(size));
                    self.free_unsized(start, Form::Malloc, None);
                }
            }
            return fresh;
        }
        let layout =
            old.unwrap_or_else(|| Layout::from_size_align(unwatched(start), 1).unwrap_or(UNKNOWN));
        // SAFETY: as in `free_unsized`; the size is checked there.
        unsafe { GlobalAlloc::realloc(self, start.as_ptr(), layout, size) }
    }

    /// The layout of a live block of the run, or of one that outlived it.
    pub(crate) fn layout_of(&self, start: NonNull<u8>) -> Option<Layout> {
        if self.busy.load(Ordering::Relaxed) == 0 {
            return None;
        }
        if place() != INSIDE
            && let Some(access) = self.access()
        {
            let known = known_layout(&access.entered, start, access.heap);
            if known.is_some() {
                return known;
            }
        }
        self.survivors.layout_of(start)
    }

    /// The address and the size of each live block of the run.
    pub(crate) fn live_blocks(&self) -> Vec<(usize, usize)> {
        let Some(access) = self.access() else { return Vec::new() };
        let live = access.entered.with(|state| state.ledger.live());
        live.iter().map(|block| (block.address, block.size)).collect()
    }
}

/// The layout of a live block of the run.
#[inline]
fn known_layout(entered: &StateGuard<'_>, start: NonNull<u8>, heap: &Heap) -> Option<Layout> {
    entered.with(|state| {
        let slot = state.ledger.find(start.as_ptr() as usize, heap.node().id)?;
        Some(state.ledger.block(slot).layout())
    })
}
