//! An arena's blocks, one after the other in chunks that double in size.
//!
//! ```text
//!  chunk  | previous, size | block | block | padding | block | free …           |
//!         0                16                                ^ at               size
//! ```
//!
//! The block that ends at `at` is the last one: it is resized and freed in place. The memory of any
//! other block is reused only after a reset.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use mallory::{Port, Refused};

use super::source::{MAX_ALIGN, Source};

/// The first chunk's usual size; each further one is twice as large as the one before.
const FIRST_CHUNK: usize = 4096;

#[repr(C, align(16))]
struct Chunk {
    previous: Option<NonNull<Chunk>>,
    /// Bytes, this header included.
    size: usize,
}

const HEADER: usize = size_of::<Chunk>();
const _: () = assert!(HEADER.is_multiple_of(MAX_ALIGN) && align_of::<Chunk>() == MAX_ALIGN);

pub(super) struct Bump {
    newest: Cell<Option<NonNull<Chunk>>>,
    /// The newest chunk's first free byte.
    at: Cell<usize>,
    /// The size of the first chunk.
    pub(super) first_chunk: usize,
}

impl Default for Bump {
    fn default() -> Self {
        let (newest, at) = Default::default();
        Bump { newest, at, first_chunk: FIRST_CHUNK }
    }
}

/// The bytes that a block occupies: at least one, so that every block has its own address.
fn extent(layout: Layout) -> usize {
    layout.size().max(1)
}

impl Bump {
    pub(super) fn alloc<P: Port>(
        &self,
        source: &Source<P>,
        layout: Layout,
    ) -> Result<NonNull<u8>, Refused> {
        if let Some(block) = self.place(layout) {
            return Ok(block);
        }
        self.add_chunk(source, layout)?;
        self.place(layout).ok_or(Refused)
    }

    /// Places a block in the newest chunk, if it fits.
    fn place(&self, layout: Layout) -> Option<NonNull<u8>> {
        let chunk = self.newest.get()?;
        let base = chunk.cast::<u8>();
        let free = base.addr().get() + self.at.get();
        let padding = free.checked_next_multiple_of(layout.align())? - free;
        let start = self.at.get() + padding;
        let end = start.checked_add(extent(layout))?;
        // SAFETY: chunks in the list are alive, and headers are written before they get there.
        if end > unsafe { chunk.as_ref() }.size {
            return None;
        }
        self.at.set(end);
        // SAFETY: `start` is below `end`, which lies inside the chunk (checked above).
        Some(unsafe { base.add(start) })
    }

    /// Adds a chunk in which this layout fits: twice the last one, or what the cap has left.
    fn add_chunk<P: Port>(&self, source: &Source<P>, layout: Layout) -> Result<(), Refused> {
        let previous = self.newest.get();
        // SAFETY: chunks in the list are alive, and headers are written before they get there.
        let doubled = previous.map(|chunk| unsafe { chunk.as_ref() }.size.saturating_mul(2));
        // A chunk is aligned to `MAX_ALIGN`, so that much of a larger alignment is never padding.
        let padding = layout.align().saturating_sub(MAX_ALIGN);
        let least = HEADER.checked_add(extent(layout)).and_then(|size| size.checked_add(padding));
        let least = least.ok_or(Refused)?;
        let size = doubled.unwrap_or(self.first_chunk).min(source.room()).max(least);
        let chunk = source.take(chunk_layout(size)?)?.cast::<Chunk>();
        // SAFETY: the block was just taken; it is aligned for a chunk and longer than its header.
        unsafe { chunk.write(Chunk { previous, size }) };
        self.newest.set(Some(chunk));
        self.at.set(HEADER);
        Ok(())
    }

    /// The newest chunk and the block's offset in it, if the block is the last one there.
    fn last(&self, block: NonNull<u8>, layout: Layout) -> Option<(NonNull<Chunk>, usize)> {
        let chunk = self.newest.get()?;
        let base = chunk.addr().get();
        // No block of another chunk ends behind this chunk's header.
        let is_last = block.addr().get() + extent(layout) == base + self.at.get();
        is_last.then(|| (chunk, block.addr().get() - base))
    }

    /// Resizes a block in place, if that is possible.
    ///
    /// # Safety
    /// - `block` is alive, from this arena, and `old` fits it.
    pub(super) unsafe fn resize<P: Port>(
        &self,
        source: &Source<P>,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> bool {
        if !block.addr().get().is_multiple_of(new.align()) {
            return false;
        }
        let (old_size, new_size) = (extent(old), extent(new));
        if new_size < old_size {
            // SAFETY: the tail is inside the block (`new_size` is below `old_size`), and its user
            // frees it.
            unsafe { source.wipe(block.add(new_size), old_size - new_size) };
        }
        let Some((chunk, start)) = self.last(block, old) else {
            return new_size <= old_size;
        };
        // SAFETY: chunks in the list are alive, and headers are written before they get there.
        let size = unsafe { chunk.as_ref() }.size;
        if new_size > size - start {
            return false;
        }
        self.at.set(start + new_size);
        true
    }

    /// Frees a block: at once if it is the last one, otherwise with all the others.
    ///
    /// # Safety
    /// - `block` is alive, from this arena, and `layout` fits it;
    /// - it is not used afterwards.
    pub(super) unsafe fn free<P: Port>(
        &self,
        source: &Source<P>,
        block: NonNull<u8>,
        layout: Layout,
    ) {
        // SAFETY: the block is alive and of this size, and its user frees it.
        unsafe { source.wipe(block, layout.size()) };
        if let Some((_, start)) = self.last(block, layout) {
            self.at.set(start);
        }
    }

    /// Frees every block, and all chunks but the newest, which is the largest.
    ///
    /// # Safety
    /// - no block is used afterwards.
    pub(super) unsafe fn reset<P: Port>(&self, source: &Source<P>) {
        let Some(mut newest) = self.newest.get() else {
            return;
        };
        // SAFETY: chunks in the list are alive, and nothing else refers to this header now.
        let older = unsafe { newest.as_mut() }.previous.take();
        // SAFETY: `previous` was taken out above, so these chunks are reached from here only.
        unsafe { free_chunks(source, older) };
        // SAFETY: what lies between header and `at` is inside the chunk; no block is used any more.
        unsafe { source.wipe(newest.cast::<u8>().add(HEADER), self.at.get() - HEADER) };
        self.at.set(HEADER);
    }

    /// Frees every block and all chunks.
    ///
    /// # Safety
    /// - no block is used afterwards.
    pub(super) unsafe fn free_all<P: Port>(&self, source: &Source<P>) {
        // SAFETY: the list is taken out, so its chunks are reached from here only.
        unsafe { free_chunks(source, self.newest.take()) };
    }
}

fn chunk_layout(size: usize) -> Result<Layout, Refused> {
    Layout::from_size_align(size, MAX_ALIGN).map_err(|_| Refused)
}

/// Frees a chunk and all older ones.
///
/// # Safety
/// - the chunks are alive, came from this source, and they are not used afterwards.
unsafe fn free_chunks<P: Port>(source: &Source<P>, mut next: Option<NonNull<Chunk>>) {
    while let Some(chunk) = next {
        // SAFETY: the chunk is alive (the caller's promise, and the list is walked once).
        let header = unsafe { chunk.read() };
        next = header.previous;
        // The layout was valid when the chunk was taken with it, so there always is one.
        if let Ok(layout) = chunk_layout(header.size) {
            // SAFETY: the chunk was taken with this layout, and is given back once.
            unsafe { source.give(chunk.cast(), layout) };
        }
    }
}
