//! The memory parts, each by itself.

mod arena;
mod context;
mod intern;
mod pool;
mod slab;
