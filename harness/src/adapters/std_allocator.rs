//! The standard library's `Allocator` as a port, where the toolchain has the trait.

use std::alloc::Allocator;

port_of_an_allocator! {
    /// A `std::alloc::Allocator` as a [`Port`](crate::Port). There where the toolchain has the
    /// trait, which a build script finds out.
    StdPort, Allocator
}
