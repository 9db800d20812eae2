//! The intern table beside a plain map.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::parts::Interns);
