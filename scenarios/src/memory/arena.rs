//! The arena: memory for one operation, allocated in chunks and freed all at once, however the
//! operation ends.
//!
//! An arena belongs to one thread at a time (it is `Send`, not `Sync`) and to one operation:
//! [`with_arena`] makes it, lends it and frees it. Containers inside use `&Heap` as their
//! allocator, so the compiler rejects code in which one leaves the scope.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use mallory::{Heap, Port, Refused};

use super::bump::Bump;
use super::direct::Direct;
use super::source::{MAX_ALIGN, Source};

/// An arena over a port.
///
/// Chunks grow geometrically, up to a cap on the bytes held; requests above it are refused. The
/// last block is resized and freed in place; the memory of other blocks is reused only after
/// [`reset`](Self::reset), and freed when the arena is dropped.
pub struct Arena<P: Port> {
    source: Source<P>,
    blocks: Strategy,
}

enum Strategy {
    Bump(Bump),
    Direct(Direct),
}

// SAFETY: the chunks and headers that the pointers lead to belong to this value alone, as a
// `Vec`'s buffer does. It stays not `Sync`: its cells are unguarded.
unsafe impl<P: Port + Send> Send for Arena<P> {}

impl<P: Port> Arena<P> {
    /// An arena that allocates at most `cap` bytes from the port, and none yet.
    #[must_use]
    pub fn new(port: P, cap: usize) -> Self {
        Arena { source: Source::new(port, cap), blocks: Strategy::Bump(Bump::default()) }
    }

    /// An arena under the kill switch: every allocation and every free goes straight to the port.
    /// Otherwise it behaves the same.
    #[must_use]
    pub fn direct(port: P, cap: usize) -> Self {
        Arena { source: Source::new(port, cap), blocks: Strategy::Direct(Direct::default()) }
    }

    /// Wipes memory as soon as it is freed: for secrets.
    #[must_use]
    pub fn zero_on_free(mut self) -> Self {
        self.source.zero_on_free = true;
        self
    }

    /// Sets the size of the first chunk, 4 KiB otherwise. Nothing changes under the kill switch.
    #[must_use]
    pub fn first_chunk(mut self, bytes: usize) -> Self {
        if let Strategy::Bump(bump) = &mut self.blocks {
            bump.first_chunk = bytes;
        }
        self
    }

    /// The most bytes that may be allocated from the port at once.
    #[must_use]
    pub fn cap(&self) -> usize {
        self.source.cap()
    }

