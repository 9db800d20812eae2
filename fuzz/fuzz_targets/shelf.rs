//! The shelf without a planted bug.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::shelf::Shelf<mallory_scenarios::shelf::Sound>);
