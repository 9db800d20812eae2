//! A slab, watched as a heap of its own, compared with a map of blocks.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::systems::Slabs);
