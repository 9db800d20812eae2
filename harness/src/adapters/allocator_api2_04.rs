//! A heap is an `Allocator` of allocator-api2 0.4.

heap_is_an_allocator_of!(allocator_api2_04);
