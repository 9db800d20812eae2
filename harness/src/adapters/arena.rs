//! An arena as a port: blocks are allocated one by one, and freed all at once or never.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::RefCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::port::{Port, Refused};

type Take<A> = dyn for<'a> Fn(&'a A, Layout) -> Option<&'a mut [MaybeUninit<u8>]>;
type Reset<A> = dyn Fn(&mut A);

/// An arena as a [`Port`]: single frees do nothing.
///
/// ```
/// use std::cell::Cell;
/// use std::mem::MaybeUninit;
/// use mallory::adapters::ArenaPort;
/// use mallory::conformance;
///
/// /// Leaks every block: the simplest arena there is.
/// fn take(_: &(), layout: std::alloc::Layout) -> Option<&mut [MaybeUninit<u8>]> {
///     let room = layout.size().checked_add(layout.align()).filter(|room| *room < 1 << 20)?;
///     let room = Box::leak(vec![MaybeUninit::uninit(); room].into_boxed_slice());
///     let skip = room.as_ptr().align_offset(layout.align());
///     Some(&mut room[skip..][..layout.size()])
/// }
///
/// conformance(|| ArenaPort::new((), take)).operations(500).no_free().run().assert_clean();
/// ```
pub struct ArenaPort<A> {
    arena: RefCell<A>,
    take: Box<Take<A>>,
    reset: Option<Box<Reset<A>>>,
}

impl<A> ArenaPort<A> {
    /// A port over this arena. `take` allocates a block of it, or returns `None` if there is no
    /// memory.
    pub fn new(
        arena: A,
        take: impl for<'a> Fn(&'a A, Layout) -> Option<&'a mut [MaybeUninit<u8>]> + 'static,
    ) -> Self {
        ArenaPort { arena: RefCell::new(arena), take: Box::new(take), reset: None }
    }

    /// Sets how all blocks are freed at once, for [`Port::reclaim`].
    #[must_use]
    pub fn reset(mut self, reset: impl Fn(&mut A) + 'static) -> Self {
        self.reset = Some(Box::new(reset));
        self
    }
}

impl<A: fmt::Debug> fmt::Debug for ArenaPort<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArenaPort").field(&self.arena).finish()
    }
}

// SAFETY: `take` returns an exclusive slice that lives as long as a shared borrow of the arena, so
// blocks are disjoint. The arena is borrowed exclusively only in `reclaim` and when it is dropped,
// after which nobody uses a block. A resize is a fresh block and a copy, or the start of the old
// block.
unsafe impl<A> Port for ArenaPort<A> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let arena = self.arena.try_borrow().map_err(|_| Refused)?;
        let block = (self.take)(&arena, layout).ok_or(Refused)?;
        let start = NonNull::from(&mut *block).cast();
        Ok(NonNull::slice_from_raw_parts(start, block.len()))
    }

    unsafe fn free(&self, _: NonNull<u8>, _: Layout) {}

    unsafe fn shrink(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        if (start.as_ptr() as usize).is_multiple_of(new.align()) {
            return Ok(NonNull::slice_from_raw_parts(start, new.size()));
        }
        // SAFETY: the caller's promise; a move serves both directions.
        unsafe { self.grow(start, old, new) }
    }

    unsafe fn reclaim(&self) -> bool {
        let (Some(reset), Ok(mut arena)) = (&self.reset, self.arena.try_borrow_mut()) else {
            return false;
        };
        reset(&mut arena);
        true
    }
}
