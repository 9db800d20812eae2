//! Adapters for the `Allocator` of allocator-api2 0.4.

heap_is_an_allocator_of!(allocator_api2_04);

port_of_an_allocator! {
    /// An `Allocator` of allocator-api2 0.4 as a [`Port`](crate::Port).
    Api2V04Port, allocator_api2_04::alloc::Allocator
}
