//! What the feature `c` adds for Rust: C's allocators as ports, and heaps as C's allocators.
#![cfg(feature = "c")]

#[path = "../common/mod.rs"]
mod common;
mod ports;
mod slots;
