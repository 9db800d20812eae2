//! Adapters for the `Allocator` of allocator-api2 0.2, which hashbrown and bumpalo use.

heap_is_an_allocator_of!(allocator_api2);

port_of_an_allocator! {
    /// An `Allocator` of allocator-api2 0.2 as a [`Port`](crate::Port).
    ///
    /// ```
    /// use mallory::adapters::Api2Port;
    /// use mallory::conformance;
    /// conformance(|| Api2Port(allocator_api2::alloc::Global)).run().assert_clean();
    /// ```
    Api2Port, allocator_api2::alloc::Allocator
}
