//! A heap is an `Allocator` of allocator-api2 0.2, hashbrown's and bumpalo's.

heap_is_an_allocator_of!(allocator_api2);