    /// Bytes currently allocated from the port, including unused room and headers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.source.held()
    }

    /// The most that [`held`](Self::held) has been.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.source.peak()
    }

    /// A block of bytes, aligned to [`MAX_ALIGN`], which the arena lends until it is reset or dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory, or none within the cap.
    #[allow(clippy::mut_from_ref)] // each call hands out another block
    pub fn bytes(&self, size: usize) -> Result<&mut [MaybeUninit<u8>], Refused> {
        self.bytes_aligned(size, MAX_ALIGN)
    }

    /// A block of bytes, aligned to `align`, which the arena lends until it is reset or dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory, or none within the cap, and for an alignment that is
    /// not a power of two.
    #[allow(clippy::mut_from_ref)] // each call hands out another block
    pub fn bytes_aligned(
        &self,
        size: usize,
        align: usize,
    ) -> Result<&mut [MaybeUninit<u8>], Refused> {
        let layout = Layout::from_size_align(size, align).map_err(|_| Refused)?;
        let block = self.place(layout)?.cast::<MaybeUninit<u8>>();
        // SAFETY: the block is `size` bytes long and nobody else's until the arena is reset or
        // dropped, which needs it exclusively, or until unsafe code frees it.
        Ok(unsafe { NonNull::slice_from_raw_parts(block, size).as_mut() })
    }

    /// Frees every block. The newest chunk, which is the largest, is kept for later blocks.
    pub fn reset(&mut self) {
        match &self.blocks {
            // SAFETY: the arena is borrowed exclusively, so no block handed out by `bytes` is
            // left; who took one through `Port` promised to use it while it is alive only.
            Strategy::Bump(bump) => unsafe { bump.reset(&self.source) },
            // SAFETY: as above.
            Strategy::Direct(direct) => unsafe { direct.free_all(&self.source) },
        }
    }

    fn place(&self, layout: Layout) -> Result<NonNull<u8>, Refused> {
        match &self.blocks {
            Strategy::Bump(bump) => bump.alloc(&self.source, layout),
            Strategy::Direct(direct) => direct.alloc(&self.source, layout),
        }
    }

    /// Grows or shrinks a block: in place, or by allocating, copying and freeing.
    ///
    /// # Safety
    /// - `block` is alive, from this arena, and `old` fits it.
    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        if let Strategy::Bump(bump) = &self.blocks
            // SAFETY: the caller's promise, passed on unchanged.
            && unsafe { bump.resize(&self.source, block, old, new) }
        {
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        let fresh = self.place(new)?;
        // SAFETY: both blocks are alive and disjoint, and at least as long as the smaller size;
        // `old` fits `block` (the caller's promise).
        unsafe {
            fresh.copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.free(block, old);
        }
        Ok(NonNull::slice_from_raw_parts(fresh, new.size()))
    }

    /// Gives up every block and all memory.
    ///
    /// # Safety
    /// - no block is used afterwards.
    unsafe fn free_all(&self) {
        match &self.blocks {
            // SAFETY: the caller's promise, passed on unchanged.
            Strategy::Bump(bump) => unsafe { bump.free_all(&self.source) },
            // SAFETY: as above.
            Strategy::Direct(direct) => unsafe { direct.free_all(&self.source) },
        }
    }
}

// SAFETY: blocks are disjoint parts of chunks, or allocations of their own; each is placed at a
// multiple of its alignment; a resize that finds no room leaves the old block as it is; an arena
// has no clones; nothing here unwinds.
unsafe impl<P: Port> Port for Arena<P> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        Ok(NonNull::slice_from_raw_parts(self.place(layout)?, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        match &self.blocks {
            // SAFETY: the caller's promise, passed on unchanged.
            Strategy::Bump(bump) => unsafe { bump.free(&self.source, block, layout) },
            // SAFETY: as above; `alloc` returns just the size asked for, so the layout is the
            // block's own.
            Strategy::Direct(direct) => unsafe { direct.free(&self.source, block, layout) },
        }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.resize(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.resize(block, old, new) }
    }

    unsafe fn reclaim(&self) -> bool {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.free_all() };
        true
    }
}

impl<P: Port> Drop for Arena<P> {
    fn drop(&mut self) {
        // SAFETY: the arena is going, and no borrow of it is left; who took a block through `Port`
        // promised not to use it longer than the port lives.
        unsafe { self.free_all() };
    }
}

/// Lends an arena over `heap`, watched as a heap named `arena`, to one operation, and frees it on
/// every path out: a result, an error, a panic.
///
/// The arena holds at most `cap` bytes of `heap`. Under the kill switch ([`Heap::bypass`]) it
/// passes every allocation straight to `heap`.
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallory_scenarios::memory::with_arena;
/// let heap = mallory::Heap::new();
/// let length = with_arena(&heap, 1 << 20, |arena| Vec::<u8, _>::new_in(arena).len());
/// # assert_eq!(length, 0);
/// ```
/// A container made with the arena stays inside:
/// ```compile_fail
/// # use allocator_api2::vec::Vec;
/// # use mallory_scenarios::memory::with_arena;
/// # let heap = mallory::Heap::new();
/// let escaped = with_arena(&heap, 1 << 20, |arena| Vec::<u8, _>::new_in(arena));
/// ```
pub fn with_arena<R>(heap: &Heap, cap: usize, body: impl FnOnce(&Heap) -> R) -> R {
    let arena = if heap.bypass() {
        Arena::direct(heap.clone(), cap)
    } else {
        Arena::new(heap.clone(), cap)
    };
    body(&heap.wrap("arena", arena))
}
