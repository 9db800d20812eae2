//! The memory parts that the services share: what they build on instead of the global allocator.
//!
//! Each takes its memory from an allocator that its constructor demands, returns [`Refused`]
//! instead of aborting, and has a kill switch that passes every allocation straight on.
//!
//! [`Refused`]: mallory::Refused

pub mod arena;
pub mod blocks;
mod bump;
pub mod bytes;
pub mod context;
mod direct;
pub mod hash;
pub mod intern;
pub mod pool;
pub mod recent;
pub mod slab;
mod source;

pub use arena::{Arena, with_arena};
pub use blocks::{Buffer, PoolString, StringPool};
pub use context::{RequestArena, RequestContext};
pub use intern::{Handle, Held, InternTable};
pub use pool::{MapPool, Pool, PoolStats, Pooled, PooledMap, PooledVec, Reusable, VecPool};
pub use recent::Recent;
pub use slab::{Slab, slab_over};
pub use source::MAX_ALIGN;
