//! std's unstable `Allocator` as a port, if the toolchain has the trait.

use std::alloc::Allocator;

port_of_an_allocator! {
    /// A `std::alloc::Allocator` as a [`Port`](crate::Port). Only exists if the toolchain has the
    /// trait, which the build script finds out.
    StdPort, Allocator
}
