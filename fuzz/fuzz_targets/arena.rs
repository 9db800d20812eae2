//! The arena beside plain vectors.
#![no_main]

mallory::fuzz_target!(mallory_scenarios::parts::Arenas);
