//! The shelf without a planted bug.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::planted::shelf::Shelf<mallory_scenarios::planted::shelf::Sound>
);
