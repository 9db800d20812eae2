//! The intern table, compared with a plain map.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::systems::Interns);
