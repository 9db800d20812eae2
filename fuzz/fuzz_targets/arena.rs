//! The arena, compared with plain vectors.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::systems::Arenas);
