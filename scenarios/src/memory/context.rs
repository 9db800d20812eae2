//! The request context: what the handling of one request needs, and nothing that outlives it.
//!
//! A context has an arena for texts and lists, a buffer for text, a buffer for bytes, and handles on
//! the pools of its service. It is used for one request after the other: [`RequestContext::reset`]
//! empties it, and the compiler rejects code that keeps anything of the arena across that. Contexts
//! themselves come from a [`Pool`](super::Pool), which resets each one that comes back.
//!
//! ```
//! use mallory_scenarios::memory::RequestContext;
//! let mut context = RequestContext::new(&mallory::Heap::new(), ())?;
//! let region = context.alloc_str("north")?;
//! let title = context.alloc_fmt(format_args!("the best of {region}"))?;
//! assert_eq!(title, "the best of north");
//! context.reset();
//! # Ok::<(), mallory::Refused>(())
//! ```
//! Nothing survives the reset:
//! ```compile_fail,E0502
//! # use mallory_scenarios::memory::RequestContext;
//! # let mut context = RequestContext::new(&mallory::Heap::new(), ())?;
//! let region = context.alloc_str("north")?;
//! context.reset();
//! assert_eq!(region, "north");
//! # Ok::<(), mallory::Refused>(())
//! ```
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::arena::Arena;
use super::bytes::{Text, try_copy, try_with_capacity};
use super::pool::{KEPT_BYTES, Reusable};

/// The size of an arena's first chunk.
pub const FIRST_CHUNK: usize = 16 << 10;
/// The most that an arena of a context holds.
pub const ARENA_CAP: usize = 1 << 20;
/// The room that a new text buffer has.
const STRING_ROOM: usize = 2048;
/// The room that a new scratch buffer has.
const SCRATCH_ROOM: usize = 4096;

/// What the handling of one request needs. `P` are the pools of its service.
#[derive(Debug)]
pub struct RequestContext<P> {
    /// Texts and lists that live until the request is done.
    pub arena: RequestArena,
    /// A buffer for text that is built step by step.
    pub string_buffer: Text<Heap>,
    /// A buffer for the bytes of a reply.
    pub scratch_buffer: Vec<u8, Heap>,
    /// Handles on the pools that the service's contexts share.
    pub pools: P,
}

impl<P> RequestContext<P> {
    /// A context on this heap, with room in its buffers. The arena takes no memory yet.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn new(heap: &Heap, pools: P) -> Result<Self, Refused> {
        Ok(RequestContext {
            string_buffer: Text::from(try_with_capacity(STRING_ROOM, heap.clone())?),
            scratch_buffer: try_with_capacity(SCRATCH_ROOM, heap.clone())?,
            arena: RequestArena::new(heap),
            pools,
        })
    }

    /// A copy of this text that lives until the request is done.
    ///
    /// # Errors
    /// As [`RequestArena::alloc_str`].
    pub fn alloc_str(&self, text: &str) -> Result<&str, Refused> {
        self.arena.alloc_str(text)
    }

    /// The text that `format_args!` describes; it lives until the request is done.
    ///
    /// # Errors
    /// As [`RequestArena::alloc_fmt`].
    pub fn alloc_fmt(&self, text: fmt::Arguments<'_>) -> Result<&str, Refused> {
        self.arena.alloc_fmt(text)
    }

    /// Empties the context for the next request. The memory stays, unless it is much.
    pub fn reset(&mut self) {
        self.arena.reset();
        let heap = self.scratch_buffer.allocator().clone();
        self.string_buffer.clear();
        if self.string_buffer.capacity() > KEPT_BYTES {
            self.string_buffer = Text::new_in(heap.clone());
        }
        self.scratch_buffer.clear();
        if self.scratch_buffer.capacity() > KEPT_BYTES {
            self.scratch_buffer = Vec::new_in(heap);
        }
    }
}

impl<P> Reusable for RequestContext<P> {
    fn reset(&mut self) -> bool {
        RequestContext::reset(self);
        true
    }
}

/// The arena of a context, watched as a heap named `arena`. It belongs to the thread that has the
/// context.
#[derive(Debug)]
pub struct RequestArena {
    arena: Heap,
}

impl RequestArena {
    /// An arena over this heap; takes no memory yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        let arena = if heap.bypass() {
            Arena::direct(heap.clone(), ARENA_CAP)
        } else {
            Arena::new(heap.clone(), ARENA_CAP).first_chunk(FIRST_CHUNK)
        };
        RequestArena { arena: heap.wrap("arena", arena) }
    }

    /// A copy of this text, which the arena lends until it is reset or dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory, or none within [`ARENA_CAP`].
    pub fn alloc_str(&self, text: &str) -> Result<&str, Refused> {
        Ok(as_text(try_copy(text.as_bytes(), self.scope())?.leak()))
    }

    /// The text that `format_args!` describes, which the arena lends in the same way.
    ///
    /// # Errors
    /// As [`alloc_str`](Self::alloc_str).
    pub fn alloc_fmt(&self, text: fmt::Arguments<'_>) -> Result<&str, Refused> {
        let mut written = Text::new_in(self.scope());
        written.format(text)?;
        Ok(as_text(written.into_bytes().leak()))
    }

    /// The allocator of lists that live until the arena is reset at most.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope(&self.arena)
    }

    /// Frees everything; the newest chunk is kept.
    pub fn reset(&mut self) {
        // SAFETY: the arena is borrowed exclusively, and whatever is in it borrows it: texts and
        // scopes have its lifetime, and nothing hands out a clone of its heap.
        unsafe { self.arena.reclaim() };
    }
}

/// Bytes that were written as text.
fn as_text(bytes: &[u8]) -> &str {
    // SAFETY: both callers wrote whole strings: one a `str`, the other what a formatter wrote.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

/// Allocates in a request's arena. Unlike the arena's heap it can't be cloned into something that
/// outlives the request.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a>(&'a Heap);

// SAFETY: every call is passed to the heap, which lives and keeps its blocks as long as `'a`: the
// arena is reset and dropped only when no borrow of it is left. Copies are the same allocator.
unsafe impl Allocator for Scope<'_> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.0.allocate(layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.0.allocate_zeroed(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.0.deallocate(block, layout) }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.0.grow(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.0.shrink(block, old, new) }
    }
}
