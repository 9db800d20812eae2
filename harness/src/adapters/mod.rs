//! Adapters in both directions: a heap for code that uses another allocator trait, and another
//! allocator as a port.
#![allow(unsafe_code)]

#[macro_use]
mod allocator_trait;
pub(crate) mod adversarial;
pub(crate) mod adversary;
#[cfg(feature = "allocator-api2")]
pub(crate) mod allocator_api2;
#[cfg(feature = "allocator-api2-04")]
pub(crate) mod allocator_api2_04;
pub(crate) mod arena;
#[cfg(feature = "c")]
pub(crate) mod c_heap;
#[cfg(feature = "c")]
pub(crate) mod c_memory;
#[cfg(feature = "c")]
pub(crate) mod c_slot;
#[cfg(feature = "c")]
pub(crate) mod c_table;
pub(crate) mod global_alloc;
pub(crate) mod guarded;
pub(crate) mod region;
pub(crate) mod region_memory;
#[cfg(mallory_std_allocator)]
pub(crate) mod std_allocator;

pub use crate::adapters::adversary::{Adversarial, Adversary, Guard, Reuse};
#[cfg(feature = "allocator-api2")]
pub use crate::adapters::allocator_api2::Api2Port;
#[cfg(feature = "allocator-api2-04")]
pub use crate::adapters::allocator_api2_04::Api2V04Port;
pub use crate::adapters::arena::ArenaPort;
pub use crate::adapters::global_alloc::{GlobalPort, StaticPort};
pub use crate::adapters::region::RegionPort;
pub use crate::adapters::region_memory::guarded_region;
#[cfg(mallory_std_allocator)]
pub use crate::adapters::std_allocator::StdPort;
