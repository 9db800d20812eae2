//! The memory parts that the services share: what they build on instead of the global allocator.
//!
//! Each takes its memory from an allocator that its constructor demands, returns [`Refused`]
//! instead of aborting, and has a kill switch that passes every allocation straight on.
//!
//! [`Refused`]: mallory::Refused

pub mod arena;
mod bump;
pub mod bytes;
mod direct;
pub mod hash;
pub mod intern;
pub mod recent;
pub mod slab;
mod source;

pub use arena::{Arena, with_arena};
pub use intern::{Handle, Held, InternTable};
pub use recent::Recent;
pub use slab::{Slab, slab_over};
pub use source::MAX_ALIGN;
