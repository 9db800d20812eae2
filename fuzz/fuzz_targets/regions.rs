//! Arenas and slabs with caps, which are emptied, used again and wiped.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::systems::Regions);
