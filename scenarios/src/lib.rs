//! The systems that Mallory is tried on.

pub mod memory;
