//! The arena beside plain vectors.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::parts::Arenas);
