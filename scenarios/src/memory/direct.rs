//! Blocks that are allocations of their own, freed at once: all of an arena's and of a slab's under
//! the kill switch, and what is too large for a slab's bins. They are in a doubly linked list, so
//! that their owner can free the rest when it is dropped.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use mallory::{Port, Refused};

use super::source::Source;

/// The header in front of each block, at the start of its allocation.
struct Header {
    newer: Option<NonNull<Header>>,
    older: Option<NonNull<Header>>,
    layout: Layout,
}

#[derive(Default)]
pub(super) struct Direct {
    newest: Cell<Option<NonNull<Header>>>,
}

/// The allocation for a block of this layout, and where in it the block begins.
fn with_header(layout: Layout) -> Result<(Layout, usize), Refused> {
    Layout::new::<Header>().extend(layout).map_err(|_| Refused)
}

impl Direct {
    pub(super) fn alloc<P: Port>(
        &self,
        source: &Source<P>,
        layout: Layout,
    ) -> Result<NonNull<u8>, Refused> {
        let (whole, front) = with_header(layout)?;
        let base = source.take(whole)?;
        let header = base.cast::<Header>();
        let older = self.newest.replace(Some(header));
        // SAFETY: the allocation was just taken; it begins with room for a header.
        unsafe { header.write(Header { newer: None, older, layout }) };
        if let Some(mut older) = older {
            // SAFETY: headers in the list are alive, and this is the only reference to it.
            unsafe { older.as_mut() }.newer = Some(header);
        }
        // SAFETY: `front` is inside the allocation, which was laid out with it.
        Ok(unsafe { base.add(front) })
    }

    /// Takes a block back at once.
    ///
    /// # Safety
    /// - `block` is alive, from this list, and `layout` is what it was asked for with;
    /// - it is not used afterwards.
    pub(super) unsafe fn free<P: Port>(
        &self,
        source: &Source<P>,
        block: NonNull<u8>,
        layout: Layout,
    ) {
        // The layout was extended when the block was handed out, so it can be again.
        let Ok((whole, front)) = with_header(layout) else {
            return;
        };
        // SAFETY: the block begins `front` bytes behind its header (`alloc`).
        let header = unsafe { block.sub(front) }.cast::<Header>();
        // SAFETY: the header lives as long as its block, and this is the only reference to it.
        let Header { newer, older, .. } = unsafe { header.read() };
        match newer {
            // SAFETY: neighbours in the list are alive, and nothing else refers to them now.
            Some(mut newer) => unsafe { newer.as_mut() }.older = older,
            None => self.newest.set(older),
        }
        if let Some(mut older) = older {
            // SAFETY: neighbours in the list are alive, and nothing else refers to them now.
            unsafe { older.as_mut() }.newer = newer;
        }
        // SAFETY: taken with this layout in `alloc`; it left the list above, so only once.
        unsafe { source.give(header.cast(), whole) };
    }

    /// Gives up every block.
    ///
    /// # Safety
    /// - no block is used afterwards.
    pub(super) unsafe fn free_all<P: Port>(&self, source: &Source<P>) {
        while let Some(header) = self.newest.get() {
            // SAFETY: headers in the list are alive.
            let layout = unsafe { header.as_ref() }.layout;
            let Ok((_, front)) = with_header(layout) else {
                return;
            };
            // SAFETY: the block is `front` bytes behind its header, is alive, was asked for
            // with this layout, and nobody uses it (the caller's promise).
            unsafe { self.free(source, header.cast::<u8>().add(front), layout) };
        }
    }
}
