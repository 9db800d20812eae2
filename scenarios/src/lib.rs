//! The systems that Mallory is tried on.

pub mod cache_rebuild;
pub mod journal;
pub mod journal_intern;
pub mod lfs;
pub mod lfs_batch;
pub mod memory;
