//! Adapters: what a heap looks like to code that knows somebody else's allocator trait.

#[cfg(feature = "allocator-api2")]
mod allocator_api2;
#[cfg(feature = "allocator-api2-04")]
mod allocator_api2_04;
