//! The library that `mallory exec` preloads into programs, as bytes: a program that is installed has
//! it inside, and needs no second file. `build.rs` builds it, by cargo, from `library`.

/// A shared library for this machine's C library; empty where programs can't be watched.
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/library.so"));
