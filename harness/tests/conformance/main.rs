//! Ports that are held to the contract: broken ones are caught, and correct ones are not accused.
#![cfg_attr(mallory_std_allocator_feature, feature(allocator_api))]

mod adapters;
#[path = "../common/mod.rs"]
mod common;
mod planted;
mod promises;
mod region;
#[cfg(mallory_std_allocator)]
mod std_allocator;
