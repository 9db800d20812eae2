//! A request as a plan sees it.

use crate::trace::{Coordinate, Op};

/// A call that may fail, as a plan sees it: what [`Plan::when`](crate::Plan::when) decides by.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Its place in the run.
    pub at: Coordinate,
    /// The heap's name.
    pub heap: &'static str,
    /// Alloc, alloc_zeroed, grow or shrink.
    pub op: Op,
    /// The requested size in bytes: for a grow or a shrink, the new size of the block.
    pub size: usize,
    /// The requested alignment in bytes, a power of two.
    pub align: usize,
    /// Live bytes before the request, over all heaps.
    pub live: usize,
    /// Live bytes after the request, if it is granted.
    pub live_after: usize,
}
