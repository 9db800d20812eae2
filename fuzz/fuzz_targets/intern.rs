//! The intern table beside a plain map.
#![no_main]

mallory::fuzz_target!(mallory_scenarios::parts::Interns);
