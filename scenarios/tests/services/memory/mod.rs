//! The memory parts, each by itself.

mod arena;
mod intern;
mod slab;
